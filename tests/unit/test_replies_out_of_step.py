"""A surplus, missing or misplaced reply leads to no false record.

The server is honest, but a reply is changed on the way, each reply in turn. Some changes make a
dialogue that an honest server could have as well, so that they cannot be noticed:

- with CHUNKING, a lost refusal of a message, if the server words its replies to RSET and MAIL
  alike: the replies after it look like an acceptance, until the last reply is missing;
- with PIPELINING, a refusal of a message that changes places with the 250 to the next MAIL, whose
  recipient is refused: that looks like an accepted message and a refused MAIL;
- a stray 354 before a refusal of DATA: the body is sent, and taken for commands. The recipient is
  recorded as refused, which is true; the server's 500 is taken for the reply to the next MAIL.
"""

from __future__ import annotations

import itertools
from functools import cache

import pytest
import uvloop

from mailsluice.core.outcome import Trouble, Verdict, classify
from tests.thorough import some
from tests.unit.faulty_replies import (
    ACCEPTED,
    AT_DATA,
    AT_DOT,
    AT_RCPT,
    Change,
    Dialogue,
)

KINDS = ("sequential", "pipelined", "chunked")
FATES = (ACCEPTED, AT_RCPT, AT_DATA, AT_DOT)
INSERTED = (220, 250, 354, 421, 450, 550)
REFUSED = (Verdict.FAILED, Verdict.DEFERRED)
WINDOW = 3
outcome_of = cache(classify)
"""Most of the many thousand attempts are alike."""


def changes(count: int) -> list[Change]:
    """Return all changes of a reply among so many."""
    inserted = [Change("insert", i, code) for i in range(count + 1) for code in INSERTED]
    kinds = ("delete", "double", "swap")
    return inserted + [Change(kind, i) for i in range(count) for kind in kinds]


def is_undetectable(dialogue: Dialogue) -> bool:
    """Whether a refused message may look like an accepted one."""
    change = dialogue.change or Change("none", -1)
    is_lost = dialogue.kind == "chunked" and dialogue.is_terse and change.kind == "delete"
    return is_lost or (dialogue.kind == "pipelined" and change.kind == "swap")


def check(dialogue: Dialogue) -> None:
    """Assert that records agree with the server, or are uncertain."""
    uncertain = 0
    for name, attempt in dialogue.attempts.items():
        outcome = outcome_of(attempt)
        uncertain += outcome.verdict is Verdict.UNCERTAIN
        is_stray = dialogue.change is not None and dialogue.change.code == 354
        is_down = outcome.trouble is Trouble.DOWN
        assert not is_down or is_stray or is_undetectable(dialogue), described(dialogue)
        if name in dialogue.server.accepted:
            assert outcome.verdict in (Verdict.ACCEPTED, Verdict.UNCERTAIN), described(dialogue)
        else:
            is_wrong = outcome.verdict is Verdict.ACCEPTED and not is_undetectable(dialogue)
            assert not is_wrong, described(dialogue)
        if outcome.verdict in REFUSED:
            assert name in dialogue.server.refused, described(dialogue)
    assert uncertain <= (WINDOW if dialogue.kind == "chunked" else 1), described(dialogue)


def described(dialogue: Dialogue) -> str:
    """Describe the dialogue, for a failure."""
    return f"{dialogue}: {dialogue.attempts}"


async def judge(kind: str, fates: tuple[str, ...], change: Change | None, **how: bool) -> Dialogue:
    names = [f"{fate}.{number}" for number, fate in enumerate(fates)]
    dialogue = Dialogue(kind, names, change, **how)
    await dialogue.run()
    check(dialogue)
    return dialogue


@pytest.mark.thorough
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("has_pauses", [False, True])
@pytest.mark.parametrize("is_terse", [False, True])
def test_a_changed_reply_leads_to_no_false_record(
    kind: str, has_pauses: bool, is_terse: bool
) -> None:
    uvloop.run(_change_each_reply(kind, has_pauses, is_terse))


async def _change_each_reply(kind: str, has_pauses: bool, is_terse: bool) -> None:
    cases = []
    for fates in itertools.product(FATES, repeat=2):
        for is_slow in (False, True):
            how = {"has_pauses": has_pauses, "is_terse": is_terse, "is_slow": is_slow}
            honest = await judge(kind, (*fates, ACCEPTED), None, **how)
            assert honest.error is None
            cases += [(fates, change, how) for change in changes(honest.count)]
    for fates, change, how in some(cases):
        await judge(kind, (*fates, ACCEPTED), change, **how)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unchanged_dialogue_leaves_no_message_uncertain(kind: str) -> None:
    for fates in itertools.product(FATES, repeat=3):
        for is_slow, has_pauses, is_terse in itertools.product((False, True), repeat=3):
            how = {"has_pauses": has_pauses, "is_terse": is_terse, "is_slow": is_slow}
            dialogue = await judge(kind, fates, None, **how)
            assert dialogue.error is None
            for name, attempt in dialogue.attempts.items():
                is_accepted = name in dialogue.server.accepted
                assert is_accepted == name.startswith(ACCEPTED)
                verdict = outcome_of(attempt).verdict
                assert verdict in ([Verdict.ACCEPTED] if is_accepted else REFUSED)
