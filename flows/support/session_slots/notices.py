"""Log lines about the slots of a connection, each once until the situation changes."""

from __future__ import annotations

import logging
from typing import Any

from flows.support.session_slots.limit_state import LimitState, limit_name

Logger = logging.Logger | logging.LoggerAdapter[Any]


class Notices:
    """Writes to the run's log."""

    def __init__(self, connection: str, logger: Logger) -> None:
        self._connection = connection
        self._limit = limit_name(connection)
        self._logger = logger
        self._logged: dict[str, object] = {}

    def limit_state(self, state: LimitState, max_sessions: int) -> None:
        """Log which of limit and block binds, unless it is the block, as usual.

        `max_sessions` is the block's, or its lower one for the host.
        """
        binding = state.limit if state.is_active else None
        if binding is not None and binding >= max_sessions:
            if self._logged.pop("limit_state", None):
                self._info("limit %s no longer binds below the block", state.name or self._limit)
        elif not self._is_new("limit_state", (binding, max_sessions)):
            return
        elif binding is None:
            self._info("limit %s is deactivated: only the block's max_sessions binds", self._limit)
        elif binding == 0:
            self._warn(
                "sends nothing: limit %s is 0. Raise it under Concurrency",
                state.name or self._limit,
            )
        else:
            self._info(
                "at most %d sessions over all runs: limit %s is lower than the block's max_sessions"
                " (%d). Raise it in the Prefect UI under Concurrency",
                binding,
                state.name or self._limit,
                max_sessions,
            )

    def starving(self, state: LimitState | None) -> None:
        """Warn that no session can be opened, as other processes hold all slots."""
        state = (state and state.fullest) or state
        if state and state.limit and state.is_full and self._is_new("starving", True):
            name = state.name or self._limit
            self._warn(
                "waits for a session: all %d of limit %s are taken by other runs, or by one that"
                " was lost with its machine in the last two minutes. If neither is the case:"
                " prefect gcl update %s --active-slots 0",
                state.limit,
                name,
                name,
            )

    def has_session(self) -> None:
        """Note that a session is open again."""
        self._logged.pop("starving", None)

    def server_away(self, error: Exception) -> None:
        """Warn that sessions are opened while the server does not answer."""
        if self._is_new("server_away", True):
            self._warn(
                "the Prefect API does not answer (%s): sessions are opened up to the last known"
                " limit of this run alone, until it answers again",
                error,
            )

    def server_answers(self) -> None:
        """Log that the server answers again."""
        if self._logged.pop("server_away", None):
            self._info("the Prefect API answers again: sessions over all runs are limited again")

    def _is_new(self, key: str, value: object) -> bool:
        if self._logged.get(key) == value:
            return False
        self._logged[key] = value
        return True

    def _info(self, text: str, *arguments: object) -> None:
        self._logger.info(f"connection %s: {text}", self._connection, *arguments)

    def _warn(self, text: str, *arguments: object) -> None:
        self._logger.warning(f"connection %s: {text}", self._connection, *arguments)
