"""Compare what the servers got with the limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tests.chaos.plan import Plan, campaign_name
from tests.chaos.servers import Accepted
from tests.smtpd.recording import most_in


def overshot(plan: Plan, at: Mapping[str, Sequence[Accepted]]) -> list[str]:
    """Return each limit that was exceeded: its name, what came, and what was allowed."""
    return [
        f"{what}: {number} of {allowed}"
        for what, number, allowed in _counted(plan, at)
        if number > allowed
    ]


def _counted(plan: Plan, at: Mapping[str, Sequence[Accepted]]) -> Iterator[tuple[str, int, int]]:
    for name, messages in at.items():
        yield f"sessions of {name}", _most_sessions(messages), _sessions(plan)
        if limit := plan.variant.per_second(name):
            yield f"{name} in a second", _in_a_second(messages), limit
        if (most := plan.variant.most.get(name)) is not None:
            yield f"{name} in all", len(messages), most
    throttle = plan.campaign(0).throttle.per_second
    for number in plan.campaigns if throttle else ():
        domain = f".{campaign_name(number)}."
        sent = [one for messages in at.values() for one in messages if domain in one.recipient]
        yield f"campaign {number} in a second", _in_a_second(sent), throttle or 0


def _in_a_second(messages: Sequence[Accepted]) -> int:
    return most_in(1.0, (one.time for one in messages)) if messages else 0


def _sessions(plan: Plan) -> int:
    """Return the limit of sessions: without Prefect, each campaign's run counts its own."""
    return plan.sessions * len(plan.campaigns)


def _most_sessions(messages: Sequence[Accepted]) -> int:
    """Return how many sessions at most were between their first and last message at once."""
    begins: dict[int, float] = {}
    ends: dict[int, float] = {}
    for one in messages:
        begins.setdefault(one.session, one.time)
        ends[one.session] = one.time
    return max(
        (sum(begins[s] <= at <= ends[s] for s in begins) for at in begins.values()), default=0
    )
