"""Amazon SQS: receive, hide, delete; the signature is computed as Amazon does."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mailsluice.campaign.identity import Provider
from mailsluice.events.pulled.sigv4 import Credentials, signed
from tests.provider_apis.api import KEY, Answer, Asked, ProviderApi

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
ACCESS_KEY = "AKIDEXAMPLE"


@dataclass
class _Message:
    body: str
    hidden_until: float = 0.0
    received: int = 0


@dataclass
class SqsApi(ProviderApi):
    """A queue of messages, by the AWS JSON protocol."""

    provider = Provider.SES
    messages: dict[str, _Message] = field(default_factory=dict)
    """By what deletes them."""

    def put(self, body: Any, *, raw: bool = False) -> None:
        """A message, as SNS delivers it."""
        text = body if isinstance(body, str) else json.dumps(body)
        if not raw:
            text = json.dumps(
                {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": text}
            )
        self.messages[f"handle-{len(self.messages)}"] = _Message(text)

    def api(self, **fields: Any) -> dict[str, Any]:
        return super().api(**{"queue_url": QUEUE, "access_key_id": ACCESS_KEY, **fields})

    def _answer(self, asked: Asked) -> Answer:
        if not self._is_signed(asked):
            kind = "com.amazon.coral.service#SignatureDoesNotMatch"
            return Answer(403, {"__type": kind, "message": "..."})
        request = json.loads(asked.body)
        if request["QueueUrl"] != QUEUE:
            return Answer(400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist"})
        if asked.headers["x-amz-target"] == "AmazonSQS.ReceiveMessage":
            return self._receive(request)
        assert asked.headers["x-amz-target"] == "AmazonSQS.DeleteMessageBatch"
        assert 1 <= len(request["Entries"]) <= 10
        for entry in request["Entries"]:
            self.messages.pop(entry["ReceiptHandle"], None)
        return Answer(200, {"Successful": [{"Id": one["Id"]} for one in request["Entries"]]})

    def _receive(self, request: dict[str, Any]) -> Answer:
        now = self.clock()
        found = [item for item in self.messages.items() if item[1].hidden_until <= now]
        received = found[: request["MaxNumberOfMessages"]]
        for _, message in received:
            message.hidden_until = now + request["VisibilityTimeout"]
            message.received += 1
        listed = [{"ReceiptHandle": handle, "Body": one.body} for handle, one in received]
        return Answer(200, {"Messages": listed} if listed else {})

    def _is_signed(self, asked: Asked) -> bool:
        given = asked.headers.get("authorization", "")
        names = re.search(r"SignedHeaders=([a-z0-9;-]+)", given)
        if not names:
            return False
        fields = {name: asked.headers[name] for name in names[1].split(";")}
        stamp = datetime.strptime(fields.pop("x-amz-date"), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        token = fields.pop("x-amz-security-token", "")
        credentials = Credentials(ACCESS_KEY, KEY, token)
        made = signed(credentials, ("eu-west-1", "sqs"), fields, asked.body, stamp.timestamp())
        return made["authorization"] == given
