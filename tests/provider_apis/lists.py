"""The APIs that list events by pages: Mailgun, SparkPost, Postmark, Brevo."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from mailsluice.campaign.identity import Provider
from tests.provider_apis.api import KEY, Answer, Asked, ProviderApi, Stored

DOMAIN = "mg.example.com"
EASTERN = ZoneInfo("America/New_York")
DAY = 86_400.0


def _packed(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def _unpacked(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text))


class MailgunApi(ProviderApi):
    """`GET /v3/<domain>/events`: ascending, the next page by its URL, an empty page at the end."""

    provider = Provider.MAILGUN

    def api(self, **fields: Any) -> dict[str, Any]:
        return super().api(**{"domain": DOMAIN, **fields})

    def _answer(self, asked: Asked) -> Answer:
        login = base64.b64encode(f"api:{KEY}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {login}":
            return Answer(401, b"Forbidden")
        root = f"/v3/{DOMAIN}/events"
        if asked.path == root:
            assert asked.params["ascending"] == "yes"
            begin, end = float(asked.params["begin"]), float(asked.params["end"])
            limit, after = int(asked.params["limit"]), (begin, -1)
            kinds = asked.params["event"].split(" OR ")
        elif asked.path.startswith(f"{root}/"):
            end, limit, after, kinds = _unpacked(asked.path.removeprefix(f"{root}/"))
        else:
            return Answer(404, {"message": "Domain not found"})
        items = [
            one
            for one in self.listed
            if (one.at, one.number) >= tuple(after) and one.at <= end
            if one.value["event"] in kinds
        ][:limit]
        last = (items[-1].at, items[-1].number + 1) if items else after
        token = _packed([end, limit, last, kinds])
        return Answer(
            200,
            {
                "items": [one.value for one in items],
                "paging": {"next": f"{self.url}{root}/{token}", "previous": f"{self.url}{root}/x"},
            },
        )


class SparkPostApi(ProviderApi):
    """`GET /api/v1/events/message`: the newest first, by a cursor."""

    provider = Provider.SPARKPOST

    def _answer(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != KEY:
            return Answer(401, {"errors": [{"message": "Unauthorized."}]})
        since, until = (
            datetime.fromisoformat(asked.params[name]).timestamp() for name in ("from", "to")
        )
        kinds, cursor = asked.params["events"].split(","), asked.params["cursor"]
        limit = int(asked.params["per_page"])
        before = (until, 10**9) if cursor == "initial" else tuple(_unpacked(cursor))
        rest = [
            one
            for one in reversed(self.listed)
            if since <= one.at and (one.at, one.number) < before and one.value["type"] in kinds
        ]
        links = {}
        if len(rest) > limit:
            last = rest[limit - 1]
            cursor = _packed([last.at, last.number])
            links["next"] = f"/api/v1/events/message?per_page={limit}&cursor={cursor}"
        return Answer(
            200,
            {
                "results": [one.value for one in rest[:limit]],
                "total_count": len(rest),
                "links": links,
            },
        )


class PostmarkApi(ProviderApi):
    """`GET /bounces`: the newest first, by offset, times in Eastern Time; without metadata.

    `GET /messages/outbound/<id>/details` has the metadata of a message.
    """

    provider = Provider.POSTMARK
    most = 10_000

    def _answer(self, asked: Asked) -> Answer:
        if asked.headers.get("x-postmark-server-token") != KEY:
            return Answer(401, {"ErrorCode": 10, "Message": "..."})
        if asked.path != "/bounces":
            return self._details(asked.path.split("/")[3])
        since, until = (
            datetime.fromisoformat(asked.params[name]).replace(tzinfo=EASTERN).timestamp()
            for name in ("fromdate", "todate")
        )
        count, offset = int(asked.params["count"]), int(asked.params["offset"])
        if count + offset > self.most:
            return Answer(422, {"ErrorCode": 300, "Message": "..."})
        found = [one for one in reversed(self.listed) if since <= one.at <= until]
        bounces = [
            {name: value for name, value in one.value.items() if name != "Metadata"}
            for one in found[offset : offset + count]
        ]
        return Answer(200, {"TotalCount": len(found), "Bounces": bounces})

    def _details(self, message: str) -> Answer:
        for one in self.stored:
            if one.value["MessageID"] == message:
                return Answer(200, {"MessageID": message, "Metadata": one.value["Metadata"]})
        return Answer(422, {"ErrorCode": 701, "Message": "..."})


class BrevoApi(ProviderApi):
    """`GET /v3/smtp/statistics/events`: the newest record first, by offset, in whole days."""

    provider = Provider.BREVO
    zone = ZoneInfo("Pacific/Auckland")
    """The time zone of its days."""

    def _answer(self, asked: Asked) -> Answer:
        if asked.headers.get("api-key") != KEY:
            return Answer(401, {"code": "unauthorized", "message": "Key not found"})
        days, limit, offset = (int(asked.params[name]) for name in ("days", "limit", "offset"))
        assert 1 <= days <= 90
        assert asked.params["sort"] == "desc"
        now = datetime.fromtimestamp(self.clock(), self.zone)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        first = midnight - (days - 1) * DAY
        by_record = sorted(self.listed, key=lambda one: (-one.listed_at, -one.number))
        found: Sequence[Stored] = [one for one in by_record if one.at >= first]
        page = [one.value for one in found[offset : offset + limit]]
        return Answer(200, {"events": page} if page else {})


def iso(at: float) -> str:
    """A time in ISO 8601, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
