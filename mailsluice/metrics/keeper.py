"""Keep the metrics of a process at work, and never fail: what they count is more important."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mailsluice.metrics.folder import Snapshot, metrics_folder
from mailsluice.metrics.numbers import Numbers
from mailsluice.metrics.outlets import Outlets

logger = logging.getLogger(__name__)

TICK_SECONDS = 5.0
"""How often a process at work replaces its file."""


class Keeper:
    """The file of one process, and the places that it is told to send the machine's metrics to.

    A failure is logged when it begins, and not raised. Blocking.
    """

    def __init__(self, outlets: Outlets | None = None) -> None:
        self._folder = metrics_folder()
        self._outlets = outlets or Outlets.from_environment()
        self._snapshot: Snapshot | None = None
        self._is_failing = False

    def write(self, numbers: Numbers) -> None:
        """Replace what the file says."""

        def write() -> None:
            if self._snapshot is None:
                self._snapshot = self._folder.begin()
            self._snapshot.write(numbers)

        self._try(write)
        self._outlets.offer(self._folder.read)

    def end(self, numbers: Numbers) -> None:
        """Leave the counters to the machine's totals."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot:
            self._try(lambda: snapshot.end(numbers))
        self._outlets.offer(self._folder.read, is_last=True)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 whatever it is, mail goes on
            if not self._is_failing:
                logger.warning("metrics cannot be written: %s: %s", type(error).__name__, error)
            self._is_failing = True
        else:
            self._is_failing = False
