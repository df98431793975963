"""The ports of servers that are started by processes which know nothing of each other."""

from __future__ import annotations

import secrets

import pytest

from deployments.server import free_port


def test_a_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given, draw = free_port(), secrets.randbelow
    draws = iter([given - 16_384])
    monkeypatch.setattr(secrets, "randbelow", lambda below: next(draws, draw(below)))
    assert free_port() != given
    assert next(draws, None) is None
