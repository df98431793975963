"""Addresses: the form they are sent in, or the reason why they are none.

They are compared in another form: see `mailsluice.core.folding`.
"""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from email_validator import EmailNotValidError, validate_email

from mailsluice.audience.blanks import has_unseen, trimmed
from mailsluice.audience.chunk import TEXT, as_array
from mailsluice.audience.issued import allows_any_dots
from mailsluice.core.folding import unquoted

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN = rf"^{_ATEXT}(?:\.{_ATEXT})*@[A-Za-z0-9.-]+$"
_PLAIN_DOMAIN = r"^(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{2,63}$"
_LONG_LABEL = r"[^.]{64}"
_MAX_ADDRESS, _MAX_LOCAL = 254, 64  # octets: RFC 5321 section 4.5.3.1, erratum 1690 of RFC 3696
_LIMITS = f"{_MAX_LOCAL} octets before the @, {_MAX_ADDRESS} in all"
_TOO_LONG = f"too long for SMTP, which takes at most {_LIMITS}"
_LONGEST_READ = 2_000  # characters, blanks around it included: a cell may hold a whole novel


def normalise(raw: pd.Series[str]) -> pd.DataFrame:
    """Check addresses (n,) and bring them into the form they are sent in.

    Blanks around them are removed, also those without width; the domain becomes ASCII in lower case
    (UTS 46); the local part stays as it is (NFC where it is not ASCII), in quotes where it needs
    them and only there (RFC 5321 section 4.1.2). The common form (dot-atom, RFC 5322 section 3.2.3,
    at a host name with a dot) is decided for all at once, the rest by email-validator.

    Returns (n,) `email`, `domain` and `reason`: either a reason or the other two are empty.
    """
    text = pc.utf8_trim_whitespace(as_array(raw))
    plain, email, domain = _plain(text)
    reason = pa.repeat(pa.scalar("", TEXT), len(text))
    other = pc.invert(plain)
    if pc.any(other).as_py():
        values = text.filter(other).dictionary_encode()
        checked = [_check(value) for value in values.dictionary.to_pylist()]
        columns = (
            pa.array(column, TEXT).take(values.indices) for column in zip(*checked, strict=True)
        )
        email, domain, reason = (
            pc.replace_with_mask(before, other, after)
            for before, after in zip((email, domain, reason), columns, strict=True)
        )
    result: pd.DataFrame = pa.table(
        {"email": email, "domain": domain, "reason": reason}
    ).to_pandas()
    return result


def _plain(text: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Which ones have the common form, their addresses, their domains ("" elsewhere)."""
    plain = pc.and_(
        pc.match_substring_regex(text, _PLAIN),
        pc.less_equal(pc.binary_length(text), _MAX_ADDRESS),
    )
    parts = pc.split_pattern(pc.if_else(plain, text, "@"), "@")
    local, given = pc.list_element(parts, 0), pc.list_element(parts, 1).dictionary_encode()
    names = pc.ascii_lower(given.dictionary)
    good = pc.and_(
        pc.match_substring_regex(names, _PLAIN_DOMAIN),
        pc.invert(pc.match_substring_regex(names, _LONG_LABEL)),
    )
    plain = pc.and_(good.take(given.indices), pc.less_equal(pc.binary_length(local), _MAX_LOCAL))
    domain = names.take(given.indices)
    return plain, pc.binary_join_element_wise(local, domain, pa.scalar("@", TEXT)), domain


def _check(address: str) -> tuple[str, str, str]:
    """Decide one address: (email, domain, reason)."""
    if len(address) > _LONGEST_READ:
        return "", "", _TOO_LONG
    address = trimmed(address)
    local, at, domain = address.rpartition("@")
    if not address:
        return "", "", "no address"
    if not at:
        return "", "", "no @ sign"
    if local and domain and "." not in domain.translate(_DOTS):
        return "", "", "the domain has no dot"
    if has_unseen(local):
        return "", "", "the part before the @ has a character that nobody sees"
    domain, local = _relative(domain), unquoted(local)
    has_odd_dots = _needs_quotes(local, domain.lower())
    if has_odd_dots:
        address = f"a@{domain}"  # the local part is known to be good in quotes
    elif _DOT_ATOM.fullmatch(local):
        address = f"{local}@{domain}"
    try:
        found: Any = validate_email(
            address, check_deliverability=False, strict=True, test_environment=True
        )
    except EmailNotValidError as error:
        return "", "", str(error)
    sent = f'"{local}"' if has_odd_dots else found.local_part
    email = f"{sent}@{found.ascii_domain}"
    if len(email.encode()) > _MAX_ADDRESS or len(sent.encode()) > _MAX_LOCAL:
        return "", "", _TOO_LONG
    return email, found.ascii_domain, ""


def _relative(domain: str) -> str:
    """The domain without the dot of the DNS root, which SMTP does not write."""
    return domain[:-1] if domain.endswith(".") and not domain.endswith("..") else domain


def _needs_quotes(local: str, domain: str) -> bool:
    """Whether its dots stand where only quotes allow them, at a domain that has issued such."""
    is_odd = _ANY_DOTS.fullmatch(local) and not _DOT_ATOM.fullmatch(local)
    return bool(is_odd) and allows_any_dots(domain)


_DOT_ATOM = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_ANY_DOTS = re.compile(rf"\.*{_ATEXT}(?:\.+{_ATEXT})*\.*")
_DOTS = {ord(dot): "." for dot in "\u3002\uff0e\uff61"}
"""What else separates labels (RFC 3490 section 3.1)."""
