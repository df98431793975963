"""Why an attempt ended without a reply that decides it, as this side of the link saw it."""

from __future__ import annotations

from enum import StrEnum


class LocalCause(StrEnum):
    """What an attempt ran into on this side; its text tells people the same."""

    NAME_SERVER_SILENT = "name server silent"
    HOST_NOT_FOUND = "host not found"
    CONNECTION_REFUSED = "connection refused"
    HOST_UNREACHABLE = "host unreachable"
    """No route to the host, or no answer to the TCP handshake."""
    NO_REPLY = "no reply"
    """Connected, and the server says nothing within the time-out."""
    NO_GREETING = "no greeting"
    """The same before its first word: it may wait for a TLS handshake."""
    MALFORMED_REPLY = "malformed reply"
    LOCAL_HOSTNAME = "local hostname"
    """The name for EHLO cannot be sent."""

    CA_FILE = "CA file"
    STARTTLS_NOT_OFFERED = "STARTTLS not offered"
    CERTIFICATE_EXPIRED = "certificate expired"
    CERTIFICATE_NOT_YET_VALID = "certificate not yet valid"
    CERTIFICATE_NAME = "certificate name"
    """The certificate names other hosts."""
    CERTIFICATE_UNTRUSTED = "certificate untrusted"
    """No CA that is trusted here signed it."""
    CERTIFICATE_INVALID = "certificate invalid"
    TLS_NOT_SPOKEN = "TLS not spoken"
    """The server answers a TLS handshake with something else."""
    TLS_FAILED = "TLS failed"

    UNENCRYPTED_LOGIN = "unencrypted login"
    LOGIN_NOT_OFFERED = "login not offered"
    LOGIN_METHODS_UNKNOWN = "login methods unknown"
    TOKEN_REFUSED = "token refused"  # noqa: S105
    """There is no refresh token, or it, or the access token, is not accepted."""
    TOKEN_SERVER = "token server"  # noqa: S105
    """The token server gave no access token, for another reason."""

    SMTPUTF8_NOT_OFFERED = "SMTPUTF8 not offered"
    MESSAGE_TOO_LARGE = "message too large"
    """Larger than the SIZE that the server announced (RFC 1870)."""
    BDAT_NOT_UNDERSTOOD = "BDAT not understood"
    """The server offers CHUNKING and refuses BDAT as unknown (RFC 3030)."""
