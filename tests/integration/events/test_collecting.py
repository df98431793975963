"""Events are fetched from providers' APIs once each, whatever happens meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailsluice.campaign.identity import Provider
from mailsluice.events.event import DeliveryState
from mailsluice.events.pulled import brevo, mailgun, postmark, sparkpost
from mailsluice.events.pulled.account import EventAccount
from mailsluice.events.pulled.feeds import FEEDS
from mailsluice.events.pulled.page import ApiRequest
from mailsluice.operations.events import collecting
from mailsluice.operations.events.collected import CollectedEvents
from mailsluice.operations.events.matching import WITHOUT_TOKEN
from mailsluice.store import Database
from mailsluice.store import event_cursors as event_cursor_store
from mailsluice.store.deliveries import Deliveries
from mailsluice.store.event_cursors import EventCursors
from mailsluice.store.schema import deliveries, event_cursors, events
from tests.integration.events.sent_campaign import SENT_AT, SentCampaign
from tests.provider_apis.api import Answer, Asked, ProviderApi, served
from tests.provider_apis.lists import BrevoApi, MailgunApi, PostmarkApi, SparkPostApi, iso
from tests.provider_apis.queue import SqsApi
from tests.thorough import examples
from tests.unit.events import payloads

NAMES = [f"u{number}" for number in range(8)]
HOUR, DAY = 3_600.0, 86_400.0
MODULES: Mapping[Provider, ModuleType] = {
    Provider.MAILGUN: mailgun,
    Provider.SPARKPOST: sparkpost,
    Provider.POSTMARK: postmark,
    Provider.BREVO: brevo,
}
APIS: Mapping[Provider, type[ProviderApi]] = {
    api.provider: api for api in (MailgunApi, SparkPostApi, PostmarkApi, BrevoApi)
}


@dataclass
class Clock:
    """The time, for the database, the providers and this test."""

    now: float = SENT_AT + HOUR

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(Database, "moment", lambda _: datetime.fromtimestamp(clock.now, UTC))
    return clock


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three events a page, so that a few events have many pages."""
    for module in MODULES.values():
        monkeypatch.setattr(module, "_PER_PAGE", 3)
    monkeypatch.setattr(postmark, "_MOST_OFFSET", 6)
    monkeypatch.setattr(PostmarkApi, "most", 9)


def made(provider: Provider, number: int, at: float, sent: SentCampaign) -> dict[str, Any]:
    """An event about one of the campaign's messages, in the provider's format."""
    email = list(sent.ids)[number % len(sent.ids)]
    token = sent.token(email)
    match provider:
        case Provider.MAILGUN:
            return payloads.mailgun(
                ["delivered", "complained", "rejected"][number % 3],
                id=f"e{number}",
                timestamp=at,
                recipient=email,
                **{"user-variables": {"mailsluice": token}},
            )
        case Provider.SPARKPOST:
            return payloads.sparkpost(
                ["delivery", "delay", "spam_complaint"][number % 3],
                event_id=f"e{number}",
                timestamp=iso(at),
                rcpt_to=email,
                rcpt_meta={"mailsluice": token},
            )
        case Provider.POSTMARK:
            kind = ["HardBounce", "SpamComplaint", "Unsubscribe"][number % 3]
            return {
                "RecordType": "Bounce",
                "ID": number + 1,
                "Type": kind,
                "MessageID": f"m{number}",
                "Email": email,
                "Details": "550 5.1.1 no such user",
                "BouncedAt": iso(at),
                "Metadata": {"mailsluice": token},
            }
        case _:
            return {
                "email": email,
                "date": iso(at),
                "messageId": sent.message_id(email),
                "event": ["delivered", "deferred", "spam"][number % 3],
            }


class Killed(BaseException):
    """The process is gone."""


class Kills:
    """Kills the process at one of the steps of a run: before or after each effect."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left = -1
        for owner, name in ((Deliveries, "record"), (EventCursors, "save")):
            monkeypatch.setattr(owner, name, self._around(getattr(owner, name)))

    def after(self, steps: int | None) -> None:
        """Kill at this step; None for never."""
        self._left = -1 if steps is None else steps

    def step(self) -> None:
        if self._left == 0:
            self._left = -1
            raise Killed
        self._left -= 1

    def _around(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            self.step()
            result = effect(*args, **kwargs)
            self.step()
            return result

        return run


class InProcess:
    """In place of the client: asks the simulated API without a socket."""

    api: ProviderApi

    def __init__(self, *_: object) -> None:
        """Nothing to open."""

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def ask(self, make: Callable[[], ApiRequest]) -> bytes:
        request = make()
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked("GET", request.path, request.params, headers, request.body or b"")
        answer = self.api.answer(asked)
        assert answer.status == 200, answer
        return answer.body


def collect(database: Database, *accounts: EventAccount, pages: int = 1_000_000) -> CollectedEvents:
    return collecting.collect(accounts, database, most_pages=pages, pause=lambda _: True)


def rows(database: Database, table: sa.Table) -> list[Any]:
    columns = [column for column in table.c if column.name not in ("received_at", "updated_at")]
    with database.read() as connection:
        return sorted(map(repr, connection.execute(sa.select(*columns)).all()))


def clear(database: Database) -> None:
    with database.write() as transaction:
        for table in (deliveries, events, event_cursors):
            transaction.execute(sa.delete(table))


History = tuple[list[tuple[float, float]], list[tuple[float, int, int | None]]]
"""Events with their times and delays; runs with the pause before, pages, and steps to a kill."""


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Times are in hours, delays in parts of the longest."""
    tenths = st.integers(0, 10).map(lambda number: number / 10)
    happened = st.tuples(st.integers(0, 40).map(lambda number: number / 10), tenths)
    steps = st.none() | st.integers(0, 20)
    runs = st.tuples(tenths, st.sampled_from((1, 2, 100)), steps)
    return draw(st.lists(happened, max_size=30)), draw(st.lists(runs, max_size=10))


@pytest.fixture(params=list(APIS), ids=str)
def provider(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


@pytest.fixture
def sent(sqlite_database: Database) -> SentCampaign:
    return SentCampaign(sqlite_database, NAMES)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, provider: Provider, clock: Clock) -> ProviderApi:
    """The provider's API without a socket; killed runs are long ago."""
    monkeypatch.setattr(event_cursor_store, "BUSY_SECONDS", -1.0)
    monkeypatch.setattr(collecting, "EventsClient", InProcess)
    InProcess.api = APIS[provider](clock)
    return InProcess.api


def test_an_event_that_is_listed_late_is_fetched_by_a_later_run(
    in_process: ProviderApi, sqlite_database: Database, sent: SentCampaign, clock: Clock
) -> None:
    provider = in_process.provider
    longest = FEEDS[provider].reach.overlap_seconds
    in_process.store(clock.now - 1, made(provider, 0, clock.now - 1, sent), late=longest)
    for number in range(1, 4):  # as many as a page has
        at = clock.now + longest * 3 / 4
        in_process.store(at, made(provider, number, at, sent))
    counts = []
    for _ in range(3):
        (done,) = collect(sqlite_database, in_process.account()).connections
        counts.append(done.new)
        clock.now += longest / 2
    assert counts == [0, 0, 4]


def test_a_run_that_is_killed_at_any_step_is_continued_by_the_next(
    in_process: ProviderApi, sqlite_database: Database, sent: SentCampaign, clock: Clock
) -> None:
    clock.now += 5 * HOUR  # no later window reaches back to these events
    for number in range(7):
        at = SENT_AT + number
        in_process.store(at, made(in_process.provider, number, at, sent))
    collect(sqlite_database, in_process.account())
    undisturbed = [rows(sqlite_database, table) for table in (events, deliveries)]
    assert len(undisturbed[0]) == 7
    with pytest.MonkeyPatch.context() as patched:
        kills = Kills(patched)
        for step in itertools.count():
            clear(sqlite_database)
            kills.after(step)
            try:
                collect(sqlite_database, in_process.account())
            except Killed:
                kills.after(None)
                assert collect(sqlite_database, in_process.account()).connections[0].is_done
            else:
                assert step >= 14  # three pages and their cursors, before and after each
                break
            assert [rows(sqlite_database, table) for table in (events, deliveries)] == undisturbed


@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories())
def test_late_events_kills_and_small_steps_end_in_the_same_rows_as_one_undisturbed_run(
    history: History,
    in_process: ProviderApi,
    sqlite_database: Database,
    sent: SentCampaign,
    clock: Clock,
) -> None:
    """The last run is after all events are listed."""
    happened, runs = history
    clear(sqlite_database)
    api, provider = in_process, in_process.provider
    api.stored.clear()
    longest = FEEDS[provider].reach.overlap_seconds
    for number, (at, late) in enumerate(happened):
        moment = SENT_AT + at * HOUR
        api.store(moment, made(provider, number, moment, sent), late=late * longest)
    with pytest.MonkeyPatch.context() as patched:
        kills = Kills(patched)
        clock.now = SENT_AT
        for pause, pages, steps in runs:
            clock.now += pause * HOUR
            kills.after(steps)
            try:
                collect(sqlite_database, api.account(), pages=pages)
            except Killed:
                continue
        kills.after(None)
        clock.now = max(clock.now, SENT_AT + 5 * HOUR) + longest
        done = collect(sqlite_database, api.account())
        assert done.connections[0].is_done, done.troubles()
        disturbed = [rows(sqlite_database, table) for table in (events, deliveries)]
        clear(sqlite_database)
        collect(sqlite_database, api.account())
    assert disturbed == [rows(sqlite_database, table) for table in (events, deliveries)]
    assert len(disturbed[0]) == len({repr(one.value) for one in api.stored})


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


@pytest.fixture
def queue(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqsApi]:
    """A queue with 25 deliveries, more than fit into two answers."""
    campaign = SentCampaign(database, [f"u{number}" for number in range(25)])
    ticks = itertools.count()
    with served(SqsApi(lambda: float(next(ticks)))) as api:
        assert isinstance(api, SqsApi)
        for number, email in enumerate(campaign.ids):
            event = payloads.ses("Delivery", timestamp=iso(SENT_AT + number), recipients=[email])
            event["mail"] |= {"tags": {"mailsluice": [campaign.token(email)]}}
            api.put(event, raw=bool(number % 2))
        yield api


def test_messages_that_came_before_a_refusal_are_recorded(
    database: Database, queue: SqsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Received and not deleted too often, they would go to the dead-letter queue."""
    receive = queue._receive

    def receive_before_refusals(request: dict[str, Any]) -> Answer:
        monkeypatch.setattr(queue, "_receive", lambda _: refusal)
        return receive(request)

    refusal = Answer(403, {"__type": "com.amazon.coral.service#AccessDenied"})
    monkeypatch.setattr(queue, "_receive", receive_before_refusals)
    (done,) = collect(database, queue.account()).connections
    assert "the API answers 403 (AccessDenied)" in (done.trouble or "")
    assert (done.new, len(queue.messages)) == (10, 15)


def test_a_queue_is_emptied_and_its_messages_are_deleted(database: Database, queue: SqsApi) -> None:
    queue.put("Successfully validated SNS topic for Amazon SES event publishing.")
    (done,) = collect(database, queue.account()).connections
    assert (done.new, done.unused, done.is_done) == (25, {"not about delivery": 1}, True)
    assert queue.messages == {}
    assert len(rows(database, deliveries)) == 25


def test_a_message_is_deleted_only_after_its_events_are_committed(
    database: Database, queue: SqsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = queue.account(session_token="temporary")
    with monkeypatch.context() as patched:
        kills = Kills(patched)
        kills.after(0)  # before the commit
        with pytest.raises(Killed):
            collect(database, account)
        assert (len(queue.messages), rows(database, events)) == (25, [])
        for message in queue.messages.values():
            message.hidden_until = 0.0
        kills.after(1)  # after the commit, before the messages are deleted
        with pytest.raises(Killed):
            collect(database, account)
    assert (len(queue.messages), len(rows(database, events))) == (25, 25)
    for message in queue.messages.values():
        message.hidden_until = 0.0
    (done,) = collect(database, account).connections
    assert (done.new, done.recorded.known, queue.messages) == (0, 25, {})


def test_a_message_that_is_not_readable_stays_for_the_dead_letter_policy(
    database: Database, queue: SqsApi
) -> None:
    queue.put({"eventType": "Bounce", "mail": {}, "bounce": {}})
    (done,) = collect(database, queue.account()).connections
    assert (done.new, done.unused) == (25, {"not readable": 1})
    assert len(queue.messages) == 1


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        (
            {"key": "wrong"},
            "the API answers 403 (SignatureDoesNotMatch): correct the secret access key, and check"
            " this machine's clock",
        ),
        (
            {"queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/other"},
            "the API answers 400 (QueueDoesNotExist): correct the queue URL",
        ),
    ],
)
def test_a_queue_that_cannot_be_read_says_what_to_correct(
    database: Database, queue: SqsApi, fields: dict[str, str], advice: str
) -> None:
    (done,) = collect(database, queue.account(**fields)).connections
    assert done.trouble == advice
