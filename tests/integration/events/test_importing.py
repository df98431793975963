"""Files of events are imported like pushed events: once each, in any order, on both databases."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
import sqlalchemy as sa
from pyarrow import parquet
from pydantic import ValidationError

from mailsluice.campaign.identity import Provider
from mailsluice.core.errors import AudienceError
from mailsluice.core.table_file import TableFileError
from mailsluice.events.event import DeliveryState
from mailsluice.events.providers import sendgrid
from mailsluice.operations.events import importing
from mailsluice.operations.events.importing import ImportedEvents, import_events
from mailsluice.operations.events.matching import (
    BY_ADDRESS,
    BY_PROVIDER_ID,
    BY_TOKEN,
    FOREIGN,
    match,
)
from mailsluice.operations.events.reading import LONGEST_LINE, EventFile
from mailsluice.store import Database
from mailsluice.store.deliveries import Deliveries
from mailsluice.store.schema import deliveries, events, recipients, suppressions
from tests.integration.events.sent_campaign import SENT_AT, SentCampaign
from tests.unit.events import payloads

pytestmark = pytest.mark.takes_turns

NAMES = ["ann", "bob", "carl", "dave"]
ANN = "ann@example.com"
LATER = SENT_AT + 100


@pytest.fixture
def sent(database: Database) -> SentCampaign:
    return SentCampaign(database, NAMES)


def run(
    database: Database,
    path: Path,
    provider: Provider = Provider.NONE,
    *,
    is_check: bool = False,
    bad_rows_file: str = "",
    goes_on: Callable[[], bool] = lambda: True,
    **fields: Any,
) -> ImportedEvents:
    return import_events(
        database,
        EventFile.model_validate({"path": str(path), **fields}),
        connection="relay",
        provider=provider,
        is_check=is_check,
        bad_rows_file=bad_rows_file,
        goes_on=goes_on,
    )


def stored(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    """All rows of a table but for the times at which they were stored."""
    with database.read() as reader:
        rows = [dict(row) for row in reader.execute(sa.select(table)).mappings()]
    for row in rows:
        row.pop("received_at", None)
        row.pop("created_at", None)
    return sorted(rows, key=str)


def states(database: Database) -> dict[int, str]:
    return {row["recipient_id"]: row["state"] for row in stored(database, deliveries)}


TABLE = f"""event,email,timestamp,reason
delivered,ann@example.com,{LATER},250 OK
bounce,bob@example.com,{LATER},550 5.1.1 no such user
spamreport,carl@example.com,{LATER},
open,dave@example.com,{LATER},
delivered,nobody@example.net,{LATER},
"""


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_a_pushed_event_without_a_recipient_counts_once_its_import_finds_one(
    database: Database, sent: SentCampaign, tmp_path: Path
) -> None:
    """Mail from before the provider was chosen has no token, so that only imports find it."""
    event = {"event": "spamreport", "email": ANN, "timestamp": LATER, "sg_event_id": "a"}
    foreign = {**event, "email": "nobody@example.net", "sg_event_id": "b"}
    pushed = sendgrid.read(orjson.dumps([event, foreign])).events
    Deliveries(database).record("relay", match(database, "relay", pushed, have_tokens=True))
    assert stored(database, suppressions) == []
    path = tmp_path / "events.ndjson"
    path.write_bytes(orjson.dumps([event, foreign]))
    check = run(database, path, Provider.SENDGRID, is_check=True)
    done = run(database, path, Provider.SENDGRID)
    assert check.recorded.states == done.recorded.states == {DeliveryState.COMPLAINED: 1}
    assert check.recorded.known == done.recorded.known == 1
    assert [row["email"] for row in stored(database, suppressions)] == [ANN]
    again = run(database, path, Provider.SENDGRID)
    assert (again.recorded.known, again.recorded.states.total()) == (2, 0)


@pytest.mark.parametrize("kind", ["csv", "parquet", "ndjson"])
def test_a_file_is_recorded_once_whatever_its_form(
    kind: str, database: Database, sent: SentCampaign, tmp_path: Path
) -> None:
    header, *lines = [line.split(",") for line in TABLE.splitlines()]
    path = tmp_path / f"events.{kind}"
    if kind == "csv":
        write(path, TABLE)
    elif kind == "parquet":
        columns = [pa.array(column) for column in zip(*lines, strict=True)]
        parquet.write_table(pa.table(columns, header), path)
    else:
        rows = [dict(zip(header, line, strict=True)) for line in lines]
        path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    done = run(database, path, Provider.SENDGRID)
    assert done.recorded.states == {
        DeliveryState.DELIVERED: 1,
        DeliveryState.BOUNCED: 1,
        DeliveryState.COMPLAINED: 1,
    }
    assert done.recorded.matched_by == {BY_ADDRESS: 3}
    assert done.recorded.unmatched == {FOREIGN: 1}
    assert (done.rows, done.unused, done.bad) == (5, 1, {})
    before = [stored(database, table) for table in (events, deliveries, suppressions)]
    assert {row["email"]: row["reason"] for row in before[2]} == {
        "bob@example.com": "bounced",
        "carl@example.com": "complained",
    }
    again = run(database, path, Provider.SENDGRID)
    assert (again.recorded.known, again.recorded.states.total()) == (4, 0)
    assert [stored(database, table) for table in (events, deliveries, suppressions)] == before
    assert "@" not in done.page() + done.summary()


def test_a_check_records_nothing_and_says_what_would_be(
    database: Database, sent: SentCampaign, tmp_path: Path
) -> None:
    path = write(tmp_path / "events.csv", TABLE + TABLE.partition("\n")[2])
    done = run(database, path, is_check=True)
    assert stored(database, events) + stored(database, deliveries) == []
    real = run(database, path)
    assert done.recorded.states == real.recorded.states
    assert done.recorded.unmatched == real.recorded.unmatched
    assert done.recorded.known == real.recorded.known == 4
    assert "would be recorded" in done.summary()
    assert "| 1 | delivered | 2026-07-25 17:21:40 | address |" in done.page()
    assert "@" not in done.page()


def test_a_pushed_event_in_a_file_is_known(
    database: Database, sent: SentCampaign, tmp_path: Path
) -> None:
    """The same event by the provider's id, whichever way it came first."""
    event = payloads.sendgrid("delivered", mailsluice=sent.token(ANN))
    path = tmp_path / "events.ndjson"
    path.write_bytes(orjson.dumps([event]))
    assert run(database, path, Provider.SENDGRID).recorded.matched_by == {BY_TOKEN: 1}
    table = f"sg_event_id,event,email,timestamp\nsg-delivered,delivered,{ANN},{LATER}\n"
    done = run(database, write(tmp_path / "events.csv", table), Provider.SENDGRID)
    assert done.recorded.known == 1
    assert len(stored(database, events)) == 1


def test_events_with_only_the_providers_id_are_matched(
    database: Database, sent: SentCampaign, tmp_path: Path
) -> None:
    with database.write() as writer:
        writer.execute(
            sa.update(recipients)
            .where(recipients.c.id == sent.ids[ANN])
            .values(reply="Ok: queued as bdT3qim")
        )
    table = f"event,message_id,timestamp\nbounce,bdT3qim.filter001,{LATER}\n"
    done = run(database, write(tmp_path / "events.csv", table), Provider.SENDGRID)
    assert done.recorded.matched_by == {BY_PROVIDER_ID: 1}
    assert states(database) == {sent.ids[ANN]: "bounced"}


class _KilledError(BaseException):
    pass


def test_shuffled_repeated_and_killed_imports_end_in_the_same_tables(
    database: Database, sent: SentCampaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = random.Random(7)
    words = ("delivered", "delay", "bounce", "soft_bounce", "spamreport", "unsubscribe", "open")
    replies = ("", "550 5.1.1 no such user")
    rows = [
        f"{chosen.choice(words)},{chosen.choice(NAMES)}@example.com,{LATER + n % 40},"
        f"{replies[n % 2]}"
        for n in range(400)
    ]
    header = TABLE.partition("\n")[0]
    monkeypatch.setattr(importing, "BATCH", 50)
    unharmed = SentCampaign(database, NAMES, campaign="unharmed", connection="green")
    path = write(tmp_path / "events.csv", "\n".join([header, *rows]))
    file = EventFile(path=str(path))
    import_events(database, file, connection="green", provider=Provider.NONE)
    record, calls = Deliveries.record, 0

    def killed(self: Deliveries, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls in (3, 6):  # before the commit, and after it
            raise _KilledError
        result = record(self, *arguments)
        if calls == 8:
            raise _KilledError
        return result

    monkeypatch.setattr(Deliveries, "record", killed)
    for _ in range(3):
        chosen.shuffle(rows)
        write(path, "\n".join([header, *rows]))
        try:
            run(database, path)
        except _KilledError:
            continue
    run(database, path)

    def of(campaign: SentCampaign) -> list[dict[str, Any]]:
        names = {row: name for name, row in campaign.ids.items()}
        return sorted(
            (
                {
                    **row,
                    "recipient_id": names[row["recipient_id"]],
                    "campaign_id": 0,
                    "connection": "",
                }
                for row in stored(database, deliveries)
                if row["recipient_id"] in names
            ),
            key=str,
        )

    assert calls > 8
    assert of(sent) == of(unharmed)
    keys = {
        name: {row["key"] for row in stored(database, events) if row["connection"] == name}
        for name in ("relay", "green")
    }
    assert keys["relay"] == keys["green"]


def test_bad_rows_are_counted_by_reason_and_listed_in_a_file(
    database: Database, sent: SentCampaign, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = TABLE + (
        f"jumped,ann@example.com,{LATER},\n"
        "delivered,ann@example.com,tomorrow,\n"
        f"delivered,,{LATER},\n"
        "delivered,ann@example.com\n"
        f"delivered,'=cmd|'/C calc'!A1@example.com,{LATER},=HYPERLINK(1)\n"
    )
    listed = tmp_path / "bad.csv"
    path = write(tmp_path / "events.csv", text)
    done = run(database, path, bad_rows_file=str(listed))
    assert done.bad == {
        "an unknown word for the event: give its meaning under names": 1,
        "the time is not in a known form, such as 2026-11-26T09:00:00Z": 1,
        "neither a recipient nor an id of the message": 1,
        "not as many fields as the header": 1,
    }
    assert done.recorded.states.total() == 3
    rows = listed.read_text().splitlines()
    assert sorted(line.partition(",")[0] for line in rows[1:]) == ["6", "7", "8", "9"]
    assert "@" not in listed.read_text() + done.page() + caplog.text
    with pytest.raises(TableFileError, match="exists"):
        run(database, path, bad_rows_file=str(listed))


def test_an_address_that_a_spreadsheet_would_run_is_found(
    sqlite_database: Database, tmp_path: Path
) -> None:
    sent = SentCampaign(sqlite_database, ["+ann", "=bob", "'carl"])
    lines = [f"delivered,{name}@example.com,{LATER}" for name in ("'+ann", "'=bob", "'carl")]
    done = run(
        sqlite_database,
        write(tmp_path / "events.csv", "\n".join(["event,email,timestamp", *lines])),
    )
    assert done.recorded.states == {DeliveryState.DELIVERED: 3}
    assert states(sqlite_database).keys() == {*sent.ids.values()}


def test_a_line_of_json_without_end_is_left_out_in_little_memory(
    database: Database, sent: SentCampaign, tmp_path: Path
) -> None:
    without_token = payloads.brevo("delivered", **{"X-Mailin-custom": ""})
    path, good = tmp_path / "events.ndjson", orjson.dumps(without_token)
    with path.open("wb") as file:
        file.write(b"\xef\xbb\xbf" + good + b"\n")
        file.truncate(300 * LONGEST_LINE)  # zeros, which take no room on the disk
        file.seek(0, 2)
        file.write(b"\n\n" + good.replace(b"ann@", b"bob@") + b"\r\nnot json\n\xff\xfe\n[1, {}]")
    tracemalloc.start()
    done = run(database, path, Provider.BREVO)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.recorded.matched_by == {BY_ADDRESS: 2}
    assert done.bad_rows == [
        (2, "longer than 1 MB"),
        (5, "not JSON"),
        (6, "not JSON"),
        (7, "not in the form of events of the provider 'brevo'"),
    ]
    assert peak < 30 * LONGEST_LINE


def test_lines_with_many_events_are_recorded_a_few_at_a_time(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole webhook bodies, a line each, would otherwise be in memory by the million."""
    monkeypatch.setattr(importing, "BATCH", 50)
    path, batches = tmp_path / "events.ndjson", count()
    lines = [
        [{"key": f"{line} {n}", "state": "delivered", "at": LATER, "email": ANN} for n in range(30)]
        for line in range(10)
    ]
    path.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    done = run(sqlite_database, path, goes_on=lambda: next(batches) >= 0)
    assert done.recorded.unmatched.total() == 300
    assert next(batches) == 5


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("events.csv", b"event,email,timestamp\nbounce,\xff,1\n", "is not utf-8"),
        ("events.csv", "event,email,timestamp\n".encode("utf-16"), "UTF-16"),
        ("events.csv", b"", "is empty"),
        ("events.csv", b"password\nhunter2\n", "no column for the name of the event"),
        ("events.csv", b'event,email,timestamp\nbounce,"ann,1\n', "quote that is never closed"),
        ("events.csv", b"event,email,timestamp\nbounce," + b"a" * (5 << 20), "row is longer than"),
        ("events.parquet", b"PAR1nonsense", "cannot be read as Parquet"),
        ("nowhere/events.csv", None, "cannot be opened"),
        ("nowhere/events.ndjson", None, "cannot be opened"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    name: str, content: bytes | None, wrong: str, sqlite_database: Database, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudienceError, match=wrong) as refused:
        run(sqlite_database, path)
    assert "hunter2" not in str(refused.value)
    assert stored(sqlite_database, events) == []


def test_a_stopped_import_says_so_and_goes_on(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SentCampaign(sqlite_database, NAMES)
    monkeypatch.setattr(importing, "BATCH", 1)
    path, left = write(tmp_path / "events.csv", TABLE), iter((True, True, False))
    done = run(sqlite_database, path, goes_on=lambda: next(left))
    assert (done.is_complete, done.recorded.states.total()) == (False, 2)
    assert "run it again to go on" in done.summary()
    done = run(sqlite_database, path)
    assert (done.is_complete, done.recorded.known, done.recorded.states.total()) == (True, 2, 1)


def test_the_operator_names_columns_words_and_the_time_zone(
    sqlite_database: Database, tmp_path: Path
) -> None:
    sent = SentCampaign(sqlite_database, NAMES)
    text = "Adresse;Was;Wann\nann@example.com;Zugestellt;2026-07-25 19:21:40\n"
    done = run(
        sqlite_database,
        write(tmp_path / "events.csv", text),
        columns={"recipient": "Adresse", "event": "Was", "time": "Wann"},
        names=[{"name": "zugestellt", "meaning": "delivered"}],
        timezone="Europe/Berlin",
        delimiter=";",
    )
    assert done.recorded.states == {DeliveryState.DELIVERED: 1}
    (row,) = stored(sqlite_database, deliveries)
    assert (row["recipient_id"], row["delivered_at"]) == (sent.ids[ANN], LATER)


def test_a_file_with_tabs_is_read_as_its_name_says(
    sqlite_database: Database, tmp_path: Path
) -> None:
    SentCampaign(sqlite_database, NAMES)
    done = run(sqlite_database, write(tmp_path / "events.tsv", TABLE.replace(",", "\t")))
    assert (done.recorded.states.total(), done.bad) == (3, {})


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"encoding": "klingon"}, "unknown encoding"),
        ({"delimiter": "a"}, "cannot separate columns"),
        ({"timezone": "Nowhere"}, "unknown time zone"),
        ({"columns": {"what": "x"}}, "columns"),
    ],
)
def test_a_file_that_is_described_wrongly_is_refused_before_it_is_read(
    fields: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(ValidationError, match=wrong):
        EventFile.model_validate({"path": "events.csv", **fields})


def test_known_events_are_looked_up_one_by_one(sqlite_database: Database) -> None:
    """A scan for each of them would make a second import of a large file take hours."""
    seen: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        seen.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        assert Deliveries(sqlite_database).known("relay", ["a", "b"]) == {}
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    statement, parameters = next(pair for pair in seen if "events" in pair[0])
    with sqlite_database.read() as reader:
        plan = reader.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert any("SEARCH events" in row[3] and "key=?" in row[3] for row in plan), plan
