"""Delivery status notifications (RFC 3464; in UTF-8: RFC 6533). Pure."""

from __future__ import annotations

from email.message import Message

from mailsluice.bounces.notice import MAX_TEXT, Reported
from mailsluice.bounces.own_reply import OwnReply, own_reply
from mailsluice.bounces.report_parts import address, field, groups
from mailsluice.bounces.stated_reason import Said

TYPES = ("message/delivery-status", "message/global-delivery-status")


def recipients(part: Message, said: Said) -> tuple[Reported, ...]:
    """Read a delivery status part, recipient by recipient (RFC 3464 section 2.3).

    `said` is what the mail says to people: it counts where the part gives no reason.
    """
    found = [one for one in groups(part) if "Final-Recipient" in one]
    return tuple(_reported(one, said, is_alone=len(found) == 1) for one in found)


def _reported(group: Message, said: Said, *, is_alone: bool) -> Reported:
    names = (address(field(group, name)) for name in ("Final-Recipient", "Original-Recipient"))
    addresses = tuple(filter(None, names))
    diagnostic = field(group, "Diagnostic-Code")
    reason = diagnostic.partition(";")[2].strip() or diagnostic
    told = own_reply(field(group, "Status")).status
    own = own_reply(reason)
    action = field(group, "Action").partition(" ")[0].lower()
    is_final = action == "failed" or (not action and (told or own.status).startswith("5"))
    status = _status(told, own) if is_final else told or own.status
    return Reported(
        addresses=addresses,
        is_final=is_final,
        status=status,
        code=own.code,
        text=reason[:MAX_TEXT] or said.about(addresses, is_alone=is_alone).text,
    )


def _status(told: str, own: OwnReply) -> str:
    """The status: of the server that refused, else of the one that reports it.

    Servers translate: sendmail reports each 550 as 5.1.1. So the reported one counts where the
    reply has none, or one that tells nothing (X.0.0), and only if it is of the reply's class.
    """
    own_class = own.status[:1] or (str(own.code)[:1] if own.code else "")
    is_vague = not own.status or own.status.endswith(".0.0")
    is_alike = told[:1] == own_class or not own_class
    return told if told and is_vague and is_alike else own.status
