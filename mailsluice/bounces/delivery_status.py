"""Read delivery status notifications (RFC 3464; in UTF-8: RFC 6533). Pure."""

from __future__ import annotations

from email.message import Message

from mailsluice.bounces.notice import MAX_TEXT, Reported
from mailsluice.bounces.own_reply import OwnReply, own_reply
from mailsluice.bounces.report_parts import address, field, groups
from mailsluice.bounces.stated_reason import StatedReason

TYPES = ("message/delivery-status", "message/global-delivery-status")


def recipients(part: Message, stated: StatedReason) -> tuple[Reported, ...]:
    """Read the recipients of a delivery status part (RFC 3464 section 2.3).

    `stated` is the mail's text for people, which counts if the part gives no reason.
    """
    named = [group for group in groups(part) if "Final-Recipient" in group]
    return tuple(_reported(group, stated, is_alone=len(named) == 1) for group in named)


def _reported(group: Message, stated: StatedReason, *, is_alone: bool) -> Reported:
    names = (address(field(group, name)) for name in ("Final-Recipient", "Original-Recipient"))
    addresses = tuple(filter(None, names))
    diagnostic = field(group, "Diagnostic-Code")
    reason = diagnostic.partition(";")[2].strip() or diagnostic
    reported = own_reply(field(group, "Status")).status
    own = own_reply(reason)
    action = field(group, "Action").partition(" ")[0].lower()
    is_final = action == "failed" or (not action and (reported or own.status).startswith("5"))
    status = _status(reported, own) if is_final else reported or own.status
    return Reported(
        addresses=addresses,
        is_final=is_final,
        status=status,
        code=own.code,
        text=reason[:MAX_TEXT] or stated.about(addresses, is_alone=is_alone).text,
    )


def _status(reported: str, own: OwnReply) -> str:
    """Return the status of the server that refused, or else that of the reporting server.

    Servers translate: sendmail reports each 550 as 5.1.1. So the reported status counts only if the
    reply has none, or a vague one (X.0.0), and if both are of the same class.
    """
    own_class = own.status[:1] or (str(own.code)[:1] if own.code else "")
    is_vague = not own.status or own.status.endswith(".0.0")
    is_alike = reported[:1] == own_class or not own_class
    return reported if reported and is_vague and is_alike else own.status
