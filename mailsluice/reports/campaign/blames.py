"""Which mailbox providers asked for less mail or blocked the sender, by their replies. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mailsluice.mailbox_providers import Action, blamed, title_of
from mailsluice.reports.campaign.statistics import ReplyCount
from mailsluice.reports.campaign.tables import plain

_MOST = 8
_SENTENCES = {
    Action.SLOW: "asked for less mail",
    Action.REST: "took no mail for a while",
    Action.BLOCK: "blocked the sender",
}


def blames(replies: Iterable[ReplyCount]) -> list[str]:
    """Say in a paragraph who asked for what, and how often, the most frequent first."""
    counts: Counter[tuple[str, Action]] = Counter()
    for reply in replies:
        if blame := blamed(reply.text, reply.code, reply.group or ""):
            key = (blame.provider, blame.action)
            counts[key] += reply.failed + reply.deferred + reply.later
    told = [
        f"{plain(title_of(provider))} {_SENTENCES[action]} ({number:,} times)"
        for (provider, action), number in counts.most_common()
        if action in _SENTENCES and number
    ]
    if len(told) > _MOST:
        told[_MOST:] = [f"{len(told) - _MOST} more"]
    return [f"{'; '.join(told)}.", ""] if told else []
