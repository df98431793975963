"""The words for a mailbox provider whose mail waits."""

from __future__ import annotations

import math

import pytest

from mailsluice.delivery.waits import Wait
from mailsluice.limits import Cap, Hold, Limit

HOURLY = Limit(2_000, 3_600.0)


@pytest.mark.parametrize(
    ("wait", "text"),
    [
        (
            Wait("google", Hold("provider google of connection red", HOURLY, 5.0), 5.0),
            "Google, 2,000 an hour (the connection's)",
        ),
        (
            Wait("a.example", Hold("campaign 7: a.example red", HOURLY, 5.0), 5.0),
            "a.example, 2,000 an hour (the campaign's)",
        ),
        (
            Wait("google", Hold("provider google of connection red", Cap(0, 9, 500), 9.0), 9.0),
            "Google, 500 a day, warm-up",
        ),
        (Wait("google", None, 5.0), "Google, its server asks for less mail"),
        (Wait("google", None, math.inf), "Google, stopped"),
    ],
)
def test_the_reason_is_named(wait: Wait, text: str) -> None:
    assert str(wait) == text
