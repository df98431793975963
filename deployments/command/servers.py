"""Commands that start servers: the demo, and Prefect's server with the deployments."""

from __future__ import annotations

from deployments.command.output import Flag


def demo() -> int:
    """Send a campaign to 1,000 recipients through two local SMTP servers, 70/30."""
    from deployments import demo as module

    return module.main()


def serve(*, login: Flag = False, host: str | None = None, metrics_port: int | None = None) -> None:
    """Start a Prefect server with the blocks and the deployments; Ctrl-C ends it.

    Args:
        login: Have the server ask for a login.
        host: The name or address at which others open the UI. The server listens there instead of
            on this machine alone, and asks for a login.
        metrics_port: Answer Prometheus at this port, on this machine alone, at /metrics.
    """
    from deployments import serve as module

    given = {"--host": host, "--metrics-port": metrics_port}
    values = [part for name, value in given.items() if value for part in (name, str(value))]
    module.main([*(["--login"] if login else []), *values])


COMMANDS = (demo, serve)
