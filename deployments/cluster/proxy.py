"""nginx in front of the API servers, configured from the template that compose also uses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from string import Template

from deployments.cluster.member import Member
from deployments.cluster.programs import program
from deployments.cluster.settings import PROXY_TEMPLATE
from deployments.cluster.stores import listens

_MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
worker_processes 2;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def site(template: str, *, servers: Sequence[str], listen: str, tls_folder: Path) -> str:
    """The template filled in; nginx's own variables, in small letters, are left as they are."""
    return Template(template).safe_substitute(
        API_SERVERS=" ".join(f"server {one};" for one in servers),
        LISTEN=listen,
        TLS_FOLDER=str(tls_folder),
    )


def proxy(folder: Path, port: int, api_ports: Sequence[int], tls_folder: Path) -> Member:
    """A proxy on loopback to the API servers at these ports."""
    own = folder / "nginx"
    own.mkdir(exist_ok=True)
    servers = [f"127.0.0.1:{one} max_fails=1 fail_timeout=2s" for one in api_ports]
    text = site(
        PROXY_TEMPLATE.read_text(),
        servers=servers,
        listen=f"127.0.0.1:{port}",
        tls_folder=tls_folder,
    )
    (own / "site.conf").write_text(text)
    (own / "nginx.conf").write_text(_MAIN.format(folder=own))
    return Member(
        "proxy",
        [program("nginx"), "-e", "stderr", "-c", str(own / "nginx.conf")],
        folder / "logs" / "proxy.log",
        environment={"PATH": os.defpath},
        is_ready=lambda: listens(port),
    )
