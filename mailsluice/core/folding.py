"""The one notion of "the same mailbox": the form in which addresses are compared. Pure.

Mail is sent to an address as it is written (RFC 5321 section 2.4 leaves the meaning of capital
letters to the receiving host), but no provider gives two spellings to two people. So every
comparison uses the folded form: the local part without needless quotes (RFC 5321 section 4.1.2)
and under Unicode's compatibility caseless match (Unicode 16.0 section 3.13.5, D146), the domain in
ASCII and lower case. Dots and plus tags are significant: only some providers ignore them.

The rule is the same for every language. `I` equals `i`; the capital with a dot and the small letter
without one, of Turkish, are letters of their own. `ß` equals `ss`. Full-width letters and the
Kelvin sign equal the plain ones.
"""

from __future__ import annotations

import re
import unicodedata

import idna
import pyarrow as pa
import pyarrow.compute as pc

ANOTHER_SPELLING = "duplicate: another recipient is the same mailbox in another spelling"
"""The reply of a recipient of a campaign that was launched when spellings counted as distinct."""

_QUOTED = re.compile(r'"(.*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def folded(email: str) -> str:
    """Fold one address, as `mailsluice.audience.address.normalise` gives it or as it is told."""
    if email.isascii() and '"' not in email:
        return email.lower()
    local, at, domain = email.rpartition("@")
    return f"{_caseless(unquoted(local))}{at}{_ascii(domain)}"


def fold(emails: pa.Array) -> pa.Array:
    """Fold addresses (n,), nearly all of them at once."""
    simple = pc.ascii_lower(emails)
    odd = pc.or_(pc.invert(pc.string_is_ascii(emails)), pc.match_substring(emails, '"'))
    if not odd.true_count:
        return simple
    values = [folded(email) for email in emails.filter(odd).to_pylist()]
    return pc.replace_with_mask(simple, odd, pa.array(values, emails.type))


def unquoted(local: str) -> str:
    """Take the quotes and escapes off a local part that has them (RFC 5321 section 4.1.2)."""
    quoted = _QUOTED.fullmatch(local)
    return _ESCAPED.sub(r"\1", quoted[1]) if quoted else local


def _caseless(text: str) -> str:
    """Unicode's definition D146, composed again."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", decomposed.casefold())


def _ascii(domain: str) -> str:
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode().lower()
    except idna.IDNAError:  # no mail can go there: what matters is that it is itself
        return _caseless(domain)
