"""Repeat what the state database does not answer, until it answers again."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from mailsluice.core.errors import OutboxError
from mailsluice.core.masking import masked
from mailsluice.store.trouble import DatabaseError, is_passing

_Result = TypeVar("_Result")

logger = logging.getLogger(__name__)

_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0)
_HURRIED_RETRIES = 3


class StoreRetry:
    """Repeats database work, for ever or, when hurried, a few times only. Blocking."""

    def __init__(self) -> None:
        self.hurried = False
        """Whether to give up soon on a database that is away, since the run is to stop."""
        self.is_away = False
        """Whether the database does not answer at the moment."""

    def call(self, action: Callable[[], _Result]) -> _Result:
        """Repeat `action` until the database answers. Raises OutboxError when it gives up."""
        for failures in itertools.count():
            try:
                result = action()
            except DatabaseError as error:
                if not is_passing(error):
                    raise
                self._failed(error, failures)
                time.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
            else:
                if self.is_away:
                    logger.info("the state database is back")
                self.is_away = False
                return result
        raise AssertionError("unreachable")

    def _failed(self, error: DatabaseError, failures: int) -> None:
        reason = masked(str(getattr(error, "orig", error)))
        if self.hurried and failures >= _HURRIED_RETRIES:
            raise OutboxError(
                "the state database is away; the next run on this machine records what is in the"
                f" journal: {reason}"
            ) from error
        if not self.is_away:
            logger.warning("the state database is away, sending waits: %s", reason)
        self.is_away = True
