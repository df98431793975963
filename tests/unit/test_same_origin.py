"""Recognising requests that a browser sends on behalf of another web site."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from deployments.prefect_server.same_origin import is_foreign, known_hosts

HOST = "127.0.0.1:4200"
LINK = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def foreign(method: str = "GET", host: str = HOST, **headers: str) -> bool:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return is_foreign(method, Headers({"host": host, **named}), known_hosts("127.0.0.1"))


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (HOST, "http://127.0.0.1:4200"),
        (HOST, "http://localhost:4200"),  # the same server by its other name
        (HOST, "http://LOCALHOST:4200"),
        ("localhost:4200", "http://127.0.0.1:4200"),
        ("[::1]:4200", "http://[::1]:4200"),
        ("localhost:8080", "http://localhost:8080"),  # through a tunnel
        ("localhost", "http://localhost"),  # port 80 is not written
    ],
)
def test_requests_of_the_ui_are_allowed(host: str, origin: str) -> None:
    assert not foreign(host=host, origin=origin)
    assert not foreign("POST", host=host, origin=origin, sec_fetch_site="same-origin")
    assert not foreign("POST", host=host, origin=origin, sec_fetch_site="cross-site")


@pytest.mark.parametrize(
    "origin",
    [
        "https://elsewhere.example",
        "http://elsewhere.example:4200",  # what a rebound name sends
        "http://localhost:3000",  # another server on this machine
        "http://127.0.0.1",  # on port 80
        "http://127.0.0.1.elsewhere.example:4200",
        "http://localhost.elsewhere.example:4200",
        "http://127.0.0.1:4200@elsewhere.example",
        "null",  # a frame in a sandbox, a file
        "file://",
        "chrome-extension://abcdefgh",
        "http://[::1",  # no address
        "http://localhost:port",
        "",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_requests_of_other_origins_are_refused(method: str, origin: str) -> None:
    assert foreign(method, origin=origin)
    assert foreign(method, origin=origin, sec_fetch_site="same-origin")
    assert foreign(method, origin=origin, **LINK)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "made-up"])
@pytest.mark.parametrize(
    ("method", "headers"),
    [
        # A script, an image.
        ("GET", {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}),
        ("GET", {"sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}),
        # The UI in a frame of another page, to have its buttons pressed.
        ("GET", {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}),
        # A form that is sent.
        ("POST", LINK),
        ("GET", {}),
    ],
)
def test_a_request_without_origin_is_judged_by_where_it_comes_from(
    site: str, method: str, headers: dict[str, str]
) -> None:
    assert foreign(method, sec_fetch_site=site, **headers)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_to_the_ui_can_be_followed_from_anywhere(site: str) -> None:
    assert not foreign("GET", sec_fetch_site=site, **LINK)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_requests_of_programs_are_allowed(method: str) -> None:
    assert not foreign(method)


def test_a_public_server_is_known_by_its_given_name() -> None:
    assert known_hosts("Mail.Example.com") == {"mail.example.com"}
    assert known_hosts("localhost") == known_hosts("127.0.0.1") == {"127.0.0.1", "localhost", "::1"}
