"""The tables of an export."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa

from mailsluice.core.reply_id import reply_id
from mailsluice.core.source_counts import SourceCounts, row_in_source
from mailsluice.core.status import RecipientStatus
from mailsluice.core.table_file import MOMENT, moments
from mailsluice.message.recipient_token import token_of
from mailsluice.store.fates import REJECT_COLUMNS, Fate, Fates, Reject

_SENT = RecipientStatus.SENT.value
FATES = pa.schema(
    {
        "email": pa.string(),
        "connection": pa.string(),
        "reassigned_from": pa.string(),
        "status": pa.string(),
        "attempts": pa.int16(),
        "code": pa.int16(),
        "reply": pa.string(),
        "settled_at": MOMENT,
        "next_attempt_at": MOMENT,
        "mailbox_provider": pa.string(),
        "message_id": pa.string(),
        "reply_id": pa.string(),
        "token": pa.string(),
        "source": pa.string(),
        "moved_from": pa.string(),
        "moved_at": MOMENT,
        "move_reason": pa.string(),
    }
)
REJECTS = pa.schema(
    {
        "row": pa.int64(),
        "email": pa.string(),
        "reason": pa.string(),
        "detail": pa.string(),
        "source": pa.string(),
    }
)


def recipients(
    fates: Fates, statuses: Collection[RecipientStatus], identify: Callable[[str], str]
) -> Iterator[pa.Table]:
    """Recipients in these states (in any when none is named), as tables of `FATES`."""
    for rows in fates.recipients(statuses):
        fields = _columns(rows)
        numbers, email, *texts, settled, following, hosts, sources, origin, at, why = fields
        ids = [identify(address) for address in email]
        replies = [
            reply_id(row.reply) if row.status == _SENT and row.reply else None for row in rows
        ]
        tokens = [*map(token_of, numbers, ids)]
        times = moments(settled), moments(following)
        moved = origin, moments(at), why
        columns = [email, *texts, *times, hosts, ids, replies, tokens, sources, *moved]
        yield pa.table(dict(zip(FATES.names, columns, strict=True)), schema=FATES)


def rejects(fates: Fates, sources: Sequence[SourceCounts]) -> Iterator[pa.Table]:
    """Rows that are not in the audience, as tables of `REJECTS`, numbered as in their source."""
    for rows in fates.rejects():
        values = dict(zip(REJECT_COLUMNS, _columns(rows), strict=True))
        values["row"], values["source"] = zip(
            *(row_in_source(row, sources) for row in values["row"]), strict=True
        )
        yield pa.table(values, schema=REJECTS)


def _columns(rows: Sequence[Fate] | Sequence[Reject]) -> tuple[tuple[Any, ...], ...]:
    return tuple(zip(*rows, strict=True))
