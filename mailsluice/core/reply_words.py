"""Words in servers' replies that are about the connection, not about the recipient. Pure.

Collected from the documentation of providers and from public reports. No such list is complete:
`mailsluice.delivery.suspects` recognises the other cases by what happens to other recipients.
"""

from __future__ import annotations

from mailsluice.core.lazy_pattern import LazyPattern

_AMOUNT = r"(limits?|quota|rate|threshold|credits?|allowance|max(imum)?)"
_UNIT = r"(messages|e-?mails|mails|requests|recipients|connections|connects|sessions|commands)"

LIMIT = LazyPattern(
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
"""The sender has used up its quota for now."""

OF_THE_RECIPIENT = LazyPattern(
    r"\b(mail ?box|inbox|storage|disk|space)\b|\bover ?quota\b|tried to reach|\bmailfolder\b",
    r"\buser('s)? quota\b",
    r"trying to contact|\breceiving (e-?)?mail\b|\brecipient('s)? (mail|has|is|thread|account)",
    r"\b(message|mail|content|attachment|line|header|body)s? (size|length)\b|\bsize limit",
    r"\btoo (large|big|long)\b|\b(for|to) this (recipient|user|mailbox|address)\b",
)
"""The recipient has used up its quota. These words count before those of `LIMIT`."""

FOR_NOW_OF_THE_RECIPIENT = LazyPattern(
    r"gr[ae]y[- ]?list",
    r"\breceiving (e-?)?mail\b|trying to contact|recipient thread limit",
)
"""A 4xx with these words is about the recipient, even if it mentions policies or rates."""

ACCOUNT = LazyPattern(
    # the host does not relay for us: we are not logged in, or the login has no right to relay
    r"\brelay(ing)?\b.{0,20}\b(denied|not|prohibited|disabled|forbidden|rejected)\b",
    r"\b(unable|not|never|cannot|can't|won't|don't|doesn't|refuse[ds]?) (to )?relay\b",
    r"\bnot (permitted|allowed|authori[sz]ed) to relay\b|\brcpthosts\b",
    r"\bauthenticat(e|ion) (is )?(required|needed|first)|\bmust (first )?authenticate\b",
    # Postfix refuses senders and clients only at RCPT (smtpd_delay_reject), all with 5.7.1
    r"sender address rejected|client host .{0,100}(rejected|blocked)|helo command rejected",
    r"\bsasl login name rejected\b|\bsender (verify|verification) failed",
    # SendGrid, Amazon SES, SparkPost: the sender's domain is not set up there
    r"verified sender identity|address is not verified|unconfigured sending domain",
    # the account or tenant is stopped: Amazon SES, Mailgun, Microsoft 365, web hosts
    r"\bsending (is |has been |was )?(temporarily )?(paused|disabled|suspended|blocked|stopped)\b",
    r"\b(your|this) (account|domain|tenant)\b.{0,60}\b(suspended|paused|disabled|blocked|not)\b",
    r"\bnot (allowed|permitted|authori[sz]ed) to send\b|\btenant has exceeded\b|\bbanned send",
    # Exchange, about the sending mailbox: its quota, its right to send as somebody else
    r"STOREDRV\.Submission|SubmissionQuotaExceeded|SendAsDenied",
)
"""The connection's account cannot send mail as it is set up."""

GOES_AWAY = LazyPattern(
    r"shut(ting)? ?down|restart|reboot|maintenance|timed? ?out|time-out|\bidle\b"
)
"""A 421 with these words ends the session for another reason than too much mail."""
