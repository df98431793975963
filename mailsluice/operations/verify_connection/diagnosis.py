"""The faults of a connection, each with the operator's next step. Pure."""

from __future__ import annotations

from enum import StrEnum


class Diagnosis(StrEnum):
    """A fault of a connection, by name, with the operator's next step."""

    next_step: str

    def __new__(cls, value: str, next_step: str) -> Diagnosis:
        member = str.__new__(cls, value)
        member._value_ = value
        member.next_step = next_step
        return member

    HOST_NOT_FOUND = (
        "host not found",
        "Correct host in the block: the name as the provider writes it, without port or https.",
    )
    NO_NAME_SERVER = (
        "no name server answers",
        "Let the worker's machine resolve names: its DNS did not answer. Then run this again.",
    )
    REFUSED = (
        "connection refused",
        "Check host and port in the block (587: starttls, 465: tls), and that the server runs.",
    )
    NOT_REACHED = (
        "server not reached",
        "Allow the worker's network to connect to this port: usually a firewall or the cloud"
        " provider blocks it. Many providers also listen on 2525.",
    )
    LINK_BROKE = (
        "link broke",
        "Run this again. If it fails again, ask the provider whether it accepts this machine's IP"
        " address, and look for a proxy or firewall in between.",
    )
    SILENT = (
        "no answer",
        "Run this again. If the server stays silent, raise timeout_seconds, or ask the provider.",
    )
    TLS_EXPECTED = (
        "no greeting: TLS expected",
        "Set security to tls if the port is 465 or another one that starts with TLS. Otherwise no"
        " SMTP server listens there: correct the port.",
    )
    NOT_SMTP = (
        "not an SMTP server",
        "Correct host and port: the server there does not speak SMTP.",
    )
    NO_TLS = (
        "no TLS on this port",
        "Set security to starttls (port 587), or the port to the provider's TLS port (465).",
    )
    NO_STARTTLS = (
        "no STARTTLS on this port",
        "Set security to tls and the port to 465, if the server offers that; none is for a relay"
        " on a trusted network.",
    )
    NO_TLS_FOR_NOW = (
        "TLS temporarily unavailable",
        "Run this again later. If it fails again, the server's TLS is broken: tell the provider.",
    )
    TLS_FAILED = (
        "TLS failed",
        "Ask the server's operator for TLS 1.2 or newer: the two sides have no version or cipher"
        " in common.",
    )
    CERTIFICATE_EXPIRED = (
        "certificate expired",
        "Have the server's certificate renewed; check the clock of the worker's machine.",
    )
    CERTIFICATE_NOT_YET_VALID = (
        "certificate not valid yet",
        "Check the clock of the worker's machine, then the server's certificate.",
    )
    WRONG_NAME = (
        "certificate for another name",
        "Set host to a name in the certificate, the one that the provider documents.",
    )
    UNKNOWN_CA = (
        "certificate of an unknown CA",
        "Set ca_file to the PEM file of the CA that signed it, if it is your own CA. Otherwise do"
        " not use this server: somebody may intercept the link.",
    )
    CERTIFICATE_BAD = (
        "certificate does not verify",
        "Have the server's certificate corrected.",
    )
    CA_FILE = (
        "ca_file cannot be read",
        "Correct ca_file: a PEM file, by its path on the worker's machine.",
    )
    BLOCKLISTED = (
        "connection refused: blocklisted",
        "Look up this machine's IP address in the blocklist that the reply names, and ask for its"
        " removal. At a provider, ask whether only listed addresses may connect.",
    )
    TOO_MANY = (
        "too many connections, or rate limited",
        "Wait a few minutes. Lower max_sessions and the limits in the block to what the provider"
        " allows.",
    )
    NOT_NOW = (
        "temporarily unavailable",
        "Run this again in a few minutes: the server reports a temporary problem of its own.",
    )
    EHLO_REFUSED = (
        "EHLO refused",
        "Set local_hostname in the block to this machine's full name, which DNS must know.",
    )
    LOGIN_REFUSED = (
        "login refused",
        "Check username and password in the block. Many providers want an API key or a separate"
        " SMTP password here, not the password of their web site.",
    )
    TOKEN_REFUSED = (
        "access refused: authorise again",
        "The refresh token in the OAuth box is no longer valid: get a new one with `python -m"
        " deployments.authorise`, or paste one into the block.",
    )
    NO_TOKEN = (
        "no access token",
        "Check token URL, client ID and client secret in the OAuth box. If the token server is"
        " down, run this again later.",
    )
    PASSWORD_OF_ITS_OWN = (
        "login refused: other password or method needed",
        "Create an app password or SMTP credentials at the provider, or allow SMTP login there,"
        " and enter them in the block.",
    )
    PASSWORD_TO_CHANGE = (
        "login refused: password must be changed",
        "Change the password at the provider, then in the block.",
    )
    NO_LOGIN_OFFERED = (
        "no login offered",
        "Set security to starttls or tls if it is none. Clear username and password if the server"
        " needs no login.",
    )
    METHOD_UNKNOWN = (
        "login method unknown",
        "Ask the provider for PLAIN, LOGIN or CRAM-MD5, or use its other SMTP host.",
    )
    PLAIN_PASSWORD = (
        "plain password refused",
        "Set security to starttls or tls; allow_plain_password is for a network that you trust.",
    )
    TLS_NEEDED = (
        "encryption needed",
        "Set security to starttls: the server takes no mail over an unencrypted link.",
    )
    LOGIN_NEEDED = (
        "login needed",
        "Enter the provider's username and password in the block.",
    )
    SENDER_NOT_ALLOWED = (
        "sender not allowed",
        "Verify the sender's address or domain at the provider, with SPF and DKIM records in DNS,"
        " or use a verified sender.",
    )
    RELAY_DENIED = (
        "relay denied",
        "The server takes no mail to other domains from this machine: add a login to the block, or"
        " have the machine's IP address allowed there.",
    )
    RECIPIENT_REFUSED = (
        "recipient refused",
        "Try another recipient that certainly exists. A provider's test account may only send to"
        " its own address.",
    )
    PUT_OFF = (
        "deferred by the server",
        "Run this again in a few minutes: servers often defer a new sender at first (greylisting).",
    )
    TOO_BIG = (
        "mail too big",
        "Make the mail smaller, or have the server's limit raised.",
    )
    ADDRESS_NOT_TAKEN = (
        "address not supported by this server",
        "Use an ASCII address: the server does not offer SMTPUTF8.",
    )
    MESSAGE_REFUSED = (
        "message refused",
        "Read the reply, which names the rule. Usual causes are a sender's domain without SPF,"
        " DKIM or DMARC, or a suspended account.",
    )
    NO_BDAT = (
        "CHUNKING offered, but not supported",
        "Set messages_in_flight to 1 in the block.",
    )
    NOT_KNOWN = (
        "the mail may have been taken",
        "Check the recipient's inbox: the link ended before the server's last reply.",
    )
    OTHER = (
        "unexpected reply",
        "Read the reply above. If it does not help, show it to the provider's support.",
    )


ABOUT_CERTIFICATES = frozenset(
    (
        Diagnosis.CERTIFICATE_EXPIRED,
        Diagnosis.CERTIFICATE_NOT_YET_VALID,
        Diagnosis.WRONG_NAME,
        Diagnosis.UNKNOWN_CA,
        Diagnosis.CERTIFICATE_BAD,
    )
)
