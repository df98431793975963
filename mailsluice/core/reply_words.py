"""Words of servers in replies that are about the connection, not about its recipient. Pure.

Collected from the documentation of providers and public reports. No such list is complete: what it
misses, `sending.suspects` sees by what happens to the other recipients.
"""

from __future__ import annotations

import re


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_AMOUNT = r"(limits?|quota|rate|threshold|credits?|allowance|max(imum)?)"
_UNIT = r"(messages|e-?mails|mails|requests|recipients|connections|connects|sessions|commands)"

LIMIT = _any_of(
    # "Daily SMTP relay limit exceeded", "Message count quota exceeded", "Maximum credits exceeded"
    rf"\b{_AMOUNT}\b.{{0,60}}\b(exceeded|reached|exhausted)",
    # "has exceeded its 24-hour sending limit", "exceeded the max defers and failures per hour"
    rf"\b(exceed(s|ed|ing)?|reached|hit)\b.{{0,60}}\b{_AMOUNT}\b",
    rf"\btoo (many|much|frequent) {_UNIT}\b|\btoo (many|much) (mail|concurrent|simultaneous)",
    r"\btoo (fast|quickly|frequently)\b|\btoo frequent\b",
    r"\bslow down\b|\bthrottl|rate[- ]?limit",
    rf"\bonly \d{{1,9}} {_UNIT} (per|an?|each)\b",  # "only 10 messages per day"
    r"\bunusual (sending )?(activity|rate)\b",
)
"""The sender has sent all it may, for now."""

OF_THE_RECIPIENT = _any_of(
    r"\b(mail ?box|inbox|storage|disk|space)\b|\bover ?quota\b|tried to reach|\bmailfolder\b",
    r"\buser('s)? quota\b",
    r"trying to contact|\breceiving (e-?)?mail\b|\brecipient('s)? (mail|has|is|thread|account)",
    r"\b(message|mail|content|attachment|line|header|body)s? (size|length)\b|\bsize limit",
    r"\btoo (large|big|long)\b|\b(for|to) this (recipient|user|mailbox|address)\b",
)
"""... or the recipient has got all that it may: it counts before `LIMIT`."""

FOR_NOW_OF_THE_RECIPIENT = _any_of(
    r"gr[ae]y[- ]?list",
    r"\breceiving (e-?)?mail\b|trying to contact|recipient thread limit",
)
"""A 4xx about this recipient, although it may speak of policies or rates."""

ACCOUNT = _any_of(
    # the host does not relay for us: we are not logged in, or not with a right to
    r"\brelay(ing)?\b.{0,20}\b(denied|not|prohibited|disabled|forbidden|rejected)\b",
    r"\b(unable|not|never|cannot|can't|won't|don't|doesn't|refuse[ds]?) (to )?relay\b",
    r"\bnot (permitted|allowed|authori[sz]ed) to relay\b|\brcpthosts\b",
    r"\bauthenticat(e|ion) (is )?(required|needed|first)|\bmust (first )?authenticate\b",
    # Postfix tells about sender and client at RCPT only (smtpd_delay_reject), all as 5.7.1
    r"sender address rejected|client host .{0,100}(rejected|blocked)|helo command rejected",
    r"\bsasl login name rejected\b|\bsender (verify|verification) failed",
    # SendGrid, Amazon SES, SparkPost: the sender's domain is not set up there
    r"verified sender identity|address is not verified|unconfigured sending domain",
    # the account or tenant is stopped: Amazon SES, Mailgun, Microsoft 365, web hosts
    r"\bsending (is |has been |was )?(temporarily )?(paused|disabled|suspended|blocked|stopped)\b",
    r"\b(your|this) (account|domain|tenant)\b.{0,60}\b(suspended|paused|disabled|blocked|not)\b",
    r"\bnot (allowed|permitted|authori[sz]ed) to send\b|\btenant has exceeded\b|\bbanned send",
    # what Exchange says of the sending mailbox: its quota, its right to send as somebody
    r"STOREDRV\.Submission|SubmissionQuotaExceeded|SendAsDenied",
)
"""The connection's account cannot send as it is."""

GOES_AWAY = _any_of(r"shut(ting)? ?down|restart|reboot|maintenance|timed? ?out|time-out|\bidle\b")
"""A 421 that says why the session ends: nothing was too much."""
