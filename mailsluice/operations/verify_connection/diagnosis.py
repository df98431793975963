"""The names of what can be wrong with a connection, each with the operator's next step. Pure."""

from __future__ import annotations

from enum import StrEnum


class Diagnosis(StrEnum):
    """The name of what is wrong, and the next step."""

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
        "Let the worker's network out to this port: a firewall, or a cloud provider, that blocks it"
        " is the usual cause. Many providers listen on 2525 as well.",
    )
    LINK_BROKE = (
        "link broke",
        "Run this again. Where it stays, ask the provider whether it lets this machine's IP address"
        " in, and look for a proxy or firewall between.",
    )
    SILENT = (
        "no answer",
        "Run this again. Where it stays silent, raise timeout_seconds, or ask the provider.",
    )
    TLS_EXPECTED = (
        "no greeting: TLS expected",
        "Set security to tls if the port is 465 or one that starts with TLS. Else no SMTP server"
        " listens there: correct the port.",
    )
    NOT_SMTP = (
        "not an SMTP server",
        "Correct host and port: what answers there does not speak SMTP.",
    )
    NO_TLS = (
        "no TLS on this port",
        "Set security to starttls (port 587), or the port to the provider's TLS port (465).",
    )
    NO_STARTTLS = (
        "no STARTTLS on this port",
        "Set security to tls with port 465, where the server has that; none is for a relay on a"
        " trusted network.",
    )
    NO_TLS_FOR_NOW = (
        "no TLS for now",
        "Run this again later; where it stays, the server's TLS is broken: tell the provider.",
    )
    TLS_FAILED = (
        "TLS failed",
        "Ask the server's operator for TLS 1.2 or newer: both sides found no common version or"
        " cipher.",
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
        "certificate of another name",
        "Set host to a name that is in the certificate: the one the provider documents.",
    )
    UNKNOWN_CA = (
        "certificate of an unknown CA",
        "Set ca_file to the PEM file of the CA that signed it, if it is your own; else do not use"
        " this server: somebody may be in between.",
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
        "not let in: blocklisted",
        "Look this machine's IP address up in the blocklist that the reply names, and ask to be"
        " taken off; with a provider, ask whether only listed addresses may connect.",
    )
    TOO_MANY = (
        "too many connections, or rate limited",
        "Wait some minutes. Lower max_sessions and the limits in the block to what the provider"
        " allows.",
    )
    NOT_NOW = (
        "not for now",
        "Run this again in some minutes: the server says that it is its own, passing trouble.",
    )
    EHLO_REFUSED = (
        "EHLO refused",
        "Set local_hostname in the block to this machine's full name, one that DNS knows.",
    )
    LOGIN_REFUSED = (
        "login refused",
        "Check username and password in the block. Many providers want an API key or an SMTP"
        " password of its own here, not that of their web site.",
    )
    TOKEN_REFUSED = (
        "access refused: authorise again",
        "The refresh token in the oauth box is not good any more: get a new one with"
        " `python -m deployments.authorise`, or paste one into the block.",
    )
    NO_TOKEN = (
        "no access token",
        "Check token URL, client ID and client secret in the oauth box; where the token server is"
        " away, run this again later.",
    )
    PASSWORD_OF_ITS_OWN = (
        "login refused: another password or method wanted",
        "Make an app password or SMTP credentials at the provider, or allow SMTP login there, and"
        " put them into the block.",
    )
    PASSWORD_TO_CHANGE = (
        "login refused: password to be changed",
        "Change the password at the provider, then in the block.",
    )
    NO_LOGIN_OFFERED = (
        "no login offered",
        "Set security to starttls or tls, if it is none; clear username and password if the server"
        " needs none.",
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
        "Set security to starttls: the server takes no mail over a plain link.",
    )
    LOGIN_NEEDED = (
        "login needed",
        "Put the provider's username and password into the block.",
    )
    SENDER_NOT_ALLOWED = (
        "sender not allowed",
        "Verify the sender's address or domain at the provider, with SPF and DKIM records in DNS;"
        " or use a sender that is verified.",
    )
    RELAY_DENIED = (
        "relay denied",
        "The server takes no mail to other domains from here: add a login to the block, or have"
        " this machine's IP address allowed there.",
    )
    RECIPIENT_REFUSED = (
        "recipient refused",
        "Try another recipient, one that surely exists; a provider's test account may only send to"
        " its own address.",
    )
    PUT_OFF = (
        "put off by the server",
        "Run this again in some minutes: a new sender is often put off at first (greylisting).",
    )
    TOO_BIG = (
        "mail too big",
        "Make the mail smaller, or have the server's limit raised.",
    )
    ADDRESS_NOT_TAKEN = (
        "address not taken by this server",
        "Use an ASCII address: the server does not offer SMTPUTF8.",
    )
    MESSAGE_REFUSED = (
        "message refused",
        "Read the reply: it names the rule. Usual causes: a sender's domain without SPF, DKIM or"
        " DMARC, or an account that is held back.",
    )
    NO_BDAT = (
        "CHUNKING offered, but not kept",
        "Set messages_in_flight to 1 in the block.",
    )
    NOT_KNOWN = (
        "the mail may have been taken",
        "Look into the recipient's inbox: the link ended before the server's last reply.",
    )
    OTHER = (
        "not as it should be",
        "Read the reply above; where it does not help, show it to the provider's support.",
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
