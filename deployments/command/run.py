"""Run a command line, and turn every error into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError

from deployments.command import bounces, campaigns, connections, documents, servers, suppressions

USAGE, FAILED, INTERRUPTED = 2, 1, 130

app = App(
    name="mailsluice",
    help="Send e-mail campaigns over several SMTP connections, in exact shares and exactly once.",
    version=lambda: version("mailsluice"),
    result_action="return_value",
)
for commands in (documents, campaigns, servers):
    for command in commands.COMMANDS:
        app.command(command)
for group in (connections, suppressions, bounces):
    app.command(group.app)
app.register_install_completion_command(help="Install the completion of this command in a shell.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns its exit code."""
    os.umask(0o077)
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
        from flows.failing import TROUBLE, explained

        if not isinstance(error, TROUBLE):
            raise
        print(f"mailsluice: {explained(error, 'Run the same command again', '')}", file=sys.stderr)
        return FAILED
