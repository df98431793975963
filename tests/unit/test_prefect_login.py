"""The login of the Prefect server that `make serve` starts."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_API_AUTH_STRING, temporary_settings

from deployments.prefect_server.login import login, server_login
from deployments.serve import _api_url

HERE, OUT = "http://127.0.0.1:4200/api", "http://192.0.2.1:4200/api"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path))
    return tmp_path


def test_a_login_is_created_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "prefect-login"
    made, is_new = login(path)
    user, _, password = made.partition(":")
    assert (user, is_new) == ("mailsluice", True)
    assert len(password) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert login(path) == (made, False)
    assert login(tmp_path / "another")[0] != made


@pytest.mark.parametrize("text", ["", "\n", "mailsluice", "mailsluice:\n", ":password"])
def test_a_truncated_login_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prefect-login"
    path.write_text(text)
    with pytest.raises(ValueError, match="holds no login"):
        login(path)
    with pytest.raises(SystemExit, match="no login for the Prefect server"):
        server_login(OUT, wanted=False)


@pytest.mark.parametrize(
    ("api_url", "wanted", "asked_for"),
    [
        (HERE, False, False),
        (HERE, True, True),
        ("http://localhost:4200/api", False, False),
        ("http://[::1]:4200/api", False, False),
        (OUT, False, True),  # others reach it
        (OUT, True, True),
        ("http://mail.example.com:4200/api", False, True),
    ],
)
def test_a_server_that_others_can_reach_requires_a_login(
    home: Path, api_url: str, wanted: bool, asked_for: bool
) -> None:
    made = server_login(api_url, wanted=wanted)
    assert (made is not None) == asked_for
    assert (home / "prefect-login").exists() == asked_for


def test_the_login_is_printed_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = server_login(OUT, wanted=False)
    assert made
    assert made in capsys.readouterr().out
    assert server_login(OUT, wanted=False) == made
    assert capsys.readouterr().out == f"Login: the one in {home / 'prefect-login'}\n"


def test_the_login_in_prefects_settings_comes_first(home: Path) -> None:
    with temporary_settings({PREFECT_SERVER_API_AUTH_STRING: "me:mine"}):
        assert server_login(HERE, wanted=False) == server_login(OUT, wanted=True) == "me:mine"
    assert not (home / "prefect-login").exists()


def test_the_address_is_the_one_at_which_others_open_the_ui() -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4300/api"}):
        assert _api_url(None) == "http://127.0.0.1:4300/api"
        assert _api_url("192.0.2.1") == "http://192.0.2.1:4300/api"
        assert _api_url("2001:db8::1") == "http://[2001:db8::1]:4300/api"
        assert _api_url("mail.example.com") == "http://mail.example.com:4300/api"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_wildcard_address_is_refused_as_host(host: str) -> None:
    with pytest.raises(SystemExit, match="give the address at which others open the UI"):
        _api_url(host)
