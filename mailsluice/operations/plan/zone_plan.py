"""The plan of a campaign whose sending window is in each recipient's time zone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mailsluice.campaign.estimate import Load
from mailsluice.campaign.zone_estimate import Flow, by_step
from mailsluice.core.markdown import cell, section, table
from mailsluice.core.timezones import zone

_HOUR, _DAY = 3_600, 86_400
_MOST_STEPS = 72
_MOST_ZONES = 12
_BAR = 30


@dataclass(frozen=True, slots=True)
class ZoneMail:
    """The mail to the recipients of one time zone."""

    zone: str
    recipients: int
    begins_at: datetime | None
    """When the first message goes out; None: not within weeks."""
    ends_at: datetime | None
    """When the last message that is sent within weeks goes out."""
    is_known: bool = True
    """Whether the recipients' zone is known; else this is the sending window's own."""


@dataclass(frozen=True, slots=True)
class ZonePlan:
    """The mail by time zone, and its course over time."""

    zones: Sequence[ZoneMail]
    """The one with most recipients first."""
    step_seconds: int
    """An hour, or a day where the mail takes long."""
    course: Mapping[datetime, float]
    """Messages in each step, by its beginning; none for steps without messages."""

    def lines(self, picture: str = "") -> list[str]:
        """The section of the page; `picture` is `hour_picture` of this plan, or empty."""
        number = len(self.zones)
        zones = "one time zone" if number == 1 else f"{number:,} time zones"
        head = ["time zone", "recipients", "from", "until"]
        rows = [_row(mail) for mail in self.zones[:_MOST_ZONES]]
        if rest := self.zones[_MOST_ZONES:]:
            total = sum(mail.recipients for mail in rest)
            rows.append([f"{len(rest):,} others", f"{total:,}", "", ""])
        return section(
            "Time zones",
            [
                f"The sending window applies in {zones}; times are those of the zone.",
                "",
                *table(head, rows),
                *([picture, ""] if picture else []),
                *table(
                    [f"{self.step} that begins (UTC)", "", "messages"], self._course_rows(), words=2
                ),
            ],
        )

    @property
    def step(self) -> str:
        """The length of a step in words."""
        return "hour" if self.step_seconds == _HOUR else "day"

    def _course_rows(self) -> list[list[str]]:
        most = max(self.course.values(), default=0.0)
        return [
            [f"{at:%a %Y-%m-%d %H:%M}", "█" * round(_BAR * messages / most), f"{messages:,.0f}"]
            for at, messages in self.course.items()
        ]


def zone_plan(loads: Sequence[Load], own_zone: str) -> ZonePlan | None:
    """Plan the mail of all connections by time zone; None where the window is in one zone.

    `own_zone` is the sending window's own, for recipients whose zone is not known.
    """
    flows: dict[str, list[Flow]] = {}
    recipients: dict[str, int] = {}
    for load in loads:
        names = [*load.zones]
        for name, count in load.zones.items():
            recipients[name] = recipients.get(name, 0) + count
        for flow in load.flows(load.slowest.per_second).flows if names else ():
            flows.setdefault(names[flow.zone], []).append(flow)
    if not recipients:
        return None
    ranked = sorted(recipients, key=lambda name: -recipients[name])
    mail = [_mail(name, own_zone, recipients[name], flows.get(name, [])) for name in ranked]
    together = [flow for of_zone in flows.values() for flow in of_zone]
    step = _HOUR if len(by_step(together, _HOUR)) <= _MOST_STEPS else _DAY
    course = sorted(by_step(together, step).items())
    return ZonePlan(
        mail, step, {_moment(number * step): sent for number, sent in course if sent >= 0.5}
    )


def _mail(name: str, own_zone: str, recipients: int, flows: Sequence[Flow]) -> ZoneMail:
    begins = min((_moment(flow.since) for flow in flows), default=None)
    ends = max((_moment(flow.until) for flow in flows), default=None)
    return ZoneMail(name or own_zone, recipients, begins, ends, is_known=bool(name))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _row(mail: ZoneMail) -> list[str]:
    def shown(moment: datetime | None) -> str:
        return f"{moment.astimezone(zone(mail.zone)):%a %Y-%m-%d %H:%M}" if moment else ""

    name = mail.zone if mail.is_known else f"not known: {mail.zone}"
    return [cell(name), f"{mail.recipients:,}", shown(mail.begins_at), shown(mail.ends_at)]
