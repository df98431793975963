"""Fold columns of addresses to the form in which they are compared. Pure.

Separate from `mailsluice.core.folding`, so that a process that only sends does not load pyarrow.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from mailsluice.core.folding import folded


def fold(emails: pa.Array) -> pa.Array:
    """Fold an array of addresses (n,); plain ones, which nearly all are, in one vectorised step."""
    lowered = pc.ascii_lower(emails)
    special = pc.or_(pc.invert(pc.string_is_ascii(emails)), pc.match_substring(emails, '"'))
    if not special.true_count:
        return lowered
    values = [folded(email) for email in emails.filter(special).to_pylist()]
    return pc.replace_with_mask(lowered, special, pa.array(values, emails.type))
