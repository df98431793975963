"""Events in exported files: the columns of a table, and the words that providers use. Pure.

Providers name the columns of their exports in many ways, and change the names. So a column is found
by its usual names, without regard to case and signs, or the operator names it. The same holds for
the words that name an event.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from hashlib import blake2b
from zoneinfo import ZoneInfo

from pydantic import Field

from mailsluice.core.folding import folded
from mailsluice.core.forms import Document
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.events.failures import failure_of
from mailsluice.events.fields import Fields, UnreadableEventError, moment
from mailsluice.message.provider_fields import NAME

UNKNOWN_NAME = "an unknown word for the event: give its meaning under names"
NOBODY = "neither a recipient nor an id of the message"
NO_TIME = "the time is not in a known form, such as 2026-11-26T09:00:00Z"
_EARLIEST = 1e9
"""Seconds since the epoch, in 2001."""


class Meaning(StrEnum):
    """The meaning of a provider's word for an event."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    DROPPED = "dropped"
    BOUNCED = "bounced"
    """Hard, soft or block, as the words of the server say."""
    HARD = "hard bounce"
    SOFT = "soft bounce"
    BLOCK = "block"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"
    OTHER = "something else"
    """Not about delivery: left out."""


_WORDS = {
    Meaning.DELIVERED: "delivered delivery",
    Meaning.DEFERRED: "deferred delay delayed deliverydelay temporaryfail temporaryfailure",
    Meaning.DROPPED: "dropped drop reject rejected policyrejection generationfailure"
    " generationrejection renderingfailure blocked error suppressed",
    Meaning.BOUNCED: "bounced bounce outofband failed permanentfail permanentfailure",
    Meaning.HARD: "hardbounce hardbounced invalidemail",
    Meaning.SOFT: "softbounce softbounced",
    Meaning.BLOCK: "block",
    Meaning.UNSUBSCRIBED: "unsubscribed unsubscribe unsub groupunsubscribe listunsubscribe"
    " linkunsubscribe",
    Meaning.COMPLAINED: "complained complaint spam spamreport spamcomplaint markedasspam",
    Meaning.OTHER: "accepted processed injection sent send request requests open opened opens"
    " initialopen firstopening uniqueopened proxyopen loadedbyproxy click clicked clicks"
    " groupresubscribe stored subscription",
}
_MEANINGS = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}
_STATES = {
    Meaning.DELIVERED: DeliveryState.DELIVERED,
    Meaning.DEFERRED: DeliveryState.DEFERRED,
    Meaning.DROPPED: DeliveryState.DROPPED,
    Meaning.UNSUBSCRIBED: DeliveryState.UNSUBSCRIBED,
    Meaning.COMPLAINED: DeliveryState.COMPLAINED,
}
"""The states of meanings; all other meanings but OTHER are bounces."""


class EventColumns(Document):
    """The columns of a table of events. Left empty: found by their usual names."""

    event: str = Field("", description="The name of the event, such as bounce.")
    time: str = Field(
        "", description="The time of the event: ISO 8601, RFC 5322, or seconds since 1970."
    )
    recipient: str = Field("", description="The recipient's address.")
    message_id: str = Field(
        "",
        title="Message ID",
        description="The Message-ID, or the id that the provider gave the message.",
    )
    token: str = Field("", description="The recipient token.")
    event_id: str = Field(
        "",
        title="Event ID",
        description="The provider's id of the event. Without it, the content identifies it.",
    )
    reply: str = Field("", description="The words of the recipient's server.")
    status: str = Field("", description="The enhanced status, such as 5.1.1.")


_USUAL = {
    "event": "event eventtype type sttext state recordtype status",
    "time": "timestamp time eventtime tsevent date datetime ts lasteventtime occurredat",
    "recipient": "recipient rcptto email emailaddress recipientemail toemail to",
    "message_id": "smtpid messageid sgmessageid mid msgid recvmessageid",
    "token": f"{NAME} token customid xmailincustom",
    "event_id": "sgeventid eventid key",
    "reply": "reason response reply diagnosticcode diagnostic rawreason smtpresponse description",
    "status": "enhancedstatus enhancedcode statuscode",
}
"""Usual names of columns, reduced to letters, the best first."""
_NEEDED = {"event": "the name of the event", "time": "the time"}


class EventName(Document):
    """A word for an event in the file, and its meaning."""

    name: str = Field(
        min_length=1, max_length=100, description="The word for the event in the file."
    )
    meaning: Meaning = Field(
        description="What the word means; something else: the event is left out."
    )


def columns_among(names: Sequence[str], given: EventColumns) -> dict[str, str]:
    """Return the columns to read, by what they hold: those given, or those with a usual name.

    Raises ValueError, which quotes no name of the file, if a column that is needed is missing.
    """
    by_letters = {_letters(name): name for name in reversed(names)}
    found: dict[str, str] = {}
    for role, usual in _USUAL.items():
        named = getattr(given, role)
        if named and named not in names:
            raise ValueError(f"has no column {named!r}, which 'columns' names: correct 'columns'")
        column = named or next((by_letters[one] for one in usual.split() if one in by_letters), "")
        if column and column not in found.values():
            found[role] = column
    for role, what in _NEEDED.items():
        if role not in found:
            raise ValueError(
                f"has no column for {what} by a usual name ({_USUAL[role].replace(' ', ', ')}):"
                f" name it in 'columns', as {role}"
            )
    if not {"recipient", "message_id", "token"} & found.keys():
        raise ValueError(
            "has no column that tells whose mail it was: name it in 'columns', as recipient,"
            " message_id or token"
        )
    return found


class TableReader:
    """Reads rows of a table as events."""

    def __init__(
        self,
        columns: Mapping[str, str],
        *,
        names: Iterable[EventName] = (),
        timezone: str = "UTC",
        is_sendgrid: bool = False,
    ) -> None:
        """Prepare for a table.

        Args:
            columns: The names of the columns, by what they hold (see `columns_among`).
            names: Names of events, which come before the usual ones.
            timezone: The time zone of times that have none.
            is_sendgrid: Whether ids of messages and names of events are SendGrid's.
        """
        self._columns = columns
        own = {"blocked": Meaning.BLOCK} if is_sendgrid else {}
        given = {_letters(name.name): name.meaning for name in names}
        self._meanings = {**_MEANINGS, **own, **given}
        self._zone = ZoneInfo(timezone)
        self._is_sendgrid = is_sendgrid

    def event_of(self, row: Fields) -> ProviderEvent | None:
        """Read a row; None if it is about something else than delivery.

        Raises UnreadableEventError, which says what is wrong without any value.
        """
        meaning = self._meanings.get(_letters(self._text(row, "event")))
        if meaning is None:
            raise UnreadableEventError(UNKNOWN_NAME)
        if meaning is Meaning.OTHER:
            return None
        email, token = self._text(row, "recipient"), self._text(row, "token")
        message_id, provider_id = self._ids(self._text(row, "message_id"))
        if not (email or token or message_id or provider_id):
            raise UnreadableEventError(NOBODY)
        at = moment_in(self._text(row, "time"), self._zone)
        reply, status = self._text(row, "reply"), self._text(row, "status")
        failure, status = _failure(meaning, reply, status)
        content = (meaning, f"{at:.3f}", folded(email), token, message_id, provider_id)
        return ProviderEvent(
            key=self._text(row, "event_id") or content_key("\0".join(content).encode()),
            state=_STATES.get(meaning, DeliveryState.BOUNCED),
            at=at,
            email=email,
            token=token.removeprefix(f"{NAME}:"),
            message_id=message_id,
            provider_id=provider_id,
            failure=failure,
            status=status,
            reply=reply,
        )

    def _text(self, row: Fields, role: str) -> str:
        return row.text(self._columns[role]) if role in self._columns else ""

    def _ids(self, text: str) -> tuple[str, str]:
        """Return a Message-ID in angle brackets, and an id that is none; one of them is empty."""
        name = text.strip("<> ")
        if "@" in name:
            return f"<{name}>", ""
        return "", name.partition(".")[0] if self._is_sendgrid else name


def content_key(content: bytes) -> str:
    """Return an event's id that depends on its content, for events without one."""
    return f"content {blake2b(content, digest_size=16).hexdigest()}"


def moment_in(text: str, zone: ZoneInfo) -> float:
    """Return a time in seconds since the epoch; `zone` is that of a time without one.

    Raises UnreadableEventError if the text is neither seconds or milliseconds since the epoch, nor
    ISO 8601, nor RFC 5322.
    """
    text = text[:60].strip()
    try:
        seconds = float(text)
    except ValueError:
        read = _iso(text) or _rfc(text)
        try:
            seconds = (
                (read if read.tzinfo else read.replace(tzinfo=zone)).timestamp() if read else 0
            )
        except (ValueError, OverflowError):
            seconds = 0
    if seconds < _EARLIEST:  # such as 20261125, a date that is written as a number
        raise UnreadableEventError(NO_TIME)
    return moment(seconds)


def _iso(text: str) -> datetime | None:
    plain = re.sub(r" (?=[+-][0-9])", "", text)
    for suffix in (" UTC", " GMT", "UTC"):
        if plain.endswith(suffix):
            read = _iso(plain.removesuffix(suffix))
            return read and (read if read.tzinfo else read.replace(tzinfo=UTC))
    try:
        return datetime.fromisoformat(plain)
    except ValueError:
        return None


def _rfc(text: str) -> datetime | None:
    """Read a time; one in a zone such as CET, whose offset RFC 5322 leaves open, is none."""
    try:
        read = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if read.tzinfo is None and "-0000" in text:  # UTC (RFC 5322 section 3.3)
        return read.replace(tzinfo=UTC)
    is_named = read.tzinfo is None and text.split()[-1].isalpha()
    return None if is_named else read


def _failure(meaning: Meaning, reply: str, status: str) -> tuple[FailureKind | None, str]:
    """Judge a bounce by the provider's word and the reply; without either it is soft."""
    if meaning in _STATES:
        return None, status
    has_reason = meaning is Meaning.BOUNCED and bool(reply or status)
    is_permanent = meaning is Meaning.HARD or has_reason
    failure, status = failure_of(is_permanent=is_permanent, reply=reply, status=status)
    return (FailureKind.BLOCK if meaning is Meaning.BLOCK else failure), status


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())
