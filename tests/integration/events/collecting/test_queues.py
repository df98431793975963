"""Events of a queue are recorded before their messages are deleted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from mailsluice.store import Database
from mailsluice.store.schema import deliveries, events
from tests.integration.events.collecting.conftest import Killed, Kills, collect, rows
from tests.integration.events.sent_campaign import SENT_AT, SentCampaign
from tests.provider_apis.api import Answer, served
from tests.provider_apis.lists import iso
from tests.provider_apis.queue import SqsApi
from tests.unit.events import payloads


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
