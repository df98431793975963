"""The metrics of the state database, which are read again now and then."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from mailsluice.core.errors import MailsluiceError
from mailsluice.core.steady import steady
from mailsluice.metrics import catalogue as names
from mailsluice.metrics.numbers import Numbers
from mailsluice.store import Database, Suppressions
from mailsluice.store.state_counts import StateCounts, state_counts
from mailsluice.store.trouble import DatabaseError

logger = logging.getLogger(__name__)

LEAST_SECONDS = 10.0
_REST = 100.0
"""A query rests for this many times as long as it took, so it takes a hundredth of the time."""

Value = TypeVar("Value")


class StateMetrics:
    """Reads the numbers of one database, which may be away. Thread-safe; blocking."""

    def __init__(
        self,
        open_database: Callable[[], Database] = Database,
        clock: Callable[[], float] = steady,
    ) -> None:
        """`open_database` is called when the database is first read, and again until it opens."""
        self._open = open_database
        self._database: Database | None = None
        self._lock = threading.Lock()
        self._trouble = ""
        """The failure that was logged last, until the database answers again."""
        self._counts = _Rested[StateCounts](lambda: state_counts(self._opened()), clock)
        self._suppressions = _Rested[dict[str, int]](
            lambda: Suppressions(self._opened()).totals(), clock
        )

    def read(self) -> Numbers:
        """The numbers as they were a short while ago; only DATABASE_UP while it is away."""
        numbers = Numbers()
        with self._lock:
            try:
                found, suppressed = self._counts.value(), self._suppressions.value()
            except (DatabaseError, MailsluiceError) as error:
                self._log(error)
                numbers.add(names.DATABASE_UP, amount=0)
                return numbers
        self._trouble = ""
        numbers.add(names.DATABASE_UP)
        for metric, values in (
            (names.CAMPAIGNS, found.campaigns),
            (names.OLDEST, found.oldest),
            (names.FETCHED, found.fetched_until),
            (names.HOLDS, found.holds),
            (names.SUPPRESSIONS, suppressed),
        ):
            for label, value in values.items():
                numbers.add(metric, label, amount=value)
        return numbers

    def _log(self, error: Exception) -> None:
        """Log a failure when it begins. The text of a driver's error may hold anything."""
        trouble = str(error) if isinstance(error, MailsluiceError) else type(error).__name__
        if trouble != self._trouble:
            logger.warning("metrics lack the numbers of the state database: %s", trouble)
        self._trouble = trouble

    def _opened(self) -> Database:
        if self._database is None:
            self._database = self._open()
        return self._database


class _Rested(Generic[Value]):
    """The value of a query that is not asked again before it has rested."""

    def __init__(self, query: Callable[[], Value], clock: Callable[[], float]) -> None:
        self._query = query
        self._clock = clock
        self._due_at = -math.inf
        self._value: Value | Exception = MailsluiceError("not read yet")

    def value(self) -> Value:
        """The last answer, or the last failure, which is raised."""
        begun = self._clock()
        if begun >= self._due_at:
            try:
                self._value = self._query()
            except (DatabaseError, MailsluiceError) as error:
                self._value = error
            took = self._clock() - begun
            self._due_at = begun + took + max(LEAST_SECONDS, _REST * took)
        if isinstance(self._value, Exception):
            raise self._value
        return self._value
