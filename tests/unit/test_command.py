"""The command `mailsluice` without a server: exit codes, errors, example, schema."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Completed, Crashed

from deployments.command import main
from deployments.command.output import show_page
from deployments.command.status import show_report
from mailsluice.campaign import Campaign
from mailsluice.core.moves import Move, MoveReason
from mailsluice.core.status import RecipientStatus
from mailsluice.reports.campaign import Report, RouteReport


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a home and a working folder of its own."""
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MAILSLUICE_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_example_is_a_valid_campaign_and_is_not_overwritten(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["init"]) == 0
    Campaign.model_validate(yaml.safe_load(Path("campaign.yaml").read_text()))
    assert main(["init"]) == 1
    assert capsys.readouterr().err == (
        "mailsluice: campaign.yaml exists: give another name, or delete it first\n"
    )


def test_the_schema_is_that_of_a_campaign(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["required"] == [
        "name",
        "recipients",
        "message",
        "routes",
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["bogus"], 2),  # no such command
        (["send"], 2),  # an argument is missing
        (["resolve", "spring-sale", "--action", "guess"], 2),  # not one of the choices
        (["plan", "gone.yaml"], 1),
        (["report", "nobody"], 1),
        (["status"], 0),
    ],
)
def test_exit_codes(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == code
    told = capsys.readouterr()
    assert "Traceback" not in told.out + told.err
    if code == 1:
        assert told.err.startswith("mailsluice: ")
        assert told.err.count("\n") == 1


def test_suppressions_can_be_added_exported_removed_and_imported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["suppress", "add", "Ann@example.com", "bob@example.com", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["new"] == 2
    assert main(["suppress", "export", "list.csv"]) == 0
    assert main(["suppress", "remove", "ann@example.com"]) == 0
    assert main(["suppress", "import", "list.csv", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert json.loads("\n".join(lines[lines.index("{") :]))["new"] == 1


def test_what_affinity_remembers_can_be_shown_and_forgotten(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["affinity", "show"]) == 0
    assert capsys.readouterr().out == "no campaign with affinity was launched yet\n"
    assert main(["affinity", "forget", "ann@example.com", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"forgotten": 0}
    for command in (["forget"], ["forget-group", "shop"]):
        assert main(["affinity", *command]) == 1
        assert capsys.readouterr().err.count("\n") == 1


def test_a_file_of_events_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("events.csv").write_text("Kind,email,time\nMoved,ann@example.com,1785000000\n")
    command = ["events", "import", "red", "events.csv", "--provider=none", "--check"]
    assert main([*command, "--columns.event=Kind", "--names.Moved=delivered"]) == 0
    shown = capsys.readouterr().out
    assert "1 rows: 0 events would be recorded" in shown
    assert "@" not in shown
    for wrong in (["--timezone=Nowhere"], ["--columns.event=What"], ["--columns.what=Kind"], []):
        assert main([*command, *wrong]) == 1
        told = capsys.readouterr()
        assert told.err.startswith("mailsluice: ")
        assert told.err.count("\n") == 1


def test_a_file_that_cannot_be_written_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    main(["suppress", "add", "ann@example.com"])
    (tmp_path / "file").touch()
    assert main(["suppress", "export", "file/list.csv"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_help_loads_no_heavy_package() -> None:
    code = (
        "import sys; from deployments.command import main; main(['--help']);"
        "print(sorted(set(sys.modules) & {'pandas', 'prefect', 'sqlalchemy', 'numpy'}))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, env=os.environ
    )
    assert told.stdout.splitlines()[-1] == "[]"
    assert "Send e-mail campaigns" in told.stdout


def test_ctrl_c_is_a_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mailsluice.report", interrupted)
    assert main(["status", "spring-sale"]) == 130
    assert capsys.readouterr().err == "mailsluice: interrupted; the same command continues\n"


def test_an_empty_database_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["status"]) == 0
    assert str(tmp_path / "home" / "mailsluice.db") in capsys.readouterr().out


def test_flags_have_no_negative_and_arguments_no_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["send", "--help"]) == 0
    told = capsys.readouterr().out
    assert "--deployment" in told
    assert "--no-deployment" not in told
    assert "--file" not in told


def test_prefect_is_not_to_report_what_the_command_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    assert main(["status"]) == 0
    assert os.environ["DO_NOT_TRACK"] == "1"
    capsys.readouterr()


def test_a_page_is_laid_out_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show_page("# Plan\n\nset unsubscribe\\_url", {}, as_json=False)
    assert capsys.readouterr().out == "# Plan\n\nset unsubscribe\\_url\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show_page("# Plan\n\nset unsubscribe\\_url", {}, as_json=False)
    assert "set unsubscribe_url" in capsys.readouterr().out


def test_ctrl_c_leaves_a_run_of_the_deployment_to_prefect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    run = SimpleNamespace(id=uuid4())
    monkeypatch.setattr("deployments.command.sending.prefect", nullcontext)
    monkeypatch.setattr("prefect.deployments.run_deployment", lambda *_, **__: run)
    monkeypatch.setattr("prefect.flow_runs.wait_for_flow_run", interrupted)
    assert main(["init"]) == 0
    assert main(["send", "campaign.yaml", "--deployment"]) == 130
    told = capsys.readouterr().err
    assert str(run.id) in told
    assert "the run continues in Prefect" in told


def test_a_run_of_the_deployment_gets_percentages_as_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The deployment's schema refuses a number that is written as text."""
    given: dict[str, Any] = {}

    def run_deployment(_: str, *, parameters: dict[str, Any], timeout: float) -> SimpleNamespace:
        given.update(parameters, timeout=timeout)
        return SimpleNamespace(id=uuid4())

    async def ended(_: object) -> SimpleNamespace:
        return SimpleNamespace(state=Completed())

    monkeypatch.setattr("deployments.command.sending.prefect", nullcontext)
    monkeypatch.setattr("prefect.deployments.run_deployment", run_deployment)
    monkeypatch.setattr("prefect.flow_runs.wait_for_flow_run", ended)
    assert main(["init"]) == 0
    written = Path("campaign.yaml").read_text()
    Path("campaign.yaml").write_text(
        written.replace("percent: 70}", "percent: 66.7, grows_to: 70, grows_from: 2026-11-01,"
                        " grows_over_days: 3}").replace("percent: 30", "percent: 33.3")
    )  # fmt: skip
    assert main(["send", "campaign.yaml", "--deployment"]) == 0
    campaign = json.loads(json.dumps(given["campaign"]))
    assert campaign["routes"] == [
        {"connection": "sendgrid", "percent": 66.7, "grows_to": 70.0,
         "grows_from": "2026-11-01", "grows_over_days": 3},
        {"connection": "sparkpost", "percent": 33.3},
    ]  # fmt: skip
    assert Campaign.model_validate(campaign) == Campaign.model_validate(
        yaml.safe_load(Path("campaign.yaml").read_text())
    )


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (409, {"json": {"detail": "Validation failed for field 'campaign'"}},
         "(409): Validation failed for field 'campaign' - correct the campaign"),
        (502, {"text": "Bad Gateway"}, "(502): Bad Gateway - "),
    ],
)  # fmt: skip
def test_a_run_that_prefect_refuses_is_explained_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
    answer: dict[str, Any],
    told: str,
) -> None:
    def refused(*_: object, **__: object) -> None:
        request = httpx.Request("POST", "http://127.0.0.1/api")
        response = httpx.Response(status, request=request, **answer)
        raise PrefectHTTPStatusError("refused", request=request, response=response)

    monkeypatch.setattr("deployments.command.sending.prefect", nullcontext)
    monkeypatch.setattr("prefect.deployments.run_deployment", refused)
    assert main(["init"]) == 0
    assert main(["send", "campaign.yaml", "--deployment"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert told in lines[0]


def test_a_crashed_run_is_said_to_start_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def ended(_: object) -> SimpleNamespace:
        return SimpleNamespace(state=Crashed(message="killed"))

    monkeypatch.setattr("deployments.command.sending.prefect", nullcontext)
    monkeypatch.setattr(
        "prefect.deployments.run_deployment", lambda *_, **__: SimpleNamespace(id=uuid4())
    )
    monkeypatch.setattr("prefect.flow_runs.wait_for_flow_run", ended)
    assert main(["init"]) == 0
    assert main(["send", "campaign.yaml", "--deployment"]) == 1
    written = capsys.readouterr()
    assert "Crashed: killed" in written.out
    assert "run the same command again" in written.err


def test_a_server_without_the_deployment_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ObjectNotFound(KeyError("send-campaign/default"))

    monkeypatch.setattr("deployments.command.sending.prefect", nullcontext)
    monkeypatch.setattr("prefect.deployments.run_deployment", missing)
    assert main(["init"]) == 0
    assert main(["send", "campaign.yaml", "--deployment"]) == 1
    assert "start `mailsluice serve`" in capsys.readouterr().err


def test_the_state_of_a_campaign_shows_who_moved(capsys: pytest.CaptureFixture[str]) -> None:
    sent = RecipientStatus.SENT
    routes = [RouteReport("red", 100, {sent: 20}), RouteReport("ses", 0, {sent: 80})]
    report = Report("spring", 100, 100, {}, routes)
    show_report(report, as_json=False)
    assert "recipients" not in capsys.readouterr().out
    moves = [Move("red", "ses", MoveReason.DOWN, 80, 80)]
    show_report(replace(report, moves=moves), as_json=False)
    table = capsys.readouterr().out
    assert re.search(r"connection\W+assigned\W+recipients\W+sent", table)
    assert re.search(r"red\W+100\W+20\W+20", table)
    assert re.search(r"ses\W+0\W+80\W+80", table)


def test_a_report_says_what_waits_for_a_decision(capsys: pytest.CaptureFixture[str]) -> None:
    routes = [RouteReport("red", 100, {RecipientStatus.SENT: 20, RecipientStatus.PENDING: 80})]
    report = Report("spring", 100, 100, {}, routes, held=["red is held: too many bounces"])
    show_report(report, as_json=False)
    wanted = "red is held: too many bounces: decide with `mailsluice decide spring`"
    assert wanted in capsys.readouterr().out
    routes = [RouteReport("red", 100, {RecipientStatus.SENT: 100})]
    show_report(replace(report, routes=routes), as_json=False)
    assert "decide" not in capsys.readouterr().out
