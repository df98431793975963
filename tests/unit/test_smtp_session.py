"""The reason for which a waiting session ended."""

from __future__ import annotations

import pytest

from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.session import IdleEndError


@pytest.mark.parametrize(
    ("code", "text", "seconds", "is_for_idleness"),
    [
        (421, "4.4.2 mail.example Error: timeout exceeded", 10.0, True),
        (None, "the server ended the session: 451 4.4.2 Timeout waiting for input", 10.0, True),
        (None, "the server closed the link", 10.0, True),
        (421, "idle for too long", 10.0, True),
        (421, "4.3.2 shutting down", 10.0, False),
        (421, "4.7.0 too many messages in this session", 0.01, False),
        (None, "the server closed the link", 0.01, False),
    ],
)
def test_sessions_that_ended_for_idleness_are_recognised(
    code: int | None, text: str, seconds: float, is_for_idleness: bool
) -> None:
    error = IdleEndError(Attempt(Phase.MAIL, code, text), seconds)
    assert error.is_for_idleness == is_for_idleness
