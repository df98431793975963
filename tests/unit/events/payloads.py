"""Requests of providers about one message, in the forms that their documentation describes.

Each function makes an event of one kind; `TOKEN` stands for the recipient token.
"""

from __future__ import annotations

from typing import Any

import orjson

TOKEN = "17-0123456789abcdef0123456789abcdef"
EMAIL = "ann@example.com"
AT = 1_785_000_000
MESSAGE_ID = "<0123456789abcdef0123456789abcdef@example.org>"


def sendgrid(event: str, **fields: Any) -> dict[str, Any]:
    """An event of SendGrid's Event Webhook."""
    return {
        "email": EMAIL,
        "timestamp": AT,
        "smtp-id": MESSAGE_ID,
        "event": event,
        "sg_event_id": f"sg-{event}",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        "mailsluice": TOKEN,
        **fields,
    }


def mailgun(event: str, **fields: Any) -> dict[str, Any]:
    """The event data of a webhook of Mailgun."""
    return {
        "event": event,
        "id": f"mg-{event}",
        "timestamp": AT + 0.25,
        "recipient": EMAIL,
        "recipient-provider": "Gmail",
        "message": {"headers": {"message-id": MESSAGE_ID.strip("<>")}},
        "user-variables": {"mailsluice": TOKEN},
        **fields,
    }


def sparkpost(kind: str, **fields: Any) -> dict[str, Any]:
    """An event of SparkPost, without its envelope."""
    return {
        "type": kind,
        "event_id": f"sp-{kind}",
        "timestamp": str(AT),
        "rcpt_to": EMAIL,
        "rcpt_meta": {"mailsluice": TOKEN},
        "mailbox_provider": "Gmail",
        **fields,
    }


def postmark(record: str, **fields: Any) -> dict[str, Any]:
    """A request of Postmark."""
    return {
        "RecordType": record,
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Metadata": {"mailsluice": TOKEN},
        **fields,
    }


def brevo(event: str, **fields: Any) -> dict[str, Any]:
    """A request of Brevo."""
    return {
        "event": event,
        "email": EMAIL,
        "id": 26224,
        "date": "2026-07-25 19:20:00",
        "ts_event": AT,
        "message-id": MESSAGE_ID,
        "X-Mailin-custom": f"mailsluice:{TOKEN}",
        **fields,
    }


def mailjet(event: str, **fields: Any) -> dict[str, Any]:
    """An event of Mailjet's Event API."""
    return {
        "event": event,
        "time": AT,
        "MessageID": 19421777835146490,
        "Message_GUID": "1ab23cd4-e567-8901-2345-6789f0gh1i2j",
        "email": EMAIL,
        "CustomID": TOKEN,
        **fields,
    }


def ses(kind: str, **about: Any) -> dict[str, Any]:
    """An event as Amazon SES publishes it."""
    names = {"DeliveryDelay": "deliveryDelay", "Rendering Failure": "failure"}
    return {
        "eventType": kind,
        "mail": {
            "timestamp": "2026-07-25T17:20:00.000Z",
            "messageId": "EXAMPLE7c191be45",
            "destination": [EMAIL],
            "headers": [{"name": "Message-ID", "value": MESSAGE_ID}],
            "tags": {"mailsluice": [TOKEN], "ses:source-ip": ["192.0.2.0"]},
        },
        names.get(kind, kind.lower()): about,
    }


def body(value: Any) -> bytes:
    """Return the body of a request."""
    return orjson.dumps(value)
