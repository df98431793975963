"""Publishing the page of all campaigns: two runs that end together lose no row."""

from __future__ import annotations

import logging
from typing import cast

import pytest

from mailsluice.reports.overview import CampaignRow, Overview, State
from mailsluice.store import Database
from tasks import campaigns as module

STORE = cast("Database", None)


def listing(*names: str, state: State = State.COMPLETED) -> Overview:
    numbers = (10, 10, None, 0, 0, None, None, None)
    return Overview([CampaignRow(name, state, *numbers) for name in names], 0, 0.0)


class World:
    """A store whose list changes while a page is on its way, and the pages that were published."""

    def __init__(self, *lists: Overview) -> None:
        self.lists = list(lists)
        self.pages: list[str] = []

    def overview(self, _: Database) -> Overview:
        return self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]

    async def replace(self, kind: str, *, page: str, summary: str) -> None:
        assert kind == "campaigns"
        self.pages.append(page)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(listing("a"))
    monkeypatch.setattr(module, "overview", made.overview)
    monkeypatch.setattr(module, "replace", made.replace)
    return made


async def test_a_list_that_does_not_change_is_published_once(world: World) -> None:
    assert await module.publish_campaigns(STORE) == listing("a")
    assert len(world.pages) == 1


async def test_a_run_that_ended_meanwhile_is_on_the_last_page(world: World) -> None:
    """The page of another run may be published before this one, without this campaign."""
    world.lists = [listing("a"), listing("b", "a")]
    await module.publish_campaigns(STORE)
    assert len(world.pages) == 2
    assert "| b |" in world.pages[-1]


async def test_progress_of_others_does_not_publish_it_again_and_again(world: World) -> None:
    sending = [listing("a", *["b"] * number, state=State.SENDING) for number in range(9)]
    world.lists = sending
    await module.publish_campaigns(STORE)
    assert len(world.pages) == 1


async def test_a_page_that_cannot_be_published_fails_no_run(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def away(_: object, **__: object) -> None:
        raise OSError("away: ann@example.com")

    monkeypatch.setattr(module, "replace", away)
    with caplog.at_level(logging.WARNING):
        await module.refresh_campaigns(STORE)
    assert "the page of campaigns was not published: OSError" in caplog.text
    assert "@" not in caplog.text
