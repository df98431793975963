"""Whether a refusal is about its recipient, and for good. Pure.

The enhanced status decides where it is definite (RFC 3463); else the words, as servers write them.
"""

from __future__ import annotations

import re

from mailsluice.bounces.bounce import BounceKind

HARD, SOFT = BounceKind.HARD, BounceKind.SOFT

# Subject and detail of a permanent failure.
_HARD = re.compile(
    r"1\.([12346]|10)"  # no such mailbox, no such domain, bad syntax, ambiguous, moved, null MX
    r"|2\.1"  # the mailbox is disabled
    r"|4\.4"  # no route: the domain has no mail server
)
_SOFT = re.compile(r"2\.2|4\.\d+")  # mailbox full; not reached in time
_VAGUE = re.compile(r"|[0-5]\.0|4\.1|5\.\d+")  # "other", or a status that is used for anything
"""4.1: Microsoft's "Recipient address rejected: Access denied" of unknown recipients."""
_UNSAID = re.compile(r"[0-5]\.0")  # "other"; x.6 and x.7 are about the content and policy, whatever

# Subject and detail of a failure that is not permanent. Neither about the sender (4.1.7 to 4.1.9),
# nor the system's own trouble (4.3), nor too many recipients (4.5.3), nor policy (4.7).
_SOFT_FOR_NOW = re.compile(r"(1\.(?![789])|[24]\.)\d+")

_NOBODY = re.compile(
    r"(user|recipient|mailbox|address|account|addressee|alias|rcpt|adresse?)\b.{0,60}"
    r"(unknown|not (be )?found|(does ?n.t|does not|not) exist|no longer|disabled|inactive|invalid"
    r"|suspended|deactivated|expired|terminated|deleted|not (a )?valid|not listed|unavailable)"
    r"|(no such|unknown|invalid|bad|inactive|non-?existent|disabled|undeliverable) "
    r"(local )?(e-?mail )?(user|recipient|mailbox|address|account|addressee|destination)"
    r"|no mailbox (here|by that name)|does(n.t| not) have an? .{0,40}account|not our customer"
    r"|recipient address rejected"
    r"|(domain|host).{0,40}(not found|does not exist|does not accept mail)",
    re.IGNORECASE,
)
_FULL = re.compile(
    r"(mailbox|inbox|account|user|recipient|quota|storage)\b.{0,60}(full|over ?quota|exceed)"
    r"|(full|over ?quota|exceed\w*).{0,40}\b(mailbox|inbox|quota|storage)|over ?quota",
    re.IGNORECASE,
)
_NOT_THE_RECIPIENT = re.compile(
    r"spam|\bblock|black ?list|deny ?list|\brbl\b|dnsbl|reputation|polic(y|ies)|virus|malware"
    r"|content|\bspf\b|dkim|dmarc|sender|relay|authenticat|\brate\b|too (many|much|large|big|long)"
    r"|grey ?list|gray ?list|thrott|unsolicited|message size|size limit|\bhelo\b|reverse|\bptr\b"
    r"|try again later from|banned|prohibited|not allowed|access denied|permission",
    re.IGNORECASE,
)
_BLAMES_THE_SENDER = re.compile(
    r"sender|relay(?! recipient)|spam|\bblock(ed|list)|black ?list|polic(y|ies)|reputation|banned"
    r"|\bspf\b|dkim|dmarc|\brbl\b|virus|grey ?list",
    re.IGNORECASE,
)
"""It names the recipient, but not as the reason: "Recipient address rejected: blocked by ..."."""
_STATUS = re.compile(r"([245])\.(\d{1,3}\.\d{1,3})")


def kind_of(code: int | None, status: str, text: str) -> BounceKind | None:
    """What a refusal says about its recipient: hard, soft, or None, nothing.

    `code` is the reply's code (RFC 5321 section 4.2), None where it is not known or does not answer
    the recipient's address but the message itself; `status` the enhanced status such as "5.1.1"
    (RFC 3463), or empty; `text` what the server said.

    None means that it is about something else (policy, content, sender, size, the server itself):
    the next message may well arrive.
    """
    match = _STATUS.fullmatch(status)
    kind = int(match[1]) if match else (code or 500) // 100
    detail = match[2] if match else ""
    if kind == 4:
        return _for_now(code, detail, text)
    if kind == 5:
        return _for_good(code, detail, text)
    return None


def _for_now(code: int | None, detail: str, text: str) -> BounceKind | None:
    if detail and not _UNSAID.fullmatch(detail):
        return SOFT if _SOFT_FOR_NOW.fullmatch(detail) else None
    if _FULL.search(text):
        return SOFT
    if _NOT_THE_RECIPIENT.search(text):
        return None
    is_the_mailbox = code in (450, 452) if not detail else _SOFT_FOR_NOW.fullmatch(detail)
    return SOFT if is_the_mailbox else None


def _for_good(code: int | None, detail: str, text: str) -> BounceKind | None:
    if _HARD.fullmatch(detail):
        return HARD
    if not _VAGUE.fullmatch(detail):
        return SOFT if _SOFT.fullmatch(detail) else None
    if _FULL.search(text):
        return SOFT
    if _NOBODY.search(text) and not _BLAMES_THE_SENDER.search(text):
        return HARD
    if _NOT_THE_RECIPIENT.search(text):
        return None
    if detail:
        return HARD if detail == "1.0" else SOFT if detail in ("2.0", "4.0", "4.1") else None
    return _BARE.get(code or 0)


_BARE = {550: HARD, 551: HARD, 552: SOFT, 553: HARD, 556: HARD}
"""Codes without status and telling words: unavailable, not local, full, its name, no mail there
(RFC 5321 section 4.2.3, RFC 7504)."""
