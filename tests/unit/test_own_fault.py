"""The reason and the traceback of a fault of Mailsluice."""

from __future__ import annotations

import pytest

from mailsluice.delivery.own_fault import is_own_fault, own_fault, traced

SECRET = "s3cret-pass"


def caught(text: str) -> Exception:
    """An error that was raised, with a cause."""
    try:
        try:
            raise KeyError(text)
        except KeyError as cause:
            raise ValueError(text) from cause
    except ValueError as error:
        return error


@pytest.mark.parametrize("text", ["", "no digit", "\udcff\0", f"AUTH {SECRET} of ann@example.com"])
def test_a_fault_is_named_without_addresses_and_secrets(text: str) -> None:
    error = caught(text)
    reason, trace = own_fault(error, [SECRET]), traced(error, [SECRET])
    assert reason.startswith("a fault of Mailsluice, not of the server: ValueError: ")
    assert is_own_fault(reason)
    assert "in caught" in trace
    for shown in (reason, trace):
        assert SECRET not in shown
        assert "@" not in shown
    reason.encode()


def test_a_long_message_is_cut() -> None:
    error = caught("x" * 1_000_000)
    assert len(own_fault(error, [])) < 3_000
    assert len(traced(error, [])) <= 20_000


@pytest.mark.parametrize(
    "reason", [None, "", "connect: 554 a fault of Mailsluice, not of the server: "]
)
def test_other_reasons_are_no_fault_of_ours(reason: str | None) -> None:
    assert not is_own_fault(reason)
