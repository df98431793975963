"""Senders and reply addresses: `Name <user@example.com>`, read as one thing or not at all. Pure.

RFC 5322 lets a mailbox hold comments, groups, routes, lists and unquoted names that look like
addresses, and programs read these differently: a reader then answers to somebody else than the
sender has in mind. So two forms are taken, a bare address, and a name with an address in angle
brackets, where a name with special characters is in quotes. The `email` package decodes them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from email.errors import NonASCIILocalPartDefect, ObsoleteHeaderDefect
from email.headerregistry import Address, HeaderRegistry
from email.utils import quote
from typing import Any

import idna

LONGEST_ADDRESS, LONGEST_LOCAL = 254, 64
"""In octets (RFC 5321 section 4.5.3.1; a path of 256 has its angle brackets)."""

_LONGEST_TEXT = 2_000
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_ATOM = r"""[^\s()<>\[\]:;@\\,".]+"""
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LOCAL = rf'(?:{_ATOM}(?:\.{_ATOM})*|"")'
_DOMAIN = r"""(?:[^\s()<>\[\]:;@\\,".]+(?:\.[^\s()<>\[\]:;@\\,".]+)*|\[[A-Za-z0-9:.]+\])"""
_NAME = r"""(?:""|[^()<>\[\]:;@\\,"]*)"""
_MAILBOX = re.compile(rf"(?:{_NAME}\s*<\s*{_LOCAL}@{_DOMAIN}\s*>|{_LOCAL}@{_DOMAIN})")
"""With `""` for each quoted string."""
_NAMED = re.compile(r"([^<]+?)\s*<([^<>]*)>")
_HOW = (
    'write it as Name <user@example.com>, with a name in quotes where it has any of ( ) , : ; @ "'
)
_REGISTRY = HeaderRegistry()
_JOINERS = "\u200c\u200d"
"""Some scripts and emoji need them in names."""


def parse_mailbox(value: str) -> Address:
    """Take `Name <user@example.com>` or a bare address apart.

    The local part comes without quotes, the domain as it is written. Raises ValueError, saying how
    to write it, for anything that some program could read otherwise, and for an address that is
    longer than servers take.
    """
    text = value.strip()
    if len(text) > _LONGEST_TEXT:
        raise ValueError(
            f"this has {len(text)} characters, and at most {_LONGEST_TEXT} are allowed: {_HOW}"
        )
    _refuse_unseen(text)
    address = _taken(text)
    if address is None:
        raise ValueError(_advice(text))
    _refuse_long(addr_spec(address.username, _ascii(address.domain)))
    return address


def addr_spec(local: str, domain: str) -> str:
    """The address as it is sent: in quotes where the local part is no dot-atom."""
    if _DOT_ATOM.fullmatch(local):
        return f"{local}@{domain}"
    escaped = quote(local).replace("=?", r"=\?")  # some readers decode encoded-words in quotes
    return f'"{escaped}"@{domain}'


def _taken(text: str) -> Address | None:
    """Give the address if there is exactly one way to read the text, else None."""
    if not _MAILBOX.fullmatch(_QUOTED.sub('""', text)):
        return None
    header = _read(text)
    if header is None or len(header.addresses) != 1 or not all(map(_is_harmless, header.defects)):
        return None
    address: Address = header.addresses[0]
    is_undecoded = "=?" in address.display_name and "=?" in _QUOTED.sub("", text)
    return None if is_undecoded or not address.domain else address


def _read(text: str) -> Any:
    try:
        return _REGISTRY("From", text)
    except Exception:  # noqa: BLE001 (the parser raises IndexError and others for odd input)
        return None


def _is_harmless(defect: Exception) -> bool:
    """A local part in UTF-8 (RFC 6532), and a full stop in a name (`J. Smith`)."""
    return isinstance(defect, NonASCIILocalPartDefect | ObsoleteHeaderDefect)


def _refuse_long(address: str) -> None:
    octets, local = len(address.encode()), len(address.rpartition("@")[0].encode())
    if local > LONGEST_LOCAL or octets > LONGEST_ADDRESS:
        raise ValueError(
            f"the address has {local} octets before the @ and {octets} in all; servers take"
            f" {LONGEST_LOCAL} and {LONGEST_ADDRESS} (RFC 5321 section 4.5.3.1): use a shorter one"
        )


def _refuse_unseen(text: str) -> None:
    if len(text.splitlines()) > 1:
        raise ValueError("a mailbox is one line: take the line break out")
    for position, one in enumerate(text, 1):
        if not (one.isprintable() or one.isspace() or one in _JOINERS):
            name = unicodedata.name(one, "a control character")
            raise ValueError(
                f"a mailbox has only characters that people see: take out U+{ord(one):04X}"
                f" ({name}), its character {position}"
            )


def _advice(text: str) -> str:
    """Say what is wrong with a mailbox, and how to write what is most likely meant."""
    header = _read(text)
    addresses = header.addresses if header else ()
    number = sum(bool(one.username and one.domain) for one in addresses)
    if number and text.endswith(";") and header.groups[0].display_name is not None:
        return f"{text!r} is a group of {number} addresses: give one of them alone; {_HOW}"
    named = _NAMED.fullmatch(text)
    if number > 1 and not named:
        return f"{text!r} holds {number} addresses: give one of them; {_HOW}"
    for meant in _meant(text, named):
        if _taken(meant):
            return f"{text!r} is not clear: if it is meant as it stands, write it as {meant}"
    return f"{text!r} is not an e-mail address: {_HOW}"


def _meant(text: str, named: re.Match[str] | None) -> Iterator[str]:
    """The same with its name in quotes; with its local part in quotes."""
    name, address = (named[1], named[2].strip()) if named else ("", text.strip("<> "))
    quoted = f'"{quote(name.replace(chr(34), ""))}"' if named else ""
    if named:
        yield f"{quoted} <{address}>"
    local, _, domain = address.rpartition("@")
    odd = f'"{quote(local)}"@{domain}'
    if re.fullmatch(r"[^\s()<>\[\]:;@\\,\"]+", local):
        yield f"{name} <{odd}>" if named else odd
        if named:
            yield f"{quoted} <{odd}>"


def _ascii(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise ValueError(f"the domain {domain!r} cannot receive mail: correct it") from None
