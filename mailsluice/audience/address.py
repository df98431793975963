"""Addresses: the one form they are compared and sent in, or the reason why they are none."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from email_validator import EmailNotValidError, validate_email

from mailsluice.audience.chunk import TEXT, as_array

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN = rf"^{_ATEXT}(?:\.{_ATEXT})*@[A-Za-z0-9.-]+$"
_PLAIN_DOMAIN = r"^(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{2,63}$"
_LONG_LABEL = r"[^.]{64}"
_MAX_ADDRESS, _MAX_LOCAL = 254, 64  # octets: RFC 5321 section 4.5.3.1, erratum 1690 of RFC 3696


def normalise(raw: pd.Series[str]) -> pd.DataFrame:
    """Check addresses (n,) and bring them into the form they are compared and sent in.

    Blanks around them are removed, the domain becomes ASCII in lower case (UTS 46), the local part
    stays as it is (NFC where it is not ASCII). The common form (dot-atom, RFC 5322 section 3.2.3,
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
    local, at, domain = address.rpartition("@")
    if not address:
        return "", "", "no address"
    if not at:
        return "", "", "no @ sign"
    if local and domain and "." not in domain.translate(_DOTS):
        return "", "", "the domain has no dot"
    try:
        found: Any = validate_email(
            address, check_deliverability=False, strict=True, test_environment=True
        )
    except EmailNotValidError as error:
        return "", "", str(error)
    email = f"{found.local_part}@{found.ascii_domain}"
    if len(email.encode()) > _MAX_ADDRESS or len(found.local_part.encode()) > _MAX_LOCAL:
        limits = f"{_MAX_LOCAL} octets before the @, {_MAX_ADDRESS} in all"
        return "", "", f"too long for SMTP, which takes at most {limits}"
    return email, found.ascii_domain, ""


_DOTS = {ord(dot): "." for dot in "\u3002\uff0e\uff61"}
"""What else separates labels (RFC 3490 section 3.1)."""
