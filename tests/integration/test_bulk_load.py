"""Loading an audience: what lists hold is stored as it is, and an interrupted load is repeated."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator, Sequence

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailsluice.core.errors import OutboxError
from mailsluice.core.status import CampaignStatus
from mailsluice.store import Campaigns, Database, Launches, bulk, campaign_tables
from mailsluice.store.schema import recipients, rejects
from mailsluice.store.trouble import DatabaseError
from tests.eventually import eventually
from tests.integration.campaign_fixtures import processes
from tests.thorough import examples

_STORED = ("email", "connection", "variables", "reassigned_from", "next_attempt_at", "code")
_DTYPES = {"code": "int64", "email": "str", "variables": "str"}
_numbers = itertools.count()

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
moments = st.floats(allow_nan=False)
codes = st.integers(-(2**15), 2**15 - 1)
optional_texts, optional_moments = st.none() | texts, st.none() | moments
rows_of_lists = st.lists(
    st.tuples(texts, texts, texts, optional_texts, optional_moments, codes), max_size=8
)


def frame(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    """A chunk with these rows."""
    columns = list(zip(*rows, strict=True)) or [()] * len(_STORED)
    return pd.DataFrame(
        {
            name: pd.Series(values, dtype=_DTYPES.get(name, "object"))
            for name, values in zip(_STORED, columns, strict=True)
        }
    )


def new_campaign(database: Database) -> int:
    """The row of a campaign that nobody has launched."""
    return Campaigns(database).register(f"campaign-{next(_numbers)}", {}).id


def stored(database: Database, campaign_id: int) -> list[tuple[object, ...]]:
    """The campaign's recipients in send order."""
    columns = [recipients.c[name] for name in _STORED]
    query = sa.select(*columns).where(recipients.c.campaign_id == campaign_id)
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(recipients.c.id))]


def number_stored(database: Database, campaign_id: int) -> int:
    """How many recipients the campaign has."""
    query = sa.select(sa.func.count()).where(recipients.c.campaign_id == campaign_id)
    with database.read() as connection:
        return int(connection.execute(query).scalar_one())


def sessions(database: Database, name: str) -> int:
    """Sessions of this name that PostgreSQL still has; they end a moment after their clients."""
    if database.is_sqlite:
        return 0
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name"
    with database.read() as connection:
        return int(connection.execute(sa.text(query), {"name": name}).scalar_one())


def copies(database: Database, name: str) -> bool:
    """Whether a session of this name copies rows to PostgreSQL, which nobody else sees yet."""
    if database.is_sqlite:
        return False
    query = (
        "SELECT count(*) FROM pg_stat_progress_copy JOIN pg_stat_activity USING (pid)"
        " WHERE application_name = :name AND tuples_processed > 2000"
    )
    with database.read() as connection:
        return bool(connection.execute(sa.text(query), {"name": name}).scalar_one())


def finish(database: Database, campaign_id: int, accepted: int) -> None:
    """End a launch that accepted all its rows."""
    Launches(database).finish(
        campaign_id, read_rows=accepted, accepted=accepted, rejected={}, assigned=[], digest=""
    )


def audience(number: int, start: int = 0) -> pd.DataFrame:
    """Recipients of one connection."""
    emails = [f"user{i}@example.com" for i in range(start, start + number)]
    return pd.DataFrame({"email": emails}).assign(connection="red", variables="{}")


@settings(
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(chunks=st.lists(rows_of_lists, max_size=4))
def test_any_text_and_number_is_stored_as_given_in_send_order(
    database: Database, chunks: list[list[tuple[object, ...]]]
) -> None:
    campaign_id = new_campaign(database)

    Launches(database).store_audience(campaign_id, map(frame, chunks), [])

    assert stored(database, campaign_id) == [row for chunk in chunks for row in chunk]


@settings(
    max_examples=examples(50),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=st.lists(st.tuples(texts, texts, texts), max_size=8))
def test_rejected_rows_are_stored_as_given(
    database: Database, rows: list[tuple[str, str, str]]
) -> None:
    campaign_id = new_campaign(database)
    columns = ["email", "reason", "detail"]
    rejected = pd.DataFrame(rows, columns=columns, dtype="str")
    rejected = rejected.assign(row=range(1, len(rows) + 1))

    Launches(database).store_audience(campaign_id, [], [rejected])

    query = sa.select(*(rejects.c[name] for name in columns))
    query = query.where(rejects.c.campaign_id == campaign_id).order_by(rejects.c.row)
    with database.read() as connection:
        assert [tuple(row) for row in connection.execute(query)] == rows


@pytest.mark.parametrize("from_recipients", [1, 10**9], ids=["own tables", "shared tables"])
def test_many_chunks_are_stored_in_send_order(
    database: Database, from_recipients: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_tables, "FROM_RECIPIENTS", from_recipients)
    sizes = [2_000, 1, 700, 3, 2_500, 40, 1_000, 1] * 3
    starts = itertools.accumulate(sizes, initial=0)
    campaign_id = new_campaign(database)

    Launches(database).store_audience(campaign_id, map(audience, sizes, starts), [])

    emails = [row[0] for row in stored(database, campaign_id)]
    assert emails == [*audience(sum(sizes))["email"]]


def test_an_error_in_the_middle_leaves_a_campaign_that_can_be_launched_again(
    database: Database,
) -> None:
    campaign_id, launches = new_campaign(database), Launches(database)
    without_connection = audience(10, 30).assign(connection=None)

    def unreadable() -> Iterator[pd.DataFrame]:
        yield from (audience(10), audience(10, 10), audience(10, 20))
        raise OSError("the temporary file is gone")

    refused = [audience(10), audience(10, 10), without_connection, audience(10, 20)]
    for chunks, error in ((unreadable(), OSError), (iter(refused), DatabaseError)):
        with pytest.raises(error):
            launches.store_audience(campaign_id, chunks, [])
        assert {record.status for record in Campaigns(database).all()} == {CampaignStatus.RESOLVING}

    launches.store_audience(campaign_id, [audience(20), audience(20, 20)], [])
    finish(database, campaign_id, 40)
    assert [row[0] for row in stored(database, campaign_id)] == [*audience(40)["email"]]


def test_a_launched_campaign_is_not_launched_again(database: Database) -> None:
    """A process that slept for longer than its lease must not replace what another run sends to."""
    campaign_id = new_campaign(database)
    Launches(database).store_audience(campaign_id, [audience(3)], [])
    finish(database, campaign_id, 3)
    with pytest.raises(OutboxError, match="another run has launched"):
        Launches(database).store_audience(campaign_id, [audience(4)], [])
    assert [row[0] for row in stored(database, campaign_id)] == [*audience(3)["email"]]
    if not database.is_sqlite:
        with pytest.raises(DatabaseError, match="is launched"):
            bulk.load_own_tables(database, campaign_id, [(audience(4), {"status": "pending"})])
        assert len(stored(database, campaign_id)) == 3


def _load_for_ever(url: sa.URL, campaign_id: int) -> None:
    with Database(url.render_as_string(hide_password=False)) as database:
        chunks = (audience(1_000, start) for start in itertools.count(0, 1_000))
        Launches(database).store_audience(campaign_id, chunks, [])


def test_a_launch_whose_process_was_killed_is_repeated_completely(database: Database) -> None:
    campaign_id = new_campaign(database)
    url = database.engine.url
    if not database.is_sqlite:
        url = url.update_query_dict({"application_name": "killed"})
    process = processes().Process(target=_load_for_ever, args=(url, campaign_id))
    process.start()
    try:
        eventually(
            lambda: copies(database, "killed") or number_stored(database, campaign_id) >= 2_000
        )
    finally:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    eventually(lambda: not sessions(database, "killed"))
    assert database.is_sqlite or stored(database, campaign_id) == []

    Launches(database).store_audience(campaign_id, [audience(1_500), audience(500, 1_500)], [])
    finish(database, campaign_id, 2_000)
    assert [row[0] for row in stored(database, campaign_id)] == [*audience(2_000)["email"]]
