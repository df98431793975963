"""What the operator is told about the slots of a connection: each thing once, until it changes."""

from __future__ import annotations

import logging
from typing import Any

from flows.support.session_slots.limit import LimitState, limit_name

Logger = logging.Logger | logging.LoggerAdapter[Any]


class Notices:
    """Writes to the log of the run."""

    def __init__(self, connection: str, logger: Logger) -> None:
        self._connection = connection
        self._limit = limit_name(connection)
        self._logger = logger
        self._told: dict[str, object] = {}

    def standing(self, found: LimitState, max_sessions: int) -> None:
        """Which of limit and block binds, where it is not the block as usual."""
        binding = found.limit if found.is_active else None
        if binding is not None and binding >= max_sessions:
            if self._told.pop("standing", None):
                self._say("limit %s no longer binds below the block", self._limit)
        elif not self._is_news("standing", (binding, max_sessions)):
            return
        elif binding is None:
            self._say("limit %s is deactivated: only the block's max_sessions binds", self._limit)
        elif binding == 0:
            self._warn("sends nothing: limit %s is 0. Raise it under Concurrency", self._limit)
        else:
            self._say(
                "at most %d sessions over all runs: limit %s is lower than the block's max_sessions"
                " (%d). Raise it in the Prefect UI under Concurrency",
                binding,
                self._limit,
                max_sessions,
            )

    def starving(self, found: LimitState | None) -> None:
        """No session is open, and none can be: others hold all slots."""
        if found and found.limit and found.is_full and self._is_news("starving", True):
            self._warn(
                "waits for a session: all %d of limit %s are taken by other runs, or by one that"
                " was killed less than two minutes ago. Where neither is so: prefect gcl update"
                " %s --active-slots 0",
                found.limit,
                self._limit,
                self._limit,
            )

    def fed(self) -> None:
        """There is a session again."""
        self._told.pop("starving", None)

    def alone(self, error: Exception) -> None:
        """Sessions are opened without a word from the server."""
        if self._is_news("alone", True):
            self._warn(
                "the Prefect API does not answer (%s): sessions are opened up to the last known"
                " limit of this run alone, until it answers again",
                error,
            )

    def answered(self) -> None:
        """The server is there."""
        if self._told.pop("alone", None):
            self._say("the Prefect API answers again: sessions over all runs are limited again")

    def _is_news(self, key: str, value: object) -> bool:
        if self._told.get(key) == value:
            return False
        self._told[key] = value
        return True

    def _say(self, text: str, *arguments: object) -> None:
        self._logger.info(f"connection %s: {text}", self._connection, *arguments)

    def _warn(self, text: str, *arguments: object) -> None:
        self._logger.warning(f"connection %s: {text}", self._connection, *arguments)
