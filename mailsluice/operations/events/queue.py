"""Fetch the events of Amazon SES from an SQS queue."""

from __future__ import annotations

import time
from collections.abc import Callable

from mailsluice.core.errors import EventsApiError
from mailsluice.events.batch import Batch
from mailsluice.events.fields import UnreadableEventError
from mailsluice.events.pulled import sqs
from mailsluice.events.pulled.account import EventsApi
from mailsluice.events.pulled.page import ApiRequest
from mailsluice.operations.events.api import EventsClient, Pause, RefusedError

_TOGETHER = 500
"""Messages that are committed, and then deleted, together."""


def collect_queue(
    api: EventsApi, record: Callable[[Batch], None], goes_on: Callable[[], bool], pause: Pause
) -> bool:
    """Record what waits in the queue, and delete it. Returns whether the queue is empty.

    A message whose deletion fails comes again, and its events are known then. Raises EventsApiError
    and UnreadableEventError.
    """
    url = sqs.api_url(api)
    with EventsClient(url, pause) as client:
        while goes_on():
            batch, handles, is_empty = _received(client, api, url)
            record(batch)
            for start in range(0, len(handles), sqs.MOST_MESSAGES):
                some = handles[start : start + sqs.MOST_MESSAGES]
                _ask(client, lambda some=some: sqs.delete(api, url, some, time.time()))  # type: ignore[misc]
            if is_empty:
                return True
    return False


def _received(client: EventsClient, api: EventsApi, url: str) -> tuple[Batch, list[str], bool]:
    """Receive messages, up to a limit, or until there are none, or until there is trouble.

    The caller records what came before the trouble, and meets it at the next call. Otherwise these
    messages would be hidden for minutes, and after a few such runs go to the dead-letter queue.
    """
    batch, handles, number = Batch(), list[str](), 0
    while number < _TOGETHER:
        try:
            messages = sqs.read(_ask(client, lambda: sqs.receive(api, url, time.time())))
        except (EventsApiError, UnreadableEventError):
            if not number:
                raise
            return batch, handles, False
        if not messages.number:
            return batch, handles, True
        number += messages.number
        batch.events += messages.batch.events
        batch.unused += messages.batch.unused
        handles += messages.handles
    return batch, handles, False


def _ask(client: EventsClient, make: Callable[[], ApiRequest]) -> bytes:
    try:
        return client.ask(make)
    except RefusedError as error:
        advice = sqs.ADVICE.get(error.kind)
        raise (EventsApiError(f"{error}: {advice}") if advice else error) from None
