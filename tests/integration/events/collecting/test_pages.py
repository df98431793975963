"""Events are fetched from providers' APIs once each, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mailsluice.campaign.identity import Provider
from mailsluice.events.event import DeliveryState
from mailsluice.operations.events.collected import CollectedEvents
from mailsluice.operations.events.matching import WITHOUT_TOKEN
from mailsluice.store import Database
from mailsluice.store import event_cursors as event_cursor_store
from mailsluice.store.schema import deliveries, events
from tests.integration.events.collecting.conftest import (
    DAY,
    HOUR,
    NAMES,
    Clock,
    Killed,
    Kills,
    collect,
    made,
    rows,
)
from tests.integration.events.sent_campaign import SENT_AT, SentCampaign
from tests.provider_apis.api import Answer, Asked, ProviderApi, served
from tests.provider_apis.lists import MailgunApi, PostmarkApi
from tests.unit.events import payloads

pytestmark = pytest.mark.takes_turns

"""Events with their times and delays; runs with the pause before, pages, and steps to a kill."""


@pytest.fixture
def mailgun_api(clock: Clock) -> Iterator[ProviderApi]:
    with served(MailgunApi(clock)) as api:
        yield api


@pytest.fixture
def filled(mailgun_api: ProviderApi, database: Database) -> ProviderApi:
    """Eight deliveries in the half an hour after the campaign, on three pages."""
    campaign = SentCampaign(database, NAMES)
    for number in range(8):
        at = SENT_AT + number * 60
        mailgun_api.store(at, made(Provider.MAILGUN, 3 * number, at, campaign))
    return mailgun_api


def test_events_are_fetched_page_by_page_and_recorded_for_their_recipients(
    database: Database, filled: ProviderApi, clock: Clock
) -> None:
    (done,) = collect(database, filled.account()).connections
    assert (done.new, done.fetched, done.pages, done.is_done) == (8, 8, 4, True)
    assert done.recorded.states == {DeliveryState.DELIVERED: 8}
    assert len(rows(database, deliveries)) == 8
    clock.now += 900
    (again,) = collect(database, filled.account()).connections
    assert (again.new, again.recorded.known, again.gap) == (0, 0, None)  # half an hour has passed
    first, second = (asked for asked in filled.asked if asked.params)
    assert float(first.params["begin"]) == SENT_AT - 60  # the campaign's launch
    assert float(second.params["begin"]) == float(first.params["end"]) - 1_800


def test_a_run_goes_on_after_the_pages_of_the_run_before(
    database: Database, filled: ProviderApi, clock: Clock
) -> None:
    (first,) = collect(database, filled.account(), pages=2).connections
    assert (first.new, first.is_done, first.trouble) == (6, False, None)
    clock.now += 900
    (second,) = collect(database, filled.account()).connections
    assert (second.new, second.recorded.known, second.is_done) == (2, 0, True)


def test_a_run_that_is_interrupted_is_continued_at_once(
    database: Database, filled: ProviderApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        Kills(patched).after(3)  # Ctrl-C after the first page is recorded
        with pytest.raises(Killed):
            collect(database, filled.account())
    (done,) = collect(database, filled.account()).connections
    assert (done.is_elsewhere, done.is_done) == (False, True)
    assert len(rows(database, events)) == 8


def test_a_page_that_the_provider_has_forgotten_is_fetched_from_the_start_of_its_window(
    database: Database, filled: ProviderApi
) -> None:
    collect(database, filled.account(), pages=2)
    filled.failing.append(Answer(404, {"message": "page not found"}))
    (done,) = collect(database, filled.account()).connections
    assert (done.new, done.recorded.known, done.is_done) == (2, 6, True)


@pytest.fixture
def beside(
    filled: ProviderApi, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[CollectedEvents, CollectedEvents]]:
    """Collects, and once more while the first page is on its way; the first result comes first."""

    def run() -> tuple[CollectedEvents, CollectedEvents]:
        answer = filled.answer
        inner: list[CollectedEvents] = []

        def answer_meanwhile(asked: Asked) -> Answer:
            reply = answer(asked)
            monkeypatch.setattr(filled, "answer", answer)
            inner.append(collect(database, filled.account()))
            return reply

        monkeypatch.setattr(filled, "answer", answer_meanwhile)
        return collect(database, filled.account()), inner[0]

    return run


def test_a_run_beside_another_leaves_the_connection_to_it(
    database: Database, beside: Callable[[], tuple[CollectedEvents, CollectedEvents]]
) -> None:
    first, second = beside()
    assert (first.connections[0].new, first.connections[0].is_done) == (8, True)
    assert (second.connections[0].fetched, second.is_troubled) == (0, False)
    assert second.summary() == "0 new of 0 fetched; 1 fetched by another run"


def test_a_run_that_was_slow_leaves_the_connection_to_the_one_that_took_it_over(
    database: Database,
    beside: Callable[[], tuple[CollectedEvents, CollectedEvents]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_cursor_store, "BUSY_SECONDS", -1.0)
    slow, other = beside()
    assert (other.connections[0].new, other.connections[0].is_done) == (8, True)
    assert (slow.connections[0].recorded.known, slow.is_troubled) == (3, False)
    assert slow.connections[0].is_elsewhere
    assert len(rows(database, events)) == 8


def test_another_account_begins_anew(database: Database, filled: ProviderApi) -> None:
    collect(database, filled.account())
    other = filled.account(domain="other.example.com")
    (done,) = collect(database, other).connections
    assert done.trouble == (
        "the API answers 404: correct the domain; for one in the EU, the API URL is"
        " https://api.eu.mailgun.net"
    )
    assert filled.asked[-1].params["begin"] == f"{SENT_AT - 60:.3f}"


def test_a_connection_that_cannot_be_asked_hinders_no_other(
    database: Database, filled: ProviderApi
) -> None:
    broken = filled.account("broken", key="old")
    collected = collect(database, broken, filled.account())
    assert [one.new for one in collected.connections] == [0, 8]
    assert collected.is_troubled
    assert collected.troubles() == [
        "broken: the API answers 401: correct the API key; for a domain in the EU, the API URL is"
        " https://api.eu.mailgun.net"
    ]
    text = collected.markdown()
    assert "## Stopped early" in text
    assert "| relay | mailgun | 2026-07-25 17:19 UTC | 2026-07-25 18:20 UTC | 8 | 8 |" in text
    assert "@" not in text + collected.summary()


def test_an_answer_in_another_format_is_the_connections_trouble(
    database: Database, filled: ProviderApi
) -> None:
    filled.failing.append(Answer(200, b"<html>Please log in, ann@example.com</html>"))
    (done,) = collect(database, filled.account()).connections
    assert done.trouble
    assert "not in the provider's format" in done.trouble
    assert "@" not in done.trouble


def test_a_gap_is_said_with_its_times(
    database: Database, filled: ProviderApi, clock: Clock
) -> None:
    collect(database, filled.account())
    clock.now += 3 * DAY
    collected = collect(database, filled.account())
    (done,) = collected.connections
    assert done.gap_warning == (
        "events of relay from 2026-07-25 18:20 UTC to 2026-07-27 18:20 UTC may be missing: they"
        " were not fetched before mailgun deletes events"
    )
    assert "1 with a gap" in collected.summary()
    assert "## Gaps" in collected.markdown()
    assert collect(database, filled.account()).gaps == 0


def test_events_about_other_mail_are_counted_by_reason(
    database: Database, filled: ProviderApi
) -> None:
    other = payloads.mailgun("delivered", id="x", recipient="eve@example.com")
    filled.store(SENT_AT, {**other, "timestamp": SENT_AT, "user-variables": {}})
    collected = collect(database, filled.account())
    (done,) = collected.connections
    assert done.recorded.unmatched == {"about no message of ours": 1}
    assert done.counts() == "9 fetched, 9 new, 0 known before, 1 about no message of ours"
    assert "| relay | about no message of ours | 1 |" in collected.markdown()


def test_a_connection_without_campaigns_is_asked_so_that_its_key_is_checked(
    database: Database, mailgun_api: ProviderApi, clock: Clock
) -> None:
    (done,) = collect(database, mailgun_api.account()).connections
    assert (done.is_done, done.fetched) == (True, 0)
    assert float(mailgun_api.asked[0].params["begin"]) == clock.now - HOUR


def test_a_bounce_of_postmark_is_matched_by_the_token_of_its_message(
    database: Database, clock: Clock
) -> None:
    """Several campaigns went to the address, so that the address alone says nothing."""
    campaign = SentCampaign(database, NAMES)
    SentCampaign(database, NAMES, campaign="summer", sent_at=SENT_AT + 60)
    with served(PostmarkApi(clock)) as api:
        for number in range(2):
            at = SENT_AT + 100 + number
            api.store(at, made(Provider.POSTMARK, number, at, campaign))
        bounces = [{**one.value, "Metadata": {}} for one in api.stored]
        api.failing += [Answer(200, {"Bounces": bounces})]
        api.failing += [Answer(422, {"ErrorCode": 701})]  # the message is no longer kept
        (done,) = collect(database, api.account()).connections
        assert done.recorded.matched_by == {"token": 1}
        assert done.recorded.unmatched == {WITHOUT_TOKEN: 1}
        asked = len(api.asked)
        (again,) = collect(database, api.account()).connections
        assert (again.recorded.known, len(api.asked) - asked) == (2, 1)  # only the page


def test_bounces_of_postmark_are_recorded_as_far_as_their_details_are_fetched(
    database: Database, clock: Clock
) -> None:
    """Otherwise a run that always stops among hundreds of details would never get on."""
    campaign = SentCampaign(database, NAMES)
    with served(PostmarkApi(clock)) as api:
        for number in range(2):
            at = SENT_AT + 100 + number
            api.store(at, made(Provider.POSTMARK, number, at, campaign))
        metadata = {"Metadata": {"mailsluice": campaign.token(next(iter(campaign.ids)))}}
        bounces = [{**one.value, "Metadata": {}} for one in api.stored]
        api.failing += [Answer(200, {"Bounces": bounces}), Answer(200, metadata), Answer(403, {})]
        (done,) = collect(database, api.account()).connections
        assert done.trouble
        assert (done.new, done.is_done) == (1, False)
        asked = len(api.asked)
        (again,) = collect(database, api.account()).connections
        assert (again.new, again.is_done) == (1, True)
        assert len(api.asked) - asked == 3  # the details of one, and the pages of two windows
