"""Events of Amazon SES that wait in an SQS queue. Pure.

The queue subscribes to the SNS topic that is an event destination of the configuration set, with or
without raw message delivery. Only the topic may send to the queue (its access policy), so its
messages need no other proof. A message is deleted once its events are committed. One that is not
readable stays, for the queue's dead-letter policy. Source: "Amazon SQS API Reference" (the AWS JSON
protocol) in Amazon's documentation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from mailsluice.events.batch import ABOUT_SOMETHING_ELSE, UNREADABLE, Batch, batch_of
from mailsluice.events.fields import Fields, UnreadableEventError, json_of
from mailsluice.events.providers import ses
from mailsluice.events.pulled.account import EventsApi
from mailsluice.events.pulled.page import ApiRequest, answer_of, listed
from mailsluice.events.pulled.sigv4 import Credentials, signed

MOST_MESSAGES = 10
"""Messages of one answer, and of one request to delete."""
_HIDDEN_SECONDS = 300
"""How long received messages are hidden from others: until they are recorded and deleted."""
_WAIT_SECONDS = 2
"""How long an empty queue waits for messages: with a wait, all of Amazon's servers are asked."""
_MOST_HANDLE = 2_000

ADVICE = {
    "QueueDoesNotExist": "correct the queue URL",
    "NonExistentQueue": "correct the queue URL",
    "AccessDenied": "let the user receive and delete messages (sqs:ReceiveMessage,"
    " sqs:DeleteMessage) of this queue",
    "AccessDeniedException": "let the user receive and delete messages (sqs:ReceiveMessage,"
    " sqs:DeleteMessage) of this queue",
    "InvalidClientTokenId": "correct the access key ID, or the session token",
    "UnrecognizedClientException": "correct the access key ID, or the session token",
    "SignatureDoesNotMatch": "correct the secret access key, and check this machine's clock",
    "ExpiredToken": "enter new temporary credentials",
}
"""Advice for the operator about refusals, by the end of their type."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages of one answer."""

    batch: Batch
    handles: Sequence[str]
    """The receipt handles of the messages whose events are in the batch, or that have none."""
    number: int


def receive(api: EventsApi, url: str, now: float) -> ApiRequest:
    """Ask for messages."""
    values = {
        "MaxNumberOfMessages": MOST_MESSAGES,
        "VisibilityTimeout": _HIDDEN_SECONDS,
        "WaitTimeSeconds": _WAIT_SECONDS,
    }
    return _request(api, url, "ReceiveMessage", values, now)


def delete(api: EventsApi, url: str, handles: Sequence[str], now: float) -> ApiRequest:
    """Delete at most MOST_MESSAGES messages."""
    entries = [{"Id": f"{n}", "ReceiptHandle": handle} for n, handle in enumerate(handles)]
    return _request(api, url, "DeleteMessageBatch", {"Entries": entries}, now)


def api_url(api: EventsApi) -> str:
    """Return the address of the service, without a path."""
    queue = urlsplit(api.queue_url or "")
    return api.url or f"{queue.scheme}://{queue.netloc}"


def read(body: bytes) -> Messages:
    """Read received messages. Raises UnreadableEventError."""
    answer = answer_of(body)
    messages = listed(answer, "Messages", MOST_MESSAGES) if answer.get("Messages") else []
    batch, handles = Batch(), []
    for message in messages:
        fields = Fields(message, "the message")
        found = _events_of(fields)
        batch.events += found.events
        batch.unused += found.unused
        if not found.unused[UNREADABLE]:
            handles.append(fields.needed("ReceiptHandle", limit=_MOST_HANDLE))
    return Messages(batch, handles, len(messages))


def _events_of(message: Fields) -> Batch:
    """Read a message: an event of SES, or a notification of SNS that contains one.

    A text is no event: SES sends one to a topic when it is chosen.
    """
    content = _json(message.get("Body"))
    if isinstance(content, dict) and "TopicArn" in content:
        content = _json(content.get("Message"))
    if not isinstance(content, dict):
        return Batch(unused=Counter({ABOUT_SOMETHING_ELSE: 1}))
    return batch_of([content], lambda fields: [*ses.events_of(fields)])


def _json(text: object) -> Any:
    try:
        return json_of(text.encode()) if isinstance(text, str) else None
    except (UnreadableEventError, UnicodeEncodeError):
        return None


def _request(
    api: EventsApi, url: str, action: str, values: dict[str, Any], now: float
) -> ApiRequest:
    body = orjson.dumps({"QueueUrl": api.queue_url, **values})
    headers = signed(
        Credentials((api.access_key_id or "").strip(), api.secret, api.token),
        (api.region, "sqs"),
        {
            "host": urlsplit(url).netloc,
            "content-type": "application/x-amz-json-1.0",
            "x-amz-target": f"AmazonSQS.{action}",
        },
        body,
        now,
    )
    return ApiRequest("/", headers=headers, body=body)
