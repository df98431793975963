"""What a test server does wrong, and where."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Where a fault strikes."""

    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    """In answer to DATA, or to BDAT, whose chunk is read and thrown away."""
    BODY = "body"
    """In the middle of the body; the link is closed then, after a reply as well."""
    DOT = "dot"
    """In place of the reply to the final dot; the message is not accepted."""
    ACCEPTED = "accepted"
    """In place of the reply to the final dot; the message is accepted."""
    AFTER = "after"
    """Right after the reply to the final dot."""
    RSET = "rset"


DROP = b"drop"
"""Close the link without a word."""
HANG = b"hang"
"""Never answer again."""

_IN_ADDRESS = re.compile(
    r"(?P<action>[2-5]\d\d|drop|hang|garbage)-at-(?P<stage>mail|rcpt|data|body|dot|accepted|after)"
    r"(?P<once>-once)?(?:\..*)?"
)
_ACTIONS = {"drop": DROP, "hang": HANG, "garbage": b"what? no SMTP here"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour. A 421 also closes the link, as RFC 5321 section 3.8 says."""

    stage: Stage
    action: bytes
    """DROP, HANG, or a reply, which may have several lines (joined with CRLF)."""
    times: int | None = None
    """How often, for each address; None: always."""


def fault_of(local_part: str) -> Fault | None:
    """The fault that an address carries: `<code|drop|hang|garbage>-at-<stage>[-once][.anything]`.

    At the stage MAIL the sender's address is the one that counts, elsewhere the recipient's.
    """
    match = _IN_ADDRESS.fullmatch(local_part)
    if match is None:
        return None
    stage, action = Stage(match["stage"]), match["action"]
    status = {"4": b"4.2.0", "5": b"5.1.1"}.get(action[0], b"2.0.0")
    reply = _ACTIONS.get(action) or b"%s %s as the address wants it" % (action.encode(), status)
    return Fault(stage, reply, 1 if match["once"] else None)


@dataclass(frozen=True, slots=True)
class Everybody:
    """A fault that strikes everybody alike, once so many messages are accepted: a used-up limit."""

    after: int
    fault: Fault
    """`times` counts all addresses together."""


class Script:
    """Which fault is due: by local part, or under "*" for the stages without an address."""

    def __init__(self, faults: Mapping[str, Fault], everybody: Everybody | None = None) -> None:
        self._faults = faults
        self._everybody = everybody
        self._used: Counter[str] = Counter()
        self.accepted = 0
        """Messages accepted in all sessions."""
        self.struck = 0
        """How often everybody's fault has struck."""
        self.over_limit = 0
        """How often MAIL came in a session that takes no more."""
        self.open = 0
        """Sessions that are open."""
        self.on_hang: Callable[[], None] = lambda: None
        """Called, in the server's thread, when a session has written its last reply."""
        self.answered = math.inf
        """So many messages get their replies; those to further ones are held back."""

    def due(self, stage: Stage, address: str = "*") -> bytes | None:
        """The action that this stage calls for, if any. Counts it as done."""
        if (action := self._everybodys(stage)) is not None:
            return action
        if not self._faults and "-at-" not in address:
            return None
        local_part = address.rpartition("@")[0] or address
        fault = self._faults.get(local_part) or fault_of(local_part)
        if fault is None or fault.stage is not stage:
            return None
        if fault.times is not None and self._used[address] >= fault.times:
            return None
        self._used[address] += 1
        return fault.action

    def opens(self, most: int | None) -> bool:
        """Whether one more session may be opened."""
        return most is None or self.open <= most

    def recover(self) -> None:
        """Let everybody's fault strike no more."""
        self._everybody = None

    @property
    def holds_back(self) -> bool:
        """Whether the reply to the message accepted last is held back."""
        return self.accepted > self.answered

    def _everybodys(self, stage: Stage) -> bytes | None:
        everybody = self._everybody
        if everybody is None or everybody.fault.stage is not stage:
            return None
        if self.accepted < everybody.after or self.struck == everybody.fault.times:
            return None
        self.struck += 1
        return everybody.fault.action
