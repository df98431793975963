"""Every flow that fails for an outside reason ends with one line that says what to do."""

from __future__ import annotations

import errno
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from flows.support.failing import failed
from mailsluice.core.errors import AudienceError, MailsluiceError

FLOWS = Path(__file__).parents[2] / "flows"
LOST = OperationalError("SELECT", None, Exception("the link to the database broke"))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (AudienceError("the file a.csv is empty"), "the file a.csv is empty"),
        (
            LOST,
            "the state database does not answer: the link to the database broke. If it does not"
            " come back, check MAILSLUICE_DATABASE_URL. Retry this run to continue",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/home/reports/a.html"),
            "/home/reports/a.html cannot be used on the worker's machine: No space left on device."
            " Free disk space, or let this user write there. Retry this run to continue",
        ),
    ],
)
def test_the_message_says_what_where_and_what_to_do(error: Exception, message: str) -> None:
    state = failed(error)
    assert state.is_failed()
    assert state.message == message
    assert isinstance(state.data, MailsluiceError)


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(TimeoutError):
        failed(TimeoutError())  # an OSError to Python, but of no file


class _Losing:
    """A database whose link breaks at the first statement."""

    def __init__(self) -> None:
        self.is_sqlite = True

    def __enter__(self) -> _Losing:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        raise LOST


@pytest.mark.parametrize(
    ("flow", "arguments"),
    [
        ("verify_campaign", {"campaign": "spring"}),
        ("cancel_campaign", {"campaign": "spring"}),
        ("compare_connections", {"campaigns": ["spring"]}),
        ("export_suppressions", {"path": "a.csv"}),
        ("report_campaign", {"campaign": "spring"}),
        ("resolve_uncertain", {"campaign": "spring", "action": "sent"}),
    ],
)
async def test_a_flow_that_loses_its_database_says_so(
    flow: str, arguments: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = importlib.import_module(f"flows.{flow}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("flows.support.operation.Database", _Losing)
    state = await getattr(module, flow).fn(**arguments)
    assert state.is_failed()
    assert "the state database does not answer: the link to the database broke" in state.message


def test_every_flow_is_an_operation() -> None:
    """Only a flow made by `operation` is sure to end with one line."""
    for path in FLOWS.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "@flow" not in text, path.name
        assert "@operation(" in text or path.name == "__init__.py", path.name
