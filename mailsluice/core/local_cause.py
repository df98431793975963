"""The causes for which an attempt ends without a reply that decides it."""

from __future__ import annotations

from enum import StrEnum


class LocalCause(StrEnum):
    """The cause of a failure on this side of the link, which the attempt's text describes."""

    NAME_SERVER_SILENT = "name server silent"
    HOST_NOT_FOUND = "host not found"
    CONNECTION_REFUSED = "connection refused"
    HOST_UNREACHABLE = "host unreachable"
    """No route to the host, or no answer to the TCP handshake."""
    NO_REPLY = "no reply"
    """The server is connected, but does not answer within the time-out."""
    NO_GREETING = "no greeting"
    """The server is connected, but sends no greeting: it may expect a TLS handshake."""
    MALFORMED_REPLY = "malformed reply"
    LOCAL_HOSTNAME = "local hostname"
    """The name that EHLO needs cannot be sent."""

    CA_FILE = "CA file"
    STARTTLS_NOT_OFFERED = "STARTTLS not offered"
    CERTIFICATE_EXPIRED = "certificate expired"
    CERTIFICATE_NOT_YET_VALID = "certificate not yet valid"
    CERTIFICATE_NAME = "certificate name"
    """The certificate is for other hosts."""
    CERTIFICATE_UNTRUSTED = "certificate untrusted"
    """The certificate is not signed by a CA that this machine trusts."""
    CERTIFICATE_INVALID = "certificate invalid"
    TLS_NOT_SPOKEN = "TLS not spoken"
    """The server does not answer the TLS handshake in TLS."""
    TLS_FAILED = "TLS failed"

    UNENCRYPTED_LOGIN = "unencrypted login"
    LOGIN_NOT_OFFERED = "login not offered"
    LOGIN_METHODS_UNKNOWN = "login methods unknown"
    TOKEN_REFUSED = "token refused"  # noqa: S105
    """The refresh token is missing or refused, or the access token is refused."""
    TOKEN_SERVER = "token server"  # noqa: S105
    """The token server issued no access token, for another reason."""

    SMTPUTF8_NOT_OFFERED = "SMTPUTF8 not offered"
    MESSAGE_TOO_LARGE = "message too large"
    """The message is larger than the SIZE that the server announced (RFC 1870)."""
    BDAT_NOT_UNDERSTOOD = "BDAT not understood"
    """The server offers CHUNKING, but refuses BDAT as unknown (RFC 3030)."""
