"""Run a command line, and turn every error into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError, Parameter

from deployments.command import (
    affinity,
    bounces,
    campaigns,
    connections,
    documents,
    events,
    message_log,
    metrics,
    probes,
    sending,
    servers,
    suppressions,
)
from deployments.command.output import INTERRUPTED

FAILED, USAGE = 1, 2

app = App(
    name="mailsluice",
    help="Send e-mail campaigns over several SMTP connections, in exact shares and exactly once.",
    version=lambda: version("mailsluice"),
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # `main` says how to continue
    default_parameter=Parameter(negative=()),
)
for command in (*documents.COMMANDS, *sending.COMMANDS, *campaigns.COMMANDS, *probes.COMMANDS):
    app.command(command)
for group in (connections, suppressions, affinity, bounces, events, message_log, metrics):
    app.command(group.app)
for server_command in servers.COMMANDS:
    app.command(server_command)
for position, name in enumerate(app):
    if not name.startswith("-"):
        app[name].sort_key = position  # as registered, not by the alphabet
app.register_install_completion_command(help="Install the completion of this command in a shell.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns its exit code."""
    os.umask(0o077)
    os.environ.setdefault("DO_NOT_TRACK", "1")  # Prefect reports first uses otherwise
    try:
        return app(arguments, exit_on_error=False) or 0
    except CycloptsError:  # it has been printed
        return USAGE
    except KeyboardInterrupt:
        print("mailsluice: interrupted; the same command continues", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        from flows.support.failing import TROUBLE, explained

        if not isinstance(error, TROUBLE):
            raise
        print(f"mailsluice: {explained(error, 'Run the same command again', '')}", file=sys.stderr)
        return FAILED
