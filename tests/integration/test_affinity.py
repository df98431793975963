"""Affinity over the campaigns of a group: remembered at the launch, on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from mailsluice.campaign import Campaign
from mailsluice.campaign.warm_up import OverCap, WarmUp
from mailsluice.core.affinity_counts import AffinityCounts
from mailsluice.core.errors import CampaignError
from mailsluice.operations import affinity, launch
from mailsluice.operations.plan.launching import plan_launch
from mailsluice.reports.campaign.page import page
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.smtp.connection import Connection
from mailsluice.store import Campaigns, Database, Launches
from mailsluice.store.affinities import NOT_KNOWN, Affinities
from mailsluice.store.affinity_pages import Numbers
from mailsluice.store.schema import affinities, recipients
from tests.databases import no_database

OCCASION = launch.Occasion(date(2026, 1, 5), datetime(2026, 1, 5, 12, tzinfo=UTC))
PEOPLE = [f"user{i}@{'large' if i % 3 else f's{i % 17}'}.example.com" for i in range(300)]


def campaign(folder: Path, name: str, people: Iterable[str], **fields: Any) -> Campaign:
    path = folder / f"{name}.csv"
    path.write_text("email\n" + "".join(f"{one}\n" for one in people))
    shares = fields.pop("shares", {"red": 50, "blue": 50})
    return Campaign.model_validate(
        {
            "name": name,
            "recipients": {"path": str(path)},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            "strategy": "percentage",
            "routes": [{"connection": to, "percent": share} for to, share in shares.items()],
            "affinity": "recipient",
            **fields,
        }
    )


def launched(
    database: Database, document: Campaign, occasion: launch.Occasion = OCCASION
) -> dict[str, str]:
    """Launch a campaign; returns the connection of each address."""
    record = Campaigns(database).register(document.name, launch.content(document))
    with launch.resolve_audience(document, database, no_database) as audience:
        launch.store_audience(database, record.id, document, audience, occasion)
    mine = recipients.c.campaign_id == record.id
    with database.read() as connection:
        rows = connection.execute(
            sa.select(recipients.c.email, recipients.c.connection).where(mine)
        )
        return {row.email.lower(): row.connection for row in rows}


def test_addresses_keep_their_connection_and_the_fewest_move(
    database: Database, tmp_path: Path
) -> None:
    first = launched(database, campaign(tmp_path, "first", PEOPLE))
    again = [one.upper() for one in PEOPLE[::-1]]  # the same mailboxes
    assert launched(database, campaign(tmp_path, "second", again)) == first

    later = [*PEOPLE[30:], *(f"new{i}@large.example.com" for i in range(30))]
    document = campaign(tmp_path, "third", later, shares={"red": 60, "blue": 40})
    connections = {name: Connection(name, "127.0.0.1", 25) for name in ("red", "blue")}
    with launch.resolve_audience(document, database, no_database) as audience:
        plan = plan_launch(document, database, audience, connections, OCCASION)
    third = launched(database, document)
    moved = sum(third[one] != first[one] for one in PEOPLE[30:])
    blue = sum(first[one] == "blue" for one in PEOPLE[30:])
    assert sum(connection == "red" for connection in third.values()) == 180
    assert moved == max(0, blue - 120)
    said = (
        f"Affinity, group default: {270 - moved} recipients keep their connection,"
        f" {moved} move to another one, 30 are new."
    )
    report = stored_report(database, "third")
    assert report.digest == plan.digest
    for text in (plan.markdown(), page(report)):
        assert said in text


def test_a_connection_that_is_gone_leaves_its_recipients_to_the_others(
    database: Database, tmp_path: Path
) -> None:
    first = launched(database, campaign(tmp_path, "first", PEOPLE))
    shares = {"red": 50, "green": 50}
    second = launched(database, campaign(tmp_path, "second", PEOPLE, shares=shares))
    assert {one for one in PEOPLE if second[one] == first[one]} == {
        one for one in PEOPLE if first[one] == "red"
    }
    back = campaign(tmp_path, "back", PEOPLE, shares={"blue": 50, "green": 50})
    third = launched(database, back)
    assert all(third[one] == second[one] for one in PEOPLE if second[one] == "green")


def test_recipients_are_given_no_standby(database: Database, tmp_path: Path) -> None:
    """Also not those that an earlier campaign gave that connection, when it was no standby."""
    first = launched(database, campaign(tmp_path, "first", PEOPLE))
    routes: list[dict[str, Any]] = [
        {"connection": "red", "standby": True},
        {"connection": "green", "percent": 20},
        {"connection": "blue", "percent": 80},
    ]
    fields = {"routes": routes, "on_connection_down": "reassign"}
    second = launched(database, campaign(tmp_path, "second", PEOPLE, **fields))
    assert Counter(second.values()) == {"green": 60, "blue": 240}
    assert all(second[one] == "blue" for one in PEOPLE if first[one] == "blue")
    assert affinity.groups(database) == {"default": {"red": 0, "blue": 240, "green": 60}}


def test_groups_remember_apart_and_other_campaigns_not_at_all(
    database: Database, tmp_path: Path
) -> None:
    first = launched(database, campaign(tmp_path, "first", PEOPLE))
    for number, fields in enumerate(({"affinity_group": "shop"}, {"affinity": "off"})):
        other = launched(database, campaign(tmp_path, f"other {number}", PEOPLE, **fields))
        assert other != first
    assert launched(database, campaign(tmp_path, "last", PEOPLE)) == first
    counts = affinity.groups(database)
    assert counts == {"default": {"red": 150, "blue": 150}, "shop": {"red": 150, "blue": 150}}


def test_a_warm_up_that_spills_changes_no_memory(database: Database, tmp_path: Path) -> None:
    """Recipients over the cap go over another connection, and come back with the next campaign."""
    warm_up = WarmUp(start=OCCASION.day, daily_caps=(10,), over_cap=OverCap.SPILL, spill_to="blue")
    cold = launch.Occasion(OCCASION.day, OCCASION.moment, {"red": warm_up})
    first = launched(database, campaign(tmp_path, "first", PEOPLE), cold)
    assert sum(connection == "red" for connection in first.values()) == 10
    second = launched(database, campaign(tmp_path, "second", PEOPLE))
    assert sum(connection == "red" for connection in second.values()) == 150
    assert all(second[one] == "red" for one in PEOPLE if first[one] == "red")
    assert stored_report(database, "second").affinity.kept == 300  # type: ignore[union-attr]


def test_a_launch_beside_another_one_of_the_group_assigns_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one is launched after the first one has read what the group remembers."""
    recalled, launches = affinity.remembered, list[dict[str, str]]()

    def meanwhile(*arguments: Any) -> Any:
        memory = recalled(*arguments)
        if not launches:
            launches.append({})
            launches.append(launched(database, campaign(tmp_path, "other", PEOPLE)))
        return memory

    monkeypatch.setattr(affinity, "remembered", meanwhile)
    assert launched(database, campaign(tmp_path, "first", PEOPLE)) == launches[1]


def test_an_interrupted_launch_is_repeated_with_the_same_connections(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = campaign(tmp_path, "first", PEOPLE)
    with monkeypatch.context() as patch:
        patch.setattr(Launches, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            launched(database, document)
    before = affinity.groups(database)
    again = launched(database, document)
    report = stored_report(database, "first")
    assert report.affinity == AffinityCounts("default", kept=0, moved=0, new=300)
    assert affinity.groups(database) == before
    assert launched(database, campaign(tmp_path, "second", PEOPLE)) == again


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_campaigns_that_are_launched_at_once_agree(database: Database, tmp_path: Path) -> None:
    """Also where the group is new, so that all of them want to create it."""
    documents = [campaign(tmp_path, f"campaign {number}", PEOPLE) for number in range(4)]
    with ThreadPoolExecutor(len(documents)) as threads:
        first, *others = threads.map(partial(launched, database), documents)
    assert all(other == first for other in others)
    assert affinity.groups(database) == {"default": {"red": 150, "blue": 150}}


def test_a_launch_that_fails_remembers_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise CampaignError("the warm-up is impossible")

    with monkeypatch.context() as patch:
        patch.setattr(launch, "_placed", fails)
        with pytest.raises(CampaignError, match="impossible"):
            launched(database, campaign(tmp_path, "first", PEOPLE))
    assert affinity.groups(database) == {}


def test_addresses_and_groups_are_forgotten(database: Database, tmp_path: Path) -> None:
    launched(database, campaign(tmp_path, "first", PEOPLE))
    assert affinity.forget_addresses(database, [PEOPLE[0].upper(), PEOPLE[1], "nobody@b.de"]) == 2
    assert sum(affinity.groups(database)["default"].values()) == 298
    launched(database, campaign(tmp_path, "second", PEOPLE))
    report = stored_report(database, "second").affinity
    assert report
    assert (report.kept + report.moved, report.new) == (298, 2)
    assert affinity.forget_group(database, "default") == 300
    assert affinity.groups(database) == {}
    with database.read() as connection:
        assert connection.execute(sa.select(affinities)).all() == []
    with pytest.raises(
        affinity.AffinityError, match="no affinity group 'default' \\(known: none\\)"
    ):
        affinity.forget_group(database, "default")


def test_a_memory_of_many_addresses_is_a_few_bytes_for_each(database: Database) -> None:
    """As many pages as there are, changed one by one: what is read is what was written last."""
    random = np.random.default_rng(1)
    keys = random.integers(0, 2**64, 40_000, dtype=np.uint64)
    store, numbers = Affinities(database), random.integers(0, 2, 40_000).astype(np.int16)

    def remember(some: slice, values: Numbers) -> None:
        with database.write() as transaction:
            group = store.begin(transaction, store.group("default"), ["red", "blue"])
            assert group
            store.remember(transaction, group, keys[some], values[some])

    remember(slice(0, 30_000), numbers)
    assert np.all(store.recall(store.group("default"), keys[30_000:]) == NOT_KNOWN)
    remember(slice(20_000, 40_000), 1 - numbers)
    expected = np.concatenate([numbers[:20_000], 1 - numbers[20_000:]])
    assert np.array_equal(store.recall(store.group("default"), keys), expected)
    length = sa.func.length(affinities.c.address_keys) + sa.func.length(affinities.c.connections)
    with database.read() as connection:
        pages, size = connection.execute(sa.select(sa.func.count(), sa.func.sum(length))).one()
    assert pages == 4_096
    assert int(size) == 40_000 * 10
