"""Check addresses, and bring them into the form in which mail is sent to them.

Addresses are compared in another form: see `mailsluice.core.folding`.
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
_LONGEST_READ = 2_000  # characters, including blanks at the ends: a cell may hold a whole novel


def normalise(raw: pd.Series[str]) -> pd.DataFrame:
    """Check addresses (n,) and bring them into the form in which mail is sent to them.

    Blanks at the ends are removed, including invisible ones. The domain becomes ASCII in lower case
    (UTS 46). The local part stays as written (in NFC unless it is ASCII), with quotes only if it
    needs them (RFC 5321 section 4.1.2). The common form (dot-atom, RFC 5322 section 3.2.3, at a
    host name with a dot) is checked in one vectorised step, the rest by email-validator.

    Returns:
        A frame (n,) with `email`, `domain` and `reason`. Of a valid address `reason` is empty, of
        any other `email` and `domain`.
    """
    text = pc.utf8_trim_whitespace(as_array(raw))
    plain, email, domain = _plain(text)
    reason = pa.repeat(pa.scalar("", TEXT), len(text))
    others = pc.invert(plain)
    if pc.any(others).as_py():
        values = text.filter(others).dictionary_encode()
        checked = [_check(value) for value in values.dictionary.to_pylist()]
        columns = (
            pa.array(column, TEXT).take(values.indices) for column in zip(*checked, strict=True)
        )
        email, domain, reason = (
            pc.replace_with_mask(before, others, after)
            for before, after in zip((email, domain, reason), columns, strict=True)
        )
    result: pd.DataFrame = pa.table(
        {"email": email, "domain": domain, "reason": reason}
    ).to_pandas()
    return result


def wildcards(emails: pd.Series[str]) -> int:
    """Count addresses that look like a pattern for many (`*@example.com`, `%@example.com`).

    They are valid (RFC 5322 section 3.2.3), and stand for one mailbox of that name.
    """
    return int(pc.match_substring_regex(as_array(emails), r"\*|^%+@").true_count)


def _plain(text: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return which texts have the common form, and their addresses and domains."""
    plain = pc.and_(
        pc.match_substring_regex(text, _PLAIN),
        pc.less_equal(pc.binary_length(text), _MAX_ADDRESS),
    )
    parts = pc.split_pattern(pc.if_else(plain, text, "@"), "@")
    local, domains = pc.list_element(parts, 0), pc.list_element(parts, 1).dictionary_encode()
    names = pc.ascii_lower(domains.dictionary)
    are_plain = pc.and_(
        pc.match_substring_regex(names, _PLAIN_DOMAIN),
        pc.invert(pc.match_substring_regex(names, _LONG_LABEL)),
    )
    plain = pc.and_(
        are_plain.take(domains.indices), pc.less_equal(pc.binary_length(local), _MAX_LOCAL)
    )
    domain = names.take(domains.indices)
    return plain, pc.binary_join_element_wise(local, domain, pa.scalar("@", TEXT)), domain


def _check(address: str) -> tuple[str, str, str]:
    """Check a single address; return its email, domain and reason, as `normalise` does."""
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
        return "", "", "the part before the @ has an invisible character"
    domain, local = _relative(domain), unquoted(local)
    has_odd_dots = _needs_quotes(local, domain.lower())
    if has_odd_dots:
        address = f"a@{domain}"  # the local part is known to be valid in quotes
    elif _DOT_ATOM.fullmatch(local):
        address = f"{local}@{domain}"
    try:
        valid: Any = validate_email(
            address, check_deliverability=False, strict=True, test_environment=True
        )
    except EmailNotValidError as error:
        return "", "", str(error)
    sent = f'"{local}"' if has_odd_dots else valid.local_part
    email = f"{sent}@{valid.ascii_domain}"
    if len(email.encode()) > _MAX_ADDRESS or len(sent.encode()) > _MAX_LOCAL:
        return "", "", _TOO_LONG
    return email, valid.ascii_domain, ""


def _relative(domain: str) -> str:
    """Remove the dot of the DNS root from a domain: SMTP does not write it."""
    return domain[:-1] if domain.endswith(".") and not domain.endswith("..") else domain


def _needs_quotes(local: str, domain: str) -> bool:
    """Whether a local part has dots that need quotes, at a domain that issued such addresses."""
    is_odd = _ANY_DOTS.fullmatch(local) and not _DOT_ATOM.fullmatch(local)
    return bool(is_odd) and allows_any_dots(domain)


_DOT_ATOM = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_ANY_DOTS = re.compile(rf"\.*{_ATEXT}(?:\.+{_ATEXT})*\.*")
_DOTS = {ord(dot): "." for dot in "\u3002\uff0e\uff61"}
"""Further characters that separate the labels of a domain (RFC 3490 section 3.1)."""
