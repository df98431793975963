"""When a message log looks at a campaign's spans again, and how it shows addresses."""

from __future__ import annotations

import pytest

from mailsluice.operations.message_log.addresses import Addresses, AddressForm
from mailsluice.operations.message_log.sweep import Sweep
from mailsluice.store.message_log import Span


def due(sweep: Sweep, now: float) -> list[range]:
    return [*sweep.due(now)]


def test_neighbours_are_counted_together_up_to_a_limit() -> None:
    assert due(Sweep([*range(20), 30], 0.0), 0.0) == [range(16), range(16, 20), range(30, 31)]


def test_spans_without_news_are_looked_at_less_and_less_often_down_to_once_a_minute() -> None:
    sweep, now, waits = Sweep([7], 0.0), 0.0, []
    for _ in range(8):
        sweep.looked(7, now, has_news=False)
        wait = next(wait for wait in range(1, 1_000) if due(sweep, now + wait))
        waits.append(wait)
        now += wait
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]


def test_news_make_a_span_and_the_next_one_due_soon() -> None:
    sweep = Sweep([1, 2, 3], 0.0)
    for _ in range(10):
        for number in (1, 2, 3):
            sweep.looked(number, 0.0, has_news=False)
    sweep.looked(1, 100.0, has_news=True)
    assert due(sweep, 101.0) == [range(1, 4)]  # 3 was due at 60
    sweep.looked(3, 101.0, has_news=False)
    sweep.complete(1)
    assert due(sweep, 102.0) == [range(2, 3)]


def test_the_first_id_of_a_span_that_is_not_logged() -> None:
    span = Span(2)
    first = 2 * 4_096
    assert span.first_unlogged == first
    assert span.with_ids([first, first + 1, first + 9]).first_unlogged == first + 2
    assert span.with_ids(range(first, first + 4_096)).count == 4_096


KEY = "secret"


def shown(form: AddressForm, email: str = "Ann.Lee@Example.com") -> str | None:
    return Addresses(form, KEY).shown(email, email.lower())


def test_addresses_are_shown_as_the_setting_says() -> None:
    assert shown(AddressForm.PLAIN) == "Ann.Lee@Example.com"
    assert shown(AddressForm.NONE) is None
    hashed = shown(AddressForm.HASHED)
    assert hashed
    assert hashed.endswith("@example.com")
    assert hashed == shown(AddressForm.HASHED, "ann.lee@example.com")
    assert hashed != shown(AddressForm.HASHED, "bob@example.com")
    without = shown(AddressForm.HASHED_DOMAIN)
    assert without == hashed.partition("@")[0]
    assert Addresses(AddressForm.HASHED, "other").shown("a@b.com", "a@b.com") != Addresses(
        AddressForm.HASHED, KEY
    ).shown("a@b.com", "a@b.com")


@pytest.mark.parametrize(
    ("said", "masked"),
    [
        ("5.1.1 <ann.lee@example.com>: no such user", "5.1.1 <address>: no such user"),
        ("5.1.1 mailbox Ann.Lee is unknown", "5.1.1 mailbox <address> is unknown"),
        ("see https://x.example/?to=ann.lee%40example.com", "see https://x.example/?to=<address>"),
        ("2.0.0 queued", "2.0.0 queued"),
    ],
)
def test_words_of_servers_name_no_recipient_unless_addresses_are_plain(
    said: str, masked: str
) -> None:
    email = "Ann.Lee@Example.com"
    assert Addresses(AddressForm.HASHED, KEY).said(said, email) == masked
    assert Addresses(AddressForm.PLAIN, KEY).said(said, email) == said
