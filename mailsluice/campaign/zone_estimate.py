"""Estimate when a connection sends to the recipients of each time zone. Pure.

The mail flows at an even pace. Of the open zones with recipients left, the one that closes first
has all of the pace, as claims do it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.campaign.zone_hours import ZoneHours

_DAY = 86_400.0
_WEEK = 7 * _DAY
_WALKED = 4 * _WEEK
"""The time that is walked through; later mail is estimated by the pace of its last week."""


class Flow(NamedTuple):
    """Messages to one zone over a time, evenly paced."""

    zone: int
    since: float
    """Seconds since the epoch, as all moments here."""
    until: float
    messages: float


@dataclass(frozen=True, slots=True)
class ZoneFlows:
    """The messages to the recipients of several zones."""

    flows: Sequence[Flow]
    """In order of time."""
    left: float
    """Messages that are not sent within the weeks that are looked at."""

    @property
    def ends_at(self) -> float:
        """When the last message goes out; infinity: never."""
        if not self.flows or self.left <= _LITTLE:
            return self.flows[-1].until if self.flows else -math.inf
        last = self.flows[-1].until
        recent = sum(flow.messages for flow in self.flows if flow.since >= last - _WEEK)
        return last + _WEEK * self.left / recent


_LITTLE = 1e-6  # of a message: an error of rounding


@lru_cache(maxsize=8)
def hours_in(window: SendingWindow, zones: tuple[str, ...]) -> ZoneHours:
    """The hours of a window in zones; one object for all estimates of a plan."""
    return ZoneHours(window, zones)


def flows_of(
    hours: ZoneHours,
    releases: Iterable[tuple[float, int, float]],
    starts_at: float,
    per_second: float,
) -> ZoneFlows:
    """Walk from turn to turn of the windows; `releases` are moments, zones and messages."""
    walk = _Walk(hours, sorted(releases), starts_at, per_second)
    flows = [flow for flow in walk.steps() if flow.messages]
    return ZoneFlows(flows, walk.left)


@dataclass(slots=True)
class _Walk:
    hours: ZoneHours
    releases: list[tuple[float, int, float]]
    at: float
    per_second: float
    waiting: dict[int, float] = field(default_factory=dict)
    """Messages that are due, by zone."""

    @property
    def left(self) -> float:
        return sum(self.waiting.values()) + sum(messages for *_, messages in self.releases)

    def steps(self) -> Iterator[Flow]:
        last = self.at + _WALKED
        self.releases.reverse()
        while (self.waiting or self.releases) and self.at < last:
            self._release()
            opened = self.hours.at(self.at)
            until = min(opened.until, self.releases[-1][0] if self.releases else math.inf, last)
            zone = next((zone for zone in opened.open if zone in self.waiting), None)
            if zone is None:
                self.at = until
            else:
                yield self._send(zone, until)

    def _release(self) -> None:
        while self.releases and self.releases[-1][0] <= self.at:
            _, zone, messages = self.releases.pop()
            if messages:
                self.waiting[zone] = self.waiting.get(zone, 0.0) + messages

    def _send(self, zone: int, until: float) -> Flow:
        since, messages = self.at, self.waiting.pop(zone)
        self.at = since + messages / self.per_second
        if self.at > until:
            sent = (until - since) * self.per_second
            self.waiting[zone] = messages - sent
            self.at, messages = until, sent
        return Flow(zone, since, self.at, messages)


def by_step(flows: Iterable[Flow], seconds: float) -> dict[int, float]:
    """Sum the messages of each step of so many seconds, by the number of the step since 1970."""
    steps: dict[int, float] = {}
    for flow in flows:
        first, last = int(flow.since // seconds), int(flow.until // seconds)
        length = flow.until - flow.since
        for step in range(first, last + 1):
            begin, end = max(flow.since, step * seconds), min(flow.until, (step + 1) * seconds)
            share = (end - begin) / length if length else float(step == first)
            steps[step] = steps.get(step, 0.0) + share * flow.messages
    return steps


def split(
    releases: Iterable[tuple[float, int]], recipients: Mapping[int, int]
) -> Iterator[tuple[float, int, float]]:
    """Split releases between zones, in proportion to the recipients in each."""
    total = sum(recipients.values()) or 1
    for at, count in releases:
        for zone, number in recipients.items():
            yield at, zone, count * number / total
