"""Fold addresses to the form in which they are compared. Pure.

Mail is sent to an address as written (RFC 5321 section 2.4 leaves the meaning of capital letters to
the receiving host), but no provider gives two spellings to two people. So every comparison uses the
folded form: the local part without needless quotes (RFC 5321 section 4.1.2) and under Unicode's
compatibility caseless match (Unicode 16.0 section 3.13.5, D146), and the domain in ASCII and lower
case. Dots and plus tags are significant, since only some providers ignore them.

The rule is the same for every language. `I` equals `i`; the Turkish capital with a dot and the
small letter without a dot are different letters. `ß` equals `ss`. Full-width letters and the Kelvin
sign equal the plain letters.
"""

from __future__ import annotations

import re
import unicodedata

import idna

ANOTHER_SPELLING = "duplicate: another recipient is the same mailbox in another spelling"
"""The stored reply of a duplicate, in campaigns of versions that took spellings for distinct."""

_QUOTED = re.compile(r'"(.*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def folded(email: str) -> str:
    """Fold an address, whether or not `mailsluice.audience.address.normalise` has checked it."""
    if email.isascii() and '"' not in email:
        return email.lower()
    local, at, domain = email.rpartition("@")
    return f"{_caseless(unquoted(local))}{at}{_ascii(domain)}"


def unquoted(local: str) -> str:
    """Remove quotes and escapes from a local part, if it has any (RFC 5321 section 4.1.2)."""
    quoted = _QUOTED.fullmatch(local)
    return _ESCAPED.sub(r"\1", quoted[1]) if quoted else local


def _caseless(text: str) -> str:
    """Fold as Unicode's definition D146 says, and compose the result."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", decomposed.casefold())


def _ascii(domain: str) -> str:
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode().lower()
    except idna.IDNAError:  # no mail can go there, but the domain must still equal itself
        return _caseless(domain)
