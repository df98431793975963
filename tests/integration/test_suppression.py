"""The suppression list: strength of reasons, imports, exports, additions, removals."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta, timezone
from itertools import permutations
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from mailsluice.audience import csv_file
from mailsluice.audience.address import normalise
from mailsluice.audience.chunk import as_array
from mailsluice.audience.keys import address_keys
from mailsluice.bounces import Bounce, BounceKind
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError
from mailsluice.core.suppression import Suppression
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.core.table_file import TableFileError
from mailsluice.operations.suppression.by_hand import SuppressionError, add, remove
from mailsluice.operations.suppression.exporting import export_suppressions
from mailsluice.operations.suppression.importing import Imported, import_suppressions
from mailsluice.operations.suppression.lookup import Lookup
from mailsluice.store import Bounces, Database, Suppressions
from mailsluice.store.schema import suppressions
from tests.databases import no_database
from tests.thorough import examples

ANN = "ann@example.com"


def listed(database: Database) -> dict[str, tuple[str, str, float | None]]:
    return {
        email: (reason, source, since)
        for page in Suppressions(database).rows()
        for email, reason, source, since in page
    }


def imported(database: Database, path: Path, text: str, **fields: str) -> Imported:
    path.write_text(text)
    source = RecipientSource(path=str(path), **fields)
    return import_suppressions(database, source, SuppressionReason.IMPORTED, no_database)


@pytest.mark.parametrize(
    "order", list(permutations([SuppressionReason.BOUNCED, *SuppressionReason][:3]))
)
def test_the_strongest_reason_wins_in_any_order(
    database: Database, order: tuple[SuppressionReason, ...]
) -> None:
    new = [
        Suppressions(database).add([ANN], reason=reason, source=reason.value) for reason in order
    ]
    assert new == [1, 0, 0]
    assert listed(database)[ANN][:2] == ("complained", "complained")


def test_an_address_with_several_reasons_gets_the_strongest(
    database: Database, tmp_path: Path
) -> None:
    text = f"email,reason\n{ANN},bounce\n{ANN},unsubscribe\n{ANN},import\n"
    done = imported(database, tmp_path / "x.csv", text)
    assert (done.new, done.known) == (1, 2)
    assert listed(database)[ANN][0] == "unsubscribed"


def test_an_import_keeps_reason_source_and_date(database: Database, tmp_path: Path) -> None:
    text = (
        "Email,Type,Created\n"
        "a@EXAMPLE.com,spamreport,2026-01-02T00:00:00Z\n"
        "b@example.com,Hard Bounce,1767312000\n"
        'c@example.com,unsubscribes,"Fri, 02 Jan 2026 00:00:00 GMT"\n'
        "d@example.com,,\n"
        "e@example.com,550 no such user,yesterday\n"
        "nobody,bounce,\n"
        "one,field,too,many\n"
    )
    done = imported(database, tmp_path / "x.csv", text)
    found = listed(database)
    day = 1_767_312_000.0
    assert found["a@example.com"] == ("complained", "import x.csv", day)
    assert found["b@example.com"] == ("bounced", "import x.csv", day)
    assert found["c@example.com"] == ("unsubscribed", "import x.csv", day)
    assert found["d@example.com"][0] == found["e@example.com"][0] == "imported"
    assert (done.rows, done.new, done.known, done.bad) == (7, 5, 0, 2)
    assert done.bad_rows == [
        (6, "not an address that mail can be sent to"),
        (7, "not as many fields as the header"),
    ]
    assert (done.other_reasons, done.other_dates) == (1, 1)
    assert done.summary() == "7 rows: 5 new, 0 on the list already, 2 bad"


def test_an_unreadable_date_costs_no_other_row(database: Database, tmp_path: Path) -> None:
    bad = ["9999-12-31", "0001-01-01T00:00:00", "1000-01-01", "2262-04-12", "1e300", "-1", "now"]
    good = ["2026-01-02", "1767312000000000", "20260102", "2.1.2026", ""]
    text = "".join(f"{i}@b.de,{date}\n" for i, date in enumerate(bad + good))
    done = imported(database, tmp_path / "x.csv", f"email,date\n{text}")
    assert done.new == len(bad + good)
    assert done.notes()[0] == f"{len(bad)} rows have an unreadable date, and got today's"
    since = [listed(database)[f"{i}@b.de"][2] or 0 for i in range(done.new)]
    now, day = since[-1], 1_767_312_000.0
    assert since[len(bad) : -1] == [day] * 4
    assert since[: len(bad)] == pytest.approx([now] * len(bad), abs=60)


def test_the_order_of_day_and_month_is_the_same_in_the_whole_list(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part of the list that shows the order may come after the parts that need it."""
    monkeypatch.setattr(csv_file, "_BLOCK_BYTES", 1_000)
    rows = [f"user{i}@example.com,03/04/2026" for i in range(200)]
    text = "\n".join(["email,date", *rows, "last@example.com,13/04/2026 10:00", ""])
    assert imported(database, tmp_path / "x.csv", text).other_dates == 0
    since = {since for _, _, since in listed(database).values()}
    assert since == {1_775_174_400.0, 1_776_074_400.0}  # 3 April, 13 April 10:00


def test_odd_types_of_a_parquet_file_are_read_as_text(database: Database, tmp_path: Path) -> None:
    zone = timezone(timedelta(hours=2))
    table = {
        "email": ["a@b.de", "b@b.de", None],
        "reason": pa.array([1.5, None, 2.0]),
        "source": pa.array([[1, 2], None, []]),
        "date": pa.array(
            [datetime(2026, 1, 2, 2, tzinfo=zone), datetime(9999, 1, 1, tzinfo=zone), None]
        ),
    }
    path = tmp_path / "list.parquet"
    parquet.write_table(pa.table(table), path)
    source = RecipientSource(path=str(path))
    done = import_suppressions(database, source, SuppressionReason.MANUAL, no_database)
    assert (done.new, done.bad, done.other_reasons, done.other_dates) == (2, 1, 1, 1)
    assert listed(database)["a@b.de"] == ("manual", "[1,2]", 1_767_312_000.0)


def test_a_source_with_u0000_is_stored(database: Database) -> None:
    """PostgreSQL stores no U+0000 in a text; one row must not stop an import."""
    Suppressions(database).add(["nul@example.com"], reason="bounced", source="a\0b\\u0000")
    assert listed(database)["nul@example.com"][1] == "a\ufffdb\\u0000"


def test_a_repeated_import_changes_nothing(database: Database, tmp_path: Path) -> None:
    text = f"EmailAddress,Reason,LastUpdateTime\n{ANN},COMPLAINT,2026-01-02T00:00:00Z\n"
    fields = {"email_column": "EmailAddress"}
    imported(database, tmp_path / "x.csv", text, **fields)
    before = listed(database)
    assert imported(database, tmp_path / "x.csv", text, **fields).new == 0
    assert listed(database) == before


def test_an_import_without_a_source_is_refused(database: Database) -> None:
    with pytest.raises(AudienceError, match="give a file"):
        import_suppressions(database, RecipientSource(), SuppressionReason.MANUAL, no_database)


def test_a_query_may_be_imported(database: Database, tmp_path: Path) -> None:
    crm = sa.create_engine(f"sqlite:///{tmp_path / 'crm.db'}")
    source = RecipientSource(query="select 'a@b.de' as email, 'optout' as type", database="crm")
    done = import_suppressions(database, source, SuppressionReason.MANUAL, lambda _: crm)
    crm.dispose()
    assert done.new == 1
    assert listed(database)["a@b.de"][:2] == ("unsubscribed", "import from crm")


@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
def test_an_export_can_be_imported(database: Database, tmp_path: Path, name: str) -> None:
    text = f"{ANN},bounced,smtp red,2026-01-02\nb@c.de,manual,-me,1767312000\n"
    imported(database, tmp_path / "x.csv", f"email,reason,source,date\n{text}")
    before, path = listed(database), tmp_path / name
    assert export_suppressions(database, path).rows == 2
    Suppressions(database).remove(before, even_wishes=True)
    source = RecipientSource(path=str(path))
    assert import_suppressions(database, source, SuppressionReason.IMPORTED, no_database).new == 2
    assert listed(database) == before


def test_stored_dates_that_no_calendar_has_are_exported_as_empty(
    database: Database, tmp_path: Path
) -> None:
    """Imports of earlier versions stored microseconds and worse as seconds."""
    dates = {"a@b.de": 1.7e15, "b@b.de": 1.7e18, "c@b.de": 1e300, "d@b.de": 1_767_312_000.0}
    with database.write() as transaction:
        rows = [Suppression(email, "bounced", "x", since) for email, since in dates.items()]
        Suppressions(database).write(transaction, rows)
    path = tmp_path / "list.csv"
    export_suppressions(database, path)
    with path.open(newline="") as file:
        exported = [row["date"] for row in csv.DictReader(file)]
    assert exported == ["", "", "", "2026-01-02T00:00:00.000Z"]


_LOCAL = st.from_regex(r"['=+-]{0,3}[a-z]{1,5}", fullmatch=True)
_SOURCE = st.from_regex(r"['=+@-]{0,3}[a-z]{1,5}", fullmatch=True)


@given(
    st.dictionaries(_LOCAL, _SOURCE, min_size=1, max_size=5),
    st.sampled_from(["list.csv", "list.parquet"]),
)
@settings(
    max_examples=examples(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_an_imported_export_gives_the_same_list(
    database: Database, tmp_path: Path, sources: dict[str, str], name: str
) -> None:
    before = {
        f"{local}@example.com": (SuppressionReason.MANUAL, source, 1_767_312_000.0)
        for local, source in sources.items()
    }
    path = tmp_path / name
    with database.write() as transaction:
        transaction.execute(sa.delete(suppressions))
        rows = [Suppression(email, *entry) for email, entry in before.items()]
        Suppressions(database).write(transaction, rows)
    export_suppressions(database, path, overwrite=True)
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            assert not any(cell[:1] in "=+-@" for row in csv.reader(file) for cell in row if cell)
    else:
        assert set(pd.read_parquet(path)["email"]) == set(before)
    with database.write() as transaction:
        transaction.execute(sa.delete(suppressions))
    source = RecipientSource(path=str(path))
    import_suppressions(database, source, SuppressionReason.IMPORTED, no_database)
    assert listed(database) == before


def test_an_export_can_be_limited_to_reasons(database: Database, tmp_path: Path) -> None:
    Suppressions(database).add(["a@b.de"], reason="bounced", source="x")
    Suppressions(database).add(["c@d.de"], reason="manual", source="x")
    path = tmp_path / "list.csv"
    export_suppressions(database, path, reasons=[SuppressionReason.MANUAL])
    with path.open(newline="") as file:
        assert [row["email"] for row in csv.DictReader(file)] == ["c@d.de"]
    with pytest.raises(TableFileError, match="exists"):
        export_suppressions(database, path)


def test_addresses_are_added_once_and_normalised(database: Database) -> None:
    done = add(database, [" a@B.de", "a@b.de", "nobody"], SuppressionReason.MANUAL, "an operator")
    assert (done.new, done.known, done.bad_rows[0][0]) == (1, 0, 3)
    assert done.summary() == "1 added, 1 bad"
    assert (
        add(database, ["a@b.de"], SuppressionReason.BOUNCED, "x").summary()
        == "0 added, 1 on the list already"
    )
    with pytest.raises(SuppressionError, match="nothing was added"):
        add(database, ["nobody"], SuppressionReason.MANUAL, "x")


def test_unsubscribed_addresses_are_removed_only_on_request(
    database: Database, tmp_path: Path
) -> None:
    for reason in SuppressionReason:
        Suppressions(database).add([f"{reason}@b.de"], reason=reason, source="x")
    file = tmp_path / "x.csv"
    file.write_text(
        "email\n" + "".join(f"{reason}@b.de\n" for reason in SuppressionReason) + "other@b.de\n"
    )
    done = remove(database, [], path=str(file))
    assert done.summary() == "3 removed, 1 not on the list, 2 stay: unsubscribed or complained"
    assert set(listed(database)) == {"complained@b.de", "unsubscribed@b.de"}
    assert remove(database, [], path=str(file), even_wishes=True).removed == 2
    assert listed(database) == {}
    with pytest.raises(SuppressionError, match="no address was given"):
        remove(database, [])


def test_a_bad_row_is_reported_by_its_number(database: Database, tmp_path: Path) -> None:
    Suppressions(database).add([ANN, "b@c.de"], reason="manual", source="x")
    file = tmp_path / "x.csv"
    file.write_text(f"email,n\n{ANN.upper()},1\n{ANN},1\nb@c.de\nnobody,1\n")
    done = remove(database, [], path=str(file))
    assert done.summary() == "1 removed, 2 bad"
    assert [row for row, _ in done.bad_rows] == [3, 4]
    assert set(listed(database)) == {"b@c.de"}


def test_an_import_notes_apostrophes_before_addresses(database: Database, tmp_path: Path) -> None:
    done = imported(database, tmp_path / "x.csv", "email\n'ann@example.com\nbob@example.com\n")
    first, second = done.notes()
    assert first.startswith("1 rows have an address that begins with an apostrophe")
    assert second.endswith("so all rows got the one in the form: imported")


def test_wildcards_are_noted(database: Database, tmp_path: Path) -> None:
    text = "email,reason\n*@example.com,manual\n%@b.de,manual\na%b@c.de,manual\n@d.de,manual\n"
    done = imported(database, tmp_path / "x.csv", text)
    assert (done.new, done.bad) == (3, 1)
    (note,) = done.notes()
    assert note.startswith("2 rows have a wildcard such as * in the address")
    (note,) = add(database, ["*@e.de", ANN], SuppressionReason.MANUAL, "me").notes()
    assert note.startswith("1 have a wildcard such as * in the address")


def test_soft_bounces_before_a_removal_no_longer_count(database: Database) -> None:
    def soft(key: int) -> Bounce:
        return Bounce(str(key), ANN, BounceKind.SOFT, "", "", "x", float(key))

    bounces = Bounces(database)
    hard = Bounce("hard", ANN, BounceKind.HARD, "", "", "x", 0.0)
    assert bounces.record([soft(key) for key in range(4)]).suppressed == 0
    assert bounces.record([hard]).suppressed == 1
    assert remove(database, [ANN]).removed == 1
    assert bounces.record([hard]).suppressed == 0  # the same report, read once more
    assert bounces.record([soft(4)]).suppressed == 0
    assert bounces.record([soft(key) for key in range(5, 9)]).suppressed == 1


@pytest.mark.parametrize("size", [3, 400])
def test_a_lookup_finds_the_same_in_short_and_long_lists(database: Database, size: int) -> None:
    everybody = [f"user{i}@example.com" for i in range(size)]
    Suppressions(database).add(everybody, reason="bounced", source="x")
    emails = normalise(pd.Series(["user2@example.com", "new@example.com", "user0@Example.com"]))
    found = Lookup(Suppressions(database))(emails["email"], address_keys(as_array(emails["email"])))
    assert {at: suppression.email for at, suppression in found.items()} == {
        0: "user2@example.com",
        2: "user0@example.com",
    }
