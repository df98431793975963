"""Diagnose a connection from the outcome of an attempt, by two tables. Pure."""

from __future__ import annotations

from mailsluice.core.lazy_pattern import LazyPattern
from mailsluice.core.local_cause import LocalCause
from mailsluice.core.outcome import Attempt, Phase, Rule, Trouble, classify, decide
from mailsluice.operations.verify_connection.diagnosis import Diagnosis

_CONNECT, _TLS, _LOGIN = (frozenset((phase,)) for phase in (Phase.CONNECT, Phase.TLS, Phase.LOGIN))
_MAIL, _RCPT, _BODY = (frozenset((phase,)) for phase in (Phase.MAIL, Phase.RCPT, Phase.BODY))
_MESSAGE = frozenset((Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.BODY))
_ANY = frozenset(Phase)

_BLOCKED = LazyPattern("client host|block.?list|blacklist")

_BY_CAUSE = {
    LocalCause.NAME_SERVER_SILENT: Diagnosis.NO_NAME_SERVER,
    LocalCause.HOST_NOT_FOUND: Diagnosis.HOST_NOT_FOUND,
    LocalCause.CONNECTION_REFUSED: Diagnosis.REFUSED,
    LocalCause.HOST_UNREACHABLE: Diagnosis.NOT_REACHED,
    LocalCause.NO_REPLY: Diagnosis.SILENT,
    LocalCause.NO_GREETING: Diagnosis.TLS_EXPECTED,
    LocalCause.MALFORMED_REPLY: Diagnosis.NOT_SMTP,
    LocalCause.LOCAL_HOSTNAME: Diagnosis.EHLO_REFUSED,
    LocalCause.CA_FILE: Diagnosis.CA_FILE,
    LocalCause.STARTTLS_NOT_OFFERED: Diagnosis.NO_STARTTLS,
    LocalCause.CERTIFICATE_EXPIRED: Diagnosis.CERTIFICATE_EXPIRED,
    LocalCause.CERTIFICATE_NOT_YET_VALID: Diagnosis.CERTIFICATE_NOT_YET_VALID,
    LocalCause.CERTIFICATE_NAME: Diagnosis.WRONG_NAME,
    LocalCause.CERTIFICATE_UNTRUSTED: Diagnosis.UNKNOWN_CA,
    LocalCause.CERTIFICATE_INVALID: Diagnosis.CERTIFICATE_BAD,
    LocalCause.TLS_NOT_SPOKEN: Diagnosis.NO_TLS,
    LocalCause.TLS_FAILED: Diagnosis.TLS_FAILED,
    LocalCause.UNENCRYPTED_LOGIN: Diagnosis.PLAIN_PASSWORD,
    LocalCause.LOGIN_NOT_OFFERED: Diagnosis.NO_LOGIN_OFFERED,
    LocalCause.LOGIN_METHODS_UNKNOWN: Diagnosis.METHOD_UNKNOWN,
    LocalCause.TOKEN_REFUSED: Diagnosis.TOKEN_REFUSED,
    LocalCause.TOKEN_SERVER: Diagnosis.NO_TOKEN,
    LocalCause.SMTPUTF8_NOT_OFFERED: Diagnosis.ADDRESS_NOT_TAKEN,
    LocalCause.MESSAGE_TOO_LARGE: Diagnosis.TOO_BIG,
    LocalCause.BDAT_NOT_UNDERSTOOD: Diagnosis.NO_BDAT,
}
_BY_REPLY: tuple[Rule[Diagnosis], ...] = (
    # No reply, and no cause on this side.
    Rule(_TLS, "here", Diagnosis.TLS_FAILED),
    Rule(_BODY, "none", Diagnosis.NOT_KNOWN),
    Rule(_ANY, "none", Diagnosis.LINK_BROKE),
    # Replies.
    Rule(_ANY, "4..", Diagnosis.NOT_NOW, status=r"3\..*|4\..*"),
    Rule(_ANY, "421", Diagnosis.TOO_MANY),
    Rule(_TLS, "4..", Diagnosis.NO_TLS_FOR_NOW),
    Rule(_TLS, "5..", Diagnosis.NO_STARTTLS),
    Rule(_CONNECT, "4..", Diagnosis.TOO_MANY),
    Rule(_CONNECT, "50.", Diagnosis.EHLO_REFUSED),
    Rule(_CONNECT, "5..", Diagnosis.EHLO_REFUSED, words=LazyPattern("helo|hostname|host name")),
    Rule(_CONNECT, "5..", Diagnosis.BLOCKLISTED),
    Rule(_LOGIN, "432", Diagnosis.PASSWORD_TO_CHANGE),
    Rule(_LOGIN, "4..", Diagnosis.TOO_MANY),
    Rule(_LOGIN, "538", Diagnosis.PLAIN_PASSWORD),
    Rule(_LOGIN, "5..", Diagnosis.PLAIN_PASSWORD, status=r"7\.11"),
    Rule(_LOGIN, "534", Diagnosis.PASSWORD_OF_ITS_OWN),
    Rule(_LOGIN, "5..", Diagnosis.PASSWORD_OF_ITS_OWN, status=r"7\.139"),  # Microsoft
    Rule(_LOGIN, "50[0-4]", Diagnosis.METHOD_UNKNOWN),
    Rule(_LOGIN, "5..", Diagnosis.LOGIN_REFUSED),
    Rule(_MESSAGE, "5..", Diagnosis.RELAY_DENIED, words=LazyPattern("relay")),
    Rule(_MESSAGE, "5..", Diagnosis.TLS_NEEDED, words=LazyPattern("starttls")),
    Rule(_MESSAGE, "530", Diagnosis.LOGIN_NEEDED),
    Rule(_MESSAGE, "5..", Diagnosis.LOGIN_NEEDED, words=LazyPattern("authentication required")),
    Rule(_MESSAGE, "552", Diagnosis.TOO_BIG, status=r"(3\.4)?"),
    Rule(_MESSAGE, "5..", Diagnosis.TOO_BIG, status=r"3\.4"),
    Rule(_MAIL, "5..", Diagnosis.ADDRESS_NOT_TAKEN, status=r"6\.7"),
    Rule(
        _MESSAGE,
        "5..",
        Diagnosis.BLOCKLISTED,
        words=_BLOCKED,
    ),
    Rule(_MESSAGE, "454", Diagnosis.TOO_MANY),
    Rule(_MESSAGE, "4..", Diagnosis.TOO_MANY, words=LazyPattern("too many|throttl|rate|slow down")),
    Rule(_MAIL, "4..", Diagnosis.TOO_MANY),
    Rule(_MESSAGE, "4..", Diagnosis.PUT_OFF),
    Rule(_MAIL, "5..", Diagnosis.SENDER_NOT_ALLOWED),
    Rule(_RCPT, "5..", Diagnosis.RECIPIENT_REFUSED),
    Rule(_MESSAGE, "5..", Diagnosis.MESSAGE_REFUSED),
    Rule(_ANY, ".*", Diagnosis.OTHER),
)
_MAY_BE_ABOUT_SENDER = (Diagnosis.RECIPIENT_REFUSED, Diagnosis.MESSAGE_REFUSED)


def diagnose(attempt: Attempt) -> Diagnosis:
    """Diagnose an attempt that was not accepted (RFC 5321 section 4.2, RFC 3463).

    `classify` decides whether a refusal at RCPT or later is about the sender.
    """
    if attempt.cause is not None and not _may_be_accepted(attempt):
        return _BY_CAUSE[attempt.cause]
    diagnosis = decide(_BY_REPLY, attempt)
    is_about_sender = classify(attempt).trouble is Trouble.DOWN
    if diagnosis in _MAY_BE_ABOUT_SENDER and is_about_sender:
        return Diagnosis.SENDER_NOT_ALLOWED
    return diagnosis


def _may_be_accepted(attempt: Attempt) -> bool:
    """Whether the message may have reached the server before the link ended."""
    return attempt.phase is Phase.BODY and attempt.code is None
