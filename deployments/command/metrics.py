"""Commands about metrics for Prometheus."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from deployments.command.output import Flag

if TYPE_CHECKING:
    from mailsluice.metrics.app import MetricsApp

app = App(name="metrics", help="Numbers of this machine's work, for Prometheus.")

_PORT = 9464
"""The port that OpenTelemetry's exporters for Prometheus have."""


@app.command
def serve(*, host: str = "127.0.0.1", port: int = _PORT, no_state: Flag = False) -> None:
    """Answer Prometheus at /metrics, for all processes with the same MAILSLUICE_HOME.

    Runs until Ctrl-C. Anybody who can connect can read the names of connections and campaigns.

    Args:
        host: The address to listen at; 0.0.0.0 for all addresses of this machine.
        port: The port to listen at.
        no_state: Leave out the numbers of the state database, if another endpoint has them.
    """
    from deployments.metrics_endpoint import Endpoint

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    endpoint = Endpoint(_app(no_state), host, port)
    print(f"Metrics: {endpoint.url}  (Ctrl-C ends it)", flush=True)
    endpoint.run()


@app.command
def show(*, no_state: Flag = False) -> None:
    """Print the metrics of this machine.

    Args:
        no_state: Leave out the numbers of the state database.
    """
    from mailsluice.metrics.exposition import exposed

    print(exposed(_app(no_state).numbers())[0].decode(), end="")


@app.command
def write(file: Path, *, no_state: Flag = False) -> None:
    """Replace a file by the metrics of this machine, for the textfile collector of node_exporter.

    Args:
        file: The whole path of a file whose name ends in .prom.
        no_state: Leave out the numbers of the state database.
    """
    from mailsluice.metrics.outlets import text_file, write_text

    write_text(text_file(str(file)), _app(no_state).numbers())


def _app(no_state: bool) -> MetricsApp:
    from mailsluice.metrics.app import MetricsApp
    from mailsluice.metrics.state import StateMetrics

    return MetricsApp(None if no_state else StateMetrics())
