"""Parse senders and reply addresses, `Name <user@example.com>`, in their unambiguous forms. Pure.

RFC 5322 allows comments, groups, routes, lists and unquoted names that look like addresses.
Programs read these differently, so that a reader may reply to somebody whom the sender did not
mean. So only two forms are accepted: a bare address, and a name with an address in angle brackets;
a name with special characters has to be in quotes. The `email` package decodes them.
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
"""Octets (RFC 5321 section 4.5.3.1, which counts the angle brackets: 256)."""

_LONGEST_TEXT = 2_000
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_ATOM = r"""[^\s()<>\[\]:;@\\,".]+"""
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LOCAL = rf'(?:{_ATOM}(?:\.{_ATOM})*|"")'
_DOMAIN = r"""(?:[^\s()<>\[\]:;@\\,".]+(?:\.[^\s()<>\[\]:;@\\,".]+)*|\[[A-Za-z0-9:.]+\])"""
_NAME = r"""(?:""|[^()<>\[\]:;@\\,"]*)"""
_MAILBOX = re.compile(rf"(?:{_NAME}\s*<\s*{_LOCAL}@{_DOMAIN}\s*>|{_LOCAL}@{_DOMAIN})")
"""Matches a mailbox in which each quoted string has been replaced by `""`."""
_NAMED = re.compile(r"([^<]+?)\s*<([^<>]*)>")
_HOW = 'write it as Name <user@example.com>, with the name in quotes if it has any of ( ) , : ; @ "'
_REGISTRY = HeaderRegistry()
_JOINERS = "\u200c\u200d"
"""Invisible characters that names in some scripts, and emoji, need."""


def parse_mailbox(value: str) -> Address:
    """Parse `Name <user@example.com>` or a bare address.

    The local part of the result has no quotes; the domain is as written.

    Raises:
        ValueError: Some program could read the text differently, or the address is longer than
            servers accept. The message says how to write the address.
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
    """Return the address as it is sent: the local part in quotes, unless it is a dot-atom."""
    if _DOT_ATOM.fullmatch(local):
        return f"{local}@{domain}"
    escaped = quote(local).replace("=?", r"=\?")  # some programs decode encoded-words in quotes
    return f'"{escaped}"@{domain}'


def _taken(text: str) -> Address | None:
    """Return the address if there is exactly one way to read the text, else None."""
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
    """Accept a local part in UTF-8 (RFC 6532), and a full stop in a name (`J. Smith`)."""
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
        raise ValueError("a mailbox is one line: remove the line break")
    for position, character in enumerate(text, 1):
        if not (character.isprintable() or character.isspace() or character in _JOINERS):
            name = unicodedata.name(character, "a control character")
            raise ValueError(
                f"a mailbox has only visible characters: remove U+{ord(character):04X}"
                f" ({name}), its character {position}"
            )


def _advice(text: str) -> str:
    """Say what is wrong with a mailbox, and how to write the address that is most likely meant."""
    header = _read(text)
    addresses = header.addresses if header else ()
    count = sum(bool(address.username and address.domain) for address in addresses)
    if count and text.endswith(";") and header.groups[0].display_name is not None:
        return f"{text!r} is a group of {count} addresses: give only one of them; {_HOW}"
    named = _NAMED.fullmatch(text)
    if count > 1 and not named:
        return f"{text!r} holds {count} addresses: give one of them; {_HOW}"
    for meant in _quoted_forms(text, named):
        if _taken(meant):
            return f"{text!r} is not clear: if you mean it literally, write it as {meant}"
    return f"{text!r} is not an e-mail address: {_HOW}"


def _quoted_forms(text: str, named: re.Match[str] | None) -> Iterator[str]:
    """Yield the mailbox with its name in quotes, with its local part in quotes, and with both."""
    name, address = (named[1], named[2].strip()) if named else ("", text.strip("<> "))
    quoted = f'"{quote(name.replace(chr(34), ""))}"' if named else ""
    if named:
        yield f"{quoted} <{address}>"
    local, _, domain = address.rpartition("@")
    quoted_address = f'"{quote(local)}"@{domain}'
    if re.fullmatch(r"[^\s()<>\[\]:;@\\,\"]+", local):
        yield f"{name} <{quoted_address}>" if named else quoted_address
        if named:
            yield f"{quoted} <{quoted_address}>"


def _ascii(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise ValueError(f"the domain {domain!r} cannot receive mail: correct it") from None
