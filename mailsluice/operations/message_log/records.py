"""Making the records of a message log.

Fields that KumoMTA's log record has under the same name mean the same
(https://docs.kumomta.com/reference/log_record/); what it has no field for is under `meta`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from mailsluice.bounces.own_reply import statuses
from mailsluice.bounces.refusal import is_block, refused
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.core.status import RecipientStatus
from mailsluice.message.identity import digests, is_keyed
from mailsluice.operations.message_log.addresses import Addresses, domain_of
from mailsluice.operations.message_log.lines import Line
from mailsluice.operations.message_log.record_types import (
    COMMANDS,
    EVENT_TYPES,
    RecordType,
    type_of_attempt,
    type_of_outcome,
)
from mailsluice.store.message_log import (
    LoggedAttempt,
    LoggedCampaign,
    LoggedEvent,
    LoggedOutcome,
    LoggedReport,
)
from mailsluice.store.message_log.sent_to import LoggedRecipient
from mailsluice.store.reported import EVENT_PHASE
from mailsluice.store.resolutions import OPERATOR_PHASE

_FAILURES = (RecordType.BOUNCE, RecordType.EXPIRATION, RecordType.TRANSIENT_FAILURE)
_LONGEST_REPLY = 4_000
_LAST_MOMENT = 253_402_300_799.0
"""The end of the year 9999."""
_Fields = dict[str, Any]


class Records:
    """Makes lines from facts, with addresses in one form."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._digests = lru_cache(1_000)(digests)

    def of_outcome(
        self, outcome: LoggedOutcome, campaign: LoggedCampaign, now: float
    ) -> Line | None:
        """The line of a recipient's outcome; None if an attempt's line tells it."""
        kind = type_of_outcome(outcome)
        if kind is None:
            return None
        to = LoggedRecipient(
            outcome.id, campaign.id, outcome.email, outcome.compared, outcome.provider
        )
        at = outcome.settled_at
        if outcome.status is RecipientStatus.CANCELLED:
            at = campaign.ended_at
        elif outcome.status is RecipientStatus.SUPPRESSED:
            at = None
        fields: _Fields = {"num_attempts": outcome.attempts, "egress_source": outcome.connection}
        meta: _Fields = {"status": outcome.status.value}
        if outcome.reassigned_from:
            meta["reassigned_from"] = outcome.reassigned_from
        if outcome.status is RecipientStatus.SENT or outcome.code:
            said = self._addresses.said(outcome.reply, outcome.email)
            command = "." if outcome.status is RecipientStatus.SENT else None
            fields |= _response(outcome.code, said, command)
        elif outcome.reply:
            meta["reason"] = self._addresses.said(outcome.reply, outcome.email)
        if kind is RecordType.DELIVERY:
            fields["delivery_protocol"] = "ESMTP"
            if outcome.last:
                meta["evidence"] = "assumed"
        record_id = f"outcome-{campaign.id}-{outcome.id}-{outcome.status.value}"
        return self._line(kind, record_id, now if at is None else at, campaign, to, fields, meta)

    def of_attempt(
        self, attempt: LoggedAttempt, campaign: LoggedCampaign | None, to: LoggedRecipient | None
    ) -> Line:
        """The line of an attempt that was not accepted, or of an operator's decision."""
        kind = type_of_attempt(attempt)
        said = self._addresses.said(attempt.reply, to.email if to else "")
        fields: _Fields = {"num_attempts": attempt.number, "egress_source": attempt.connection}
        meta: _Fields = {"recipient_id": attempt.recipient_id}
        if attempt.phase in (OPERATOR_PHASE, EVENT_PHASE):
            meta |= {"evidence": attempt.phase, "reason": said}
        else:
            meta |= {"phase": attempt.phase, "verdict": attempt.verdict}
            fields["delivery_protocol"] = "ESMTP"
            if attempt.code is None:
                meta["reason"] = said
            else:
                fields |= _response(attempt.code, said, COMMANDS.get(attempt.phase))
            if kind in _FAILURES:
                fields["bounce_classification"] = _classification(attempt)
        campaign_id = campaign.id if campaign else 0
        record_id = f"attempt-{campaign_id}-{attempt.recipient_id}-{attempt.id}"
        return self._line(kind, record_id, attempt.at, campaign, to, fields, meta)

    def of_event(
        self, event: LoggedEvent, campaign: LoggedCampaign | None, to: LoggedRecipient | None
    ) -> Line:
        """The line of an event that a provider has reported."""
        kind = EVENT_TYPES[event.state]
        fields: _Fields = {"egress_source": event.connection}
        meta: _Fields = {"evidence": "event", "received_at": _iso(event.received_at)}
        said = self._addresses.said(event.reply, to.email if to else "")
        if said or event.status:
            fields |= _response(None, said, None, event.status)
        if event.failure:
            fields["bounce_classification"] = event.failure
        if kind is RecordType.FEEDBACK:
            fields["feedback_report"] = {"feedback_type": "abuse"}
        name = blake2b(f"{event.connection}\0{event.key}".encode(), digest_size=16).hexdigest()
        meta["recipient_id"] = event.recipient_id
        return self._line(kind, f"event-{name}", event.at, campaign, to, fields, meta)

    def of_report(
        self, report: LoggedReport, campaign: LoggedCampaign | None, to: LoggedRecipient | None
    ) -> Line:
        """The line of a bounce or complaint that a mailbox has received."""
        is_complaint = report.kind == "complaint"
        fields: _Fields = {"egress_source": report.connection}
        meta: _Fields = {"evidence": "mailbox"}
        said = self._addresses.said(report.detail, report.email)
        if is_complaint:
            fields["feedback_report"] = {"feedback_type": "abuse"}
        else:
            fields["bounce_classification"] = report.kind
        if said or report.status:
            fields |= _response(None, said, None, report.status)
        if to is None:
            to = LoggedRecipient(report.recipient_id or 0, 0, report.email, report.email, 0)
        kind = RecordType.FEEDBACK if is_complaint else RecordType.OOB
        return self._line(kind, f"report-{report.id}", report.at, campaign, to, fields, meta)

    def _line(
        self,
        kind: RecordType,
        record_id: str,
        at: float,
        campaign: LoggedCampaign | None,
        to: LoggedRecipient | None,
        fields: _Fields,
        meta: _Fields,
    ) -> Line:
        at = min(max(at, 0.0), _LAST_MOMENT)  # a provider may report any time
        record: _Fields = {"type": kind.value, "record_id": record_id, "timestamp": int(at)}
        meta = {"time": _iso(at), **meta}
        if campaign:
            record["created"] = int(campaign.created_at)
            meta |= {"campaign": campaign.name, "campaign_id": campaign.id}
        if to:
            record |= self._recipient(to, campaign)
            if to.id:
                meta["recipient_id"] = to.id
            if campaign and (provider := campaign.providers.get(to.provider)):
                meta["mailbox_provider"] = provider
        record |= {name: value for name, value in fields.items() if value is not None}
        record["meta"] = meta
        return Line(record_id, kind.value, orjson.dumps(record))

    def _recipient(self, to: LoggedRecipient, campaign: LoggedCampaign | None) -> _Fields:
        fields: _Fields = {}
        if campaign:
            fields["id"] = self._message_id(to, campaign)
            if self._addresses.shows_domains:
                fields["queue"] = f"{campaign.name}:@{domain_of(to.compared)}"
        shown = self._addresses.shown(to.email, to.compared)
        return fields if shown is None else {**fields, "recipient": shown}

    def _message_id(self, to: LoggedRecipient, campaign: LoggedCampaign) -> str:
        """The part of the Message-ID before its @, unless that has no key: lists could be tried."""
        if not is_keyed(campaign.return_key):
            return f"{campaign.id}-{to.id}"
        return self._digests(campaign.name, campaign.return_key)(to.email)


def _response(
    code: int | None, content: str, command: str | None, status: str = ""
) -> dict[str, _Fields]:
    found = status or next(iter(statuses(content[:_LONGEST_REPLY])), "")
    response: _Fields = {} if code is None else {"code": code}
    if found and (code is None or found[0] == str(code)[0]):
        names = ("class", "subject", "detail")
        numbers = found.split(".")
        if len(numbers) == len(names) and all(number.isdigit() for number in numbers):
            response["enhanced_code"] = dict(zip(names, map(int, numbers), strict=True))
    response["content"] = content[:_LONGEST_REPLY]
    if command:
        response["command"] = command
    return {"response": response}


def _classification(attempt: LoggedAttempt) -> str | None:
    """The kind of a refusal, as suppression and stop-loss judge it: hard, soft or block."""
    if attempt.code is None:
        return None
    reply = Attempt(Phase(attempt.phase), attempt.code, attempt.reply)
    if is_block(reply):
        return "block"
    found = refused(reply)
    return found[0].value if found else None


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
