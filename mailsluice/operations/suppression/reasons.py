"""The reasons in lists of other systems. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from mailsluice.core.suppression_reason import SuppressionReason, reason_of
from mailsluice.operations.suppression.headings import (
    CLEANED_AT,
    ORIGIN,
    REASON,
    SOURCE,
    TYPE,
    UNSUBSCRIBED_AT,
    Headings,
    letters,
)

_REASONS = (*SuppressionReason, None)
_RANKS = {reason: rank for rank, reason in enumerate(_REASONS)}
_SCOPES = frozenset(("transactional", "nontransactional"))


class ReadReasons(NamedTuple):
    """The reasons in a part of a list."""

    reasons: list[SuppressionReason | None]
    """(n,); None where a row gives none, or an unknown one."""
    unknown: int
    """Rows with an unknown reason."""
    is_given: bool
    """Whether the list has a column for reasons."""


def read_reasons(headings: Headings) -> ReadReasons:
    """Read the reason of each row; of several in a row the one that counts most.

    Three providers write the reason in their own ways:

    - SparkPost: the type is the kind of mail that is suppressed, and the reason is the source.
    - Postmark: a recipient who unsubscribes is a ManualSuppression with the origin Recipient.
    - Mailchimp: a file is about one reason, and its rows have the time of that.
    """
    columns = headings.columns(REASON)
    words = [*columns, *_of_sparkpost(headings), *_of_postmark(headings), *_of_mailchimp(headings)]
    if not words:
        return ReadReasons([None] * headings.rows, 0, is_given=False)
    ranks = np.minimum.reduce([_ranks(texts) for texts in words])
    has_word = np.logical_or.reduce([(texts != "").to_numpy(bool) for texts in words])
    unknown = has_word & (ranks == _RANKS[None])
    return ReadReasons(
        [_REASONS[rank] for rank in ranks.tolist()],
        int(unknown.sum()),
        is_given=bool(columns or has_word.any()),
    )


def _of_sparkpost(headings: Headings) -> list[pd.Series[str]]:
    types, sources = headings.columns(TYPE), headings.columns(SOURCE)
    if not types or not sources:
        return []
    return [sources[0].where(_among(types[0], _SCOPES), "")]


def _of_postmark(headings: Headings) -> list[pd.Series[str]]:
    reasons, origins = headings.columns(REASON), headings.columns(ORIGIN)
    if not reasons or not origins:
        return []
    by_recipient = _among(reasons[0], {"manualsuppression"}) & _among(origins[0], {"recipient"})
    return [_where(by_recipient, SuppressionReason.UNSUBSCRIBED)]


def _of_mailchimp(headings: Headings) -> list[pd.Series[str]]:
    times = (
        (UNSUBSCRIBED_AT, SuppressionReason.UNSUBSCRIBED),
        (CLEANED_AT, SuppressionReason.BOUNCED),
    )
    return [
        _where(column != "", reason)
        for heading, reason in times
        for column in headings.columns(heading)
    ]


def _where(rows: pd.Series[bool], reason: SuppressionReason) -> pd.Series[str]:
    return pd.Series(np.where(rows, reason.value, ""), index=rows.index, dtype="str")


def _among(texts: pd.Series[str], words: set[str] | frozenset[str]) -> pd.Series[bool]:
    return texts.isin([text for text in texts.unique() if letters(text) in words])


def _ranks(texts: pd.Series[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    ranks = {text: _RANKS[reason_of(text)] for text in texts.unique()}
    return texts.map(ranks).to_numpy(np.int64)
