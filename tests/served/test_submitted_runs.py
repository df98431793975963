"""Runs that are submitted while campaigns run: none is lost."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx

from tests.eventually import eventually
from tests.sending import SLOW, Sending
from tests.served.processes import journal_holders
from tests.serving import ONE_REQUEST, CsrfToken, Served

SUBMITS, AT_ONCE = 15, 5
SUBMITTED = {
    "parameters": {
        "campaign": {
            "name": "submitted",
            "recipients": {"path": "recipients.csv"},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            "routes": [{"connection": "red"}],
        }
    },
    "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": "2100-01-01T00:00:00Z"}},
}
"""A run that does not begin: it is the submitting that is watched."""


def test_no_run_is_lost_that_is_submitted_while_campaigns_run(sending: Sending) -> None:
    sending.connect(**SLOW)  # they are cancelled at the end
    sending.start(f"first of {sending.home.name}")
    sending.start(f"second of {sending.home.name}")
    eventually(lambda: len(journal_holders(sending.served)) == 2, what="both campaigns run")
    replies = asyncio.run(submitted(sending.served))
    assert Counter(reply.status_code for reply in replies) == {201: SUBMITS}
    assert len({reply.json()["id"] for reply in replies}) == SUBMITS


async def submitted(served: Served) -> list[httpx.Response]:
    """As the UI does it: each is tried once, and some come together."""
    path = f"/deployments/{served.deployment_id}/create_flow_run"
    async with httpx.AsyncClient(
        base_url=served.api.base_url, timeout=120, limits=ONE_REQUEST
    ) as api:
        replies: list[httpx.Response] = []
        while len(replies) < SUBMITS:
            replies += await asyncio.gather(
                *(api.post(path, json=SUBMITTED, auth=CsrfToken()) for _ in range(AT_ONCE))
            )
        return replies
