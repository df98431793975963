"""What is wrong with a connection, from how an attempt ended: one table. Pure."""

from __future__ import annotations

import re

from mailsluice.core.outcome import Attempt, Phase, Rule, Trouble, classify, decide
from mailsluice.operations.verify_connection.diagnosis import Diagnosis


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_CONNECT, _TLS, _LOGIN = (frozenset((one,)) for one in (Phase.CONNECT, Phase.TLS, Phase.LOGIN))
_MAIL, _RCPT, _BODY = (frozenset((one,)) for one in (Phase.MAIL, Phase.RCPT, Phase.BODY))
_MESSAGE = frozenset((Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.BODY))
_ANY = frozenset(Phase)

_NO_REPLY = "none|here"
_TABLE: tuple[Rule[Diagnosis], ...] = (
    # No reply, or none that can be used: the words are ours, of trouble.py, reaching.py, login.py,
    # token_trouble.py.
    Rule(_CONNECT, _NO_REPLY, Diagnosis.NO_NAME_SERVER, words=_words("temporary failure in name")),
    Rule(_CONNECT, _NO_REPLY, Diagnosis.HOST_NOT_FOUND, words=_words("was not found|idna|label")),
    Rule(_CONNECT, _NO_REPLY, Diagnosis.REFUSED, words=_words("connection refused by")),
    Rule(_CONNECT, _NO_REPLY, Diagnosis.NOT_REACHED, words=_words("not reached in|unreachable")),
    Rule(_CONNECT, _NO_REPLY, Diagnosis.TLS_EXPECTED, words=_words("port that expects TLS")),
    Rule(
        _LOGIN, _NO_REPLY, Diagnosis.TOKEN_REFUSED, words=_words("refresh token|access token and")
    ),
    Rule(_LOGIN, _NO_REPLY, Diagnosis.NO_TOKEN, words=_words("token server")),
    Rule(_ANY, _NO_REPLY, Diagnosis.SILENT, words=_words("no answer from")),
    Rule(_CONNECT, _NO_REPLY, Diagnosis.NOT_SMTP, words=_words("malformed|invalid response")),
    Rule(_CONNECT, "here", Diagnosis.EHLO_REFUSED, words=_words("local_hostname")),
    Rule(_TLS, "here", Diagnosis.CA_FILE, words=_words("ca_file .* holds no certificate")),
    Rule(_TLS, "here", Diagnosis.NO_STARTTLS, words=_words("offers no STARTTLS")),
    # OpenSSL's words (X509_verify_cert_error_string).
    Rule(_TLS, "here", Diagnosis.CERTIFICATE_EXPIRED, words=_words("certificate has expired")),
    Rule(_TLS, "here", Diagnosis.CERTIFICATE_NOT_YET_VALID, words=_words("is not yet valid")),
    Rule(_TLS, "here", Diagnosis.WRONG_NAME, words=_words("(hostname|ip address) mismatch")),
    Rule(
        _TLS, "here", Diagnosis.UNKNOWN_CA, words=_words("self.signed|local issuer|unable to get")
    ),
    Rule(_TLS, "here", Diagnosis.CERTIFICATE_BAD, words=_words("does not verify")),
    # A server that greets in plain while we wait for TLS.
    Rule(_TLS, "here", Diagnosis.NO_TLS, words=_words("WRONG_VERSION|RECORD_LAYER|HTTP_REQUEST")),
    Rule(_TLS, "here", Diagnosis.TLS_FAILED),
    Rule(_LOGIN, "here", Diagnosis.PLAIN_PASSWORD, words=_words("unencrypted link")),
    Rule(_LOGIN, "here", Diagnosis.NO_LOGIN_OFFERED, words=_words("no login at all")),
    Rule(_LOGIN, "here", Diagnosis.METHOD_UNKNOWN, words=_words("server offers .* we know")),
    Rule(_MESSAGE, "here", Diagnosis.ADDRESS_NOT_TAKEN, words=_words("SMTPUTF8")),
    Rule(_MESSAGE, "here", Diagnosis.TOO_BIG, words=_words("bytes, the server takes")),
    Rule(_MESSAGE, _NO_REPLY, Diagnosis.NO_BDAT, words=_words("set messages_in_flight to 1")),
    Rule(_BODY, "none", Diagnosis.NOT_KNOWN),
    Rule(_ANY, "none", Diagnosis.LINK_BROKE),
    # Replies.
    Rule(_ANY, "4..", Diagnosis.NOT_NOW, status=r"3\..*|4\..*"),
    Rule(_ANY, "421", Diagnosis.TOO_MANY),
    Rule(_TLS, "4..", Diagnosis.NO_TLS_FOR_NOW),
    Rule(_TLS, "5..", Diagnosis.NO_STARTTLS),
    Rule(_CONNECT, "4..", Diagnosis.TOO_MANY),
    Rule(_CONNECT, "50.", Diagnosis.EHLO_REFUSED),
    Rule(_CONNECT, "5..", Diagnosis.EHLO_REFUSED, words=_words("helo|hostname|host name")),
    Rule(_CONNECT, "5..", Diagnosis.BLOCKLISTED),
    Rule(_LOGIN, "432", Diagnosis.PASSWORD_TO_CHANGE),
    Rule(_LOGIN, "4..", Diagnosis.TOO_MANY),
    Rule(_LOGIN, "538", Diagnosis.PLAIN_PASSWORD),
    Rule(_LOGIN, "5..", Diagnosis.PLAIN_PASSWORD, status=r"7\.11"),
    Rule(_LOGIN, "534", Diagnosis.PASSWORD_OF_ITS_OWN),
    Rule(_LOGIN, "5..", Diagnosis.PASSWORD_OF_ITS_OWN, status=r"7\.139"),  # Microsoft
    Rule(_LOGIN, "50[0-4]", Diagnosis.METHOD_UNKNOWN),
    Rule(_LOGIN, "5..", Diagnosis.LOGIN_REFUSED),
    Rule(_MESSAGE, "5..", Diagnosis.RELAY_DENIED, words=_words("relay")),
    Rule(_MESSAGE, "5..", Diagnosis.TLS_NEEDED, words=_words("starttls")),
    Rule(_MESSAGE, "530", Diagnosis.LOGIN_NEEDED),
    Rule(_MESSAGE, "5..", Diagnosis.LOGIN_NEEDED, words=_words("authentication required")),
    Rule(_MESSAGE, "552", Diagnosis.TOO_BIG, status=r"(3\.4)?"),
    Rule(_MESSAGE, "5..", Diagnosis.TOO_BIG, status=r"3\.4"),
    Rule(_MAIL, "5..", Diagnosis.ADDRESS_NOT_TAKEN, status=r"6\.7"),
    Rule(_MESSAGE, "5..", Diagnosis.BLOCKLISTED, words=_words("client host|block.?list|blacklist")),
    Rule(_MESSAGE, "454", Diagnosis.TOO_MANY),
    Rule(_MESSAGE, "4..", Diagnosis.TOO_MANY, words=_words("too many|throttl|rate|slow down")),
    Rule(_MAIL, "4..", Diagnosis.TOO_MANY),
    Rule(_MESSAGE, "4..", Diagnosis.PUT_OFF),
    Rule(_MAIL, "5..", Diagnosis.SENDER_NOT_ALLOWED),
    Rule(_RCPT, "5..", Diagnosis.RECIPIENT_REFUSED),
    Rule(_MESSAGE, "5..", Diagnosis.MESSAGE_REFUSED),
    Rule(_ANY, ".*", Diagnosis.OTHER),
)
_OFTEN_THE_SENDERS = (Diagnosis.RECIPIENT_REFUSED, Diagnosis.MESSAGE_REFUSED)


def diagnose(attempt: Attempt) -> Diagnosis:
    """Name what is wrong, from an attempt that was not accepted (RFC 5321 section 4.2, RFC 3463).

    Whether a refusal at RCPT or after is the sender's in truth is what `classify` decides.
    """
    found = decide(_TABLE, attempt)
    is_senders = classify(attempt).trouble is Trouble.DOWN
    return Diagnosis.SENDER_NOT_ALLOWED if found in _OFTEN_THE_SENDERS and is_senders else found
