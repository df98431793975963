"""What the progress says of a mailbox provider whose mail waits."""

from __future__ import annotations

import math

from mailsluice.delivery.slowdown import Slowdown
from mailsluice.delivery.waits import Wait, asked


def test_a_provider_that_asks_for_less_mail() -> None:
    slowdown = Slowdown()
    assert asked(slowdown, 0) == ""
    slowdown.suppose(24)
    slowdown.throttled(0)
    slowdown.throttled(1_500)
    said = str(Wait("google", None, 1_501, asked(slowdown, 1_500)))
    assert said == "Google, asks for less mail for 25 min, now 12 a second"


def test_a_provider_that_takes_no_mail() -> None:
    slowdown = Slowdown()
    slowdown.rest(100, 1_800)
    said = str(Wait("yahoo", None, 1_900, asked(slowdown, 220)))
    assert said == "Yahoo and AOL, takes no mail for now, next try in 28 min"


def test_a_provider_that_is_stopped() -> None:
    assert str(Wait("hoster.example", None, math.inf)) == "hoster.example, stopped"
