"""Every row of the source is accepted or rejected, and accepted rows come back in any order."""

from __future__ import annotations

import json
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailsluice.assignment.assignment import assign
from mailsluice.audience.hosting import Hosted, Hosts, by_table
from mailsluice.audience.keys import Keys
from mailsluice.audience.resolution import resolve
from mailsluice.audience.resolved import Audience
from mailsluice.audience.stored import RejectReason
from mailsluice.campaign import Campaign, RecipientSource
from mailsluice.core.errors import AudienceError
from mailsluice.core.suppression import Suppression
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.mailbox_providers import NO_MAIL
from tests.databases import no_database
from tests.thorough import examples


def suppressing(*addresses: str) -> Callable[[pd.Series[str], Keys], dict[int, Suppression]]:
    """Suppress these addresses: the first unsubscribed, and the others bounced."""
    reasons = dict.fromkeys(addresses, SuppressionReason.BOUNCED) | dict.fromkeys(
        addresses[:1], SuppressionReason.UNSUBSCRIBED
    )

    def suppressed(emails: pd.Series[str], keys: Keys) -> dict[int, Suppression]:
        assert len(keys) == len(emails)
        return {
            at: Suppression(email, reasons[email], "here", 86_400.0)
            for at, email in enumerate(emails)
            if email in reasons
        }

    return suppressed


AudienceOf = Callable[..., Audience]


@pytest.fixture
def audience_of(tmp_path: Path) -> Iterator[AudienceOf]:
    """Resolve CSV texts, and close the audiences in the end."""
    opened: list[Audience] = []

    def audience_of(
        text: str,
        exclude: str = "",
        suppressed: tuple[str, ...] = (),
        hosted: Hosted = by_table,
    ) -> Audience:
        sources: list[list[RecipientSource]] = []
        for name, content in (("recipients.csv", text), ("exclude.csv", exclude)):
            (tmp_path / name).write_text(content, encoding="utf-8")
            sources.append([RecipientSource(path=str(tmp_path / name))] if content else [])
        audience = resolve(
            sources[0],
            exclude=sources[1],
            suppressed=suppressing(*suppressed),
            hosted=hosted,
            connect=no_database,
        )
        opened.append(audience)
        return audience

    yield audience_of
    for audience in opened:
        audience.close()


def rejects(audience: Audience) -> list[tuple[int, str, str]]:
    return [
        (row, email, reason)
        for frame in audience.rejects()
        for row, email, reason in zip(frame["row"], frame["email"], frame["reason"], strict=True)
    ]


def accepted(audience: Audience, order: list[int] | None = None) -> list[str]:
    wanted = np.array(range(len(audience)) if order is None else order, np.int64)
    return [email for frame in audience.chunks(wanted) for email in frame["email"]]


def test_each_row_is_accepted_or_has_the_first_reason_that_applies(audience_of: AudienceOf) -> None:
    audience = audience_of(
        "email,name\n"
        "ann@example.com,Ann\n"
        " Ann@EXAMPLE.com,the first one in capital letters\n"
        "ann@Example.com,the first one again\n"
        "nobody,no address\n"
        "nobody,the same one is invalid again\n"
        "out@example.com,excluded\n"
        "off@example.com,suppressed\n"
        "off@example.com,a duplicate of a suppressed one\n"
        "both@example.com,excluded and suppressed\n"
        "one,field,too many\n"
        "bob@example.com,Bob\n",
        exclude="email\nOUT@example.com\nout@EXAMPLE.COM\nboth@example.com\nnobody\n",
        suppressed=("off@example.com", "both@example.com"),
    )

    assert accepted(audience) == ["ann@example.com", "bob@example.com"]
    assert rejects(audience) == [
        (2, " Ann@EXAMPLE.com", "duplicate"),
        (3, "ann@Example.com", "duplicate"),
        (4, "nobody", "invalid"),
        (5, "nobody", "invalid"),
        (6, "out@example.com", "excluded"),
        (7, "off@example.com", "suppressed"),
        (8, "off@example.com", "duplicate"),
        (9, "both@example.com", "excluded"),
        (10, "one,field,too many", "invalid"),
    ]
    assert audience.counts() == {
        RejectReason.INVALID: 3,
        RejectReason.DUPLICATE: 3,
        RejectReason.EXCLUDED: 2,
        RejectReason.SUPPRESSED: 1,
        RejectReason.NO_MAIL_SERVER: 0,
    }
    assert audience.read == 11
    assert audience.held_back() == {"unsubscribed": 1}


def test_each_recipient_has_its_provider_and_domains_without_mail_are_rejected(
    audience_of: AudienceOf,
) -> None:
    asked: list[str] = []

    def hosted(domains: Sequence[str]) -> Hosts:
        asked.extend(domains)
        known = {"null.de": NO_MAIL, "gmail.com": "google"}
        return Hosts([known.get(one, "b.net") for one in domains])

    audience = audience_of(
        "email\na@gmail.com\nb@null.de\nc@b.de\nB@NULL.de\nnone\nd@b.de\nout@out.de\noff@null.de\n",
        exclude="email\nout@out.de\n",
        suppressed=("off@null.de",),
        hosted=hosted,
    )

    assert accepted(audience) == ["a@gmail.com", "c@b.de", "d@b.de"]
    assert [audience.provider_names[i - 1] for i in audience.providers] == [
        "google",
        *["b.net"] * 2,
    ]
    assert audience.hosted() == {"b.net": 2, "google": 1}
    assert rejects(audience) == [
        (2, "b@null.de", "no mail server"),
        (4, "B@NULL.de", "duplicate"),
        (5, "none", "invalid"),
        (7, "out@out.de", "excluded"),
        (8, "off@null.de", "suppressed"),
    ]
    assert audience.counts()[RejectReason.NO_MAIL_SERVER] == 1
    assert sorted(asked) == ["b.de", "gmail.com", "null.de"]  # not those of other rejected rows
    assert asked[0] == "b.de"  # which has most recipients


def test_an_audience_whose_domains_all_take_no_mail_has_no_recipient(
    audience_of: AudienceOf,
) -> None:
    audience = audience_of(
        "email\na@a.de\nb@b.de\n", hosted=lambda some: Hosts([NO_MAIL] * len(some))
    )
    assert len(audience) == 0
    assert audience.hosted() == {}
    assert audience.counts()[RejectReason.NO_MAIL_SERVER] == 2


def test_spellings_of_a_mailbox_are_one_recipient_in_the_first_spelling(
    audience_of: AudienceOf,
) -> None:
    audience = audience_of(
        "email\nJohn.Doe@Example.com\njohn.doe@example.com\nJOHN.DOE@EXAMPLE.COM\n"
        '"""john.doe""@example.com"\njohndoe@example.com\njohn.doe+x@example.com\nOUT@b.de\n',
        exclude="email\nout@b.de\n",
    )
    assert accepted(audience) == [
        "John.Doe@example.com",
        "johndoe@example.com",  # dots are significant
        "john.doe+x@example.com",  # and tags
    ]
    assert [row[2] for row in rejects(audience)] == [*["duplicate"] * 3, "excluded"]


def test_suppressed_rows_are_counted_by_reason(audience_of: AudienceOf) -> None:
    text = "email\nout@b.de\nann@b.de\noff@b.de\nodd@b.de\noff@b.de\n"
    audience = audience_of(
        text, exclude="email\nout@b.de\n", suppressed=("odd@b.de", "off@b.de", "out@b.de")
    )
    details = pd.concat(audience.rejects())[["row", "reason", "detail"]]
    assert [tuple(row) for row in details.itertuples(index=False)] == [
        (1, "excluded", ""),
        (3, "suppressed", "bounced: here, 1970-01-02"),
        (4, "suppressed", "unsubscribed: here, 1970-01-02"),
        (5, "duplicate", ""),
    ]
    assert audience.held_back() == {"bounced": 1, "unsubscribed": 1}


def test_an_invalid_row_has_a_reason(audience_of: AudienceOf) -> None:
    frames = audience_of("email,name\na,b,c\nnobody,N\n").rejects()

    assert pd.concat(frames)["detail"].tolist() == [
        "malformed row: not as many fields as the header",
        "no @ sign",
    ]


def test_rows_come_back_in_send_order_with_their_variables(audience_of: AudienceOf) -> None:
    audience = audience_of('Name,E-Mail,email\n"Ann ""A""",x,ann@A.de\nBob,007,bob@b.de\n')

    (frame,) = audience.chunks(np.array([1, 0]))

    assert audience.columns == ("Name", "E-Mail")
    assert frame.columns.tolist() == ["row", "email", "domain", "variables"]
    assert frame["row"].tolist() == [2, 1]
    assert frame["email"].tolist() == ["bob@b.de", "ann@a.de"]
    assert frame["domain"].tolist() == ["b.de", "a.de"]
    assert [json.loads(text) for text in frame["variables"]] == [
        {"Name": "Bob", "E-Mail": "007"},
        {"Name": 'Ann "A"', "E-Mail": "x"},
    ]


def test_a_part_of_the_rows_can_be_read_in_small_frames(audience_of: AudienceOf) -> None:
    audience = audience_of("email\n" + "".join(f"u{i}@example.com\n" for i in range(7)))

    frames = list(audience.chunks(np.array([6, 2, 4]), rows=2))

    assert [frame["email"].tolist() for frame in frames] == [
        ["u6@example.com", "u2@example.com"],
        ["u4@example.com"],
    ]
    assert accepted(audience, []) == []


def test_an_audience_without_a_valid_row_has_length_zero(audience_of: AudienceOf) -> None:
    audience = audience_of("email\nnobody\n")

    assert len(audience) == 0
    assert accepted(audience) == []
    assert rejects(audience) == [(1, "nobody", "invalid")]


def test_a_source_with_only_malformed_rows_is_read(audience_of: AudienceOf) -> None:
    audience = audience_of("email,name\na\nb\n")

    assert (audience.read, len(audience)) == (2, 0)
    assert rejects(audience) == [(1, "a", "invalid"), (2, "b", "invalid")]


@pytest.mark.parametrize("text", ["email\n", "email", "email,name\n\n\n"])
def test_a_source_without_rows_is_refused(audience_of: AudienceOf, text: str) -> None:
    with pytest.raises(AudienceError, match="the audience is empty"):
        audience_of(text)


def test_an_exclude_source_without_rows_excludes_nobody(audience_of: AudienceOf) -> None:
    assert accepted(audience_of("email\na@b.de\n", exclude="email\n")) == ["a@b.de"]


def test_the_text_of_a_rejected_row_can_be_stored_in_any_database(audience_of: AudienceOf) -> None:
    """PostgreSQL stores no NUL, and a malformed row may have a megabyte."""
    (frame,) = audience_of(f"email\na\0b\n{'x' * 2_000}\n").rejects()

    assert frame["email"].tolist() == ["a\ufffdb", "x" * 1_000]


@pytest.mark.parametrize("failing", [False, True])
def test_no_temporary_file_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    spooled = tmp_path / "spooled"
    spooled.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spooled))
    source = tmp_path / "recipients.csv"
    source.write_bytes(b"email\na@b.de\n" + (b"\xff\n" if failing else b""))
    options: dict[str, Any] = {
        "suppressed": suppressing(),
        "hosted": by_table,
        "connect": no_database,
    }

    if failing:
        with pytest.raises(AudienceError):
            resolve([RecipientSource(path=str(source))], **options)
    else:
        with resolve([RecipientSource(path=str(source))], **options):
            assert list(spooled.iterdir())

    assert list(spooled.iterdir()) == []


def test_a_closed_audience_holds_no_memory_for_its_rows(audience_of: AudienceOf) -> None:
    """Prefect holds the results of tasks until the flow ends, and sending takes hours."""
    audience = audience_of("email\na@b.de\nc@d.de\nbad\n")
    arrays = [weakref.ref(held) for held in vars(audience).values() if isinstance(held, np.ndarray)]
    assert len(arrays) == 4
    audience.close()
    assert [array() for array in arrays] == [None] * 4


fields = st.sampled_from(["a@b.de", "A@b.de", "a@B.de", "c@d.de", "e@f.de", "g@h.de", "bad", ""])


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=examples(60),
)
@given(
    st.lists(st.tuples(fields, st.integers(0, 2)), min_size=1, max_size=30),
    st.lists(fields, max_size=3),
    st.sets(st.sampled_from(["a@b.de", "c@d.de"])),
)
def test_every_row_is_accounted_for(
    audience_of: AudienceOf, rows: list[tuple[str, int]], exclude: list[str], suppressed: set[str]
) -> None:
    text = "email,name\n" + "".join(f'"{email}"{",x" * extra}\n' for email, extra in rows)
    exclusions = "email\n" + "".join(f'"{email}"\n' for email in exclude)

    audience = audience_of(text, exclude=exclusions, suppressed=tuple(suppressed))

    assert audience.read == len(rows) == len(audience) + sum(audience.counts().values())
    assert sum(audience.held_back().values()) == audience.counts()[RejectReason.SUPPRESSED]
    frames = list(audience.chunks(np.arange(len(audience))))
    seen = [int(row) for frame in frames for row in frame["row"]]
    seen += [int(row) for row, _, _ in rejects(audience)]
    assert sorted(seen) == list(range(1, len(rows) + 1))
    emails = accepted(audience)
    assert len(emails) == len(set(emails))
    assert not suppressed & set(emails)
    assert not {email.replace("B", "b") for email in exclude} & set(emails)


def test_the_assignment_is_the_same_for_shuffled_rows(audience_of: AudienceOf) -> None:
    rows = [f"user{i}@{'large' if i % 3 else f's{i}'}.example.com\n" for i in range(500)]
    campaign = Campaign.model_validate(
        {
            "name": "spring-sale",
            "recipients": {"path": "recipients.csv"},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            "strategy": "percentage",
            "routes": [{"connection": "a", "percent": 70}, {"connection": "b", "percent": 30}],
        }
    )
    sent = []
    for lines in (rows, rows[::-1]):
        audience = audience_of("email\n" + "".join(lines))
        keys = (audience.address_keys, audience.domain_keys)
        plan = assign(*keys, campaign, date(2026, 1, 5), audience.providers)
        emails = accepted(audience, plan.order.tolist())
        sent.append(list(zip(emails, plan.route.tolist(), strict=True)))

    assert sent[0] == sent[1]


def test_apostrophes_and_bad_exclusions_are_warned_of(
    audience_of: AudienceOf,
) -> None:
    audience = audience_of(
        "email\n'ann@example.com\nbob@example.com\no'neil@example.com\n",
        exclude="email,n\nnobody,1\none,field,too many\nbob@example.com,1\n",
    )
    assert accepted(audience) == ["'ann@example.com", "o'neil@example.com"]  # as it is written
    first, second = audience.notes()
    assert "1 rows have an address that begins with an apostrophe" in first
    assert "2 rows of the exclusions have no address" in second
    assert "example" not in first + second


def test_wildcards_in_exclusions_are_warned_of(audience_of: AudienceOf) -> None:
    audience = audience_of(
        "email\nann@example.com\n*@example.com\n", exclude="email\n*@example.com\nb*@c.de\n%@d.de\n"
    )
    assert accepted(audience) == ["ann@example.com"]  # an asterisk is a letter (RFC 5322)
    (note,) = audience.notes()
    assert note.startswith("3 rows of the exclusions have a wildcard")


@pytest.mark.parametrize(("exclude", "noted"), [("email\n", 1), ("email,n\nbad\n", 0)])
def test_exclusions_without_rows_are_warned_of(
    audience_of: AudienceOf, exclude: str, noted: int
) -> None:
    notes = audience_of("email\nann@example.com\n", exclude=exclude).notes()
    assert (
        sum("exclude.csv have no rows, so they exclude nobody" in note for note in notes) == noted
    )


def test_good_lists_cause_no_warnings(audience_of: AudienceOf) -> None:
    assert audience_of("email\nann@example.com\n", exclude="email\nb@c.de\n").notes() == []
