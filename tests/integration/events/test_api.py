"""An API that is busy, broken or hostile: asked again, given up, or refused, with advice."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator

import pytest

from mailsluice.core.errors import EventsApiError
from mailsluice.events.pulled.page import ApiRequest
from mailsluice.operations.events import api
from mailsluice.operations.events.api import EventsClient, RefusedError
from tests.provider_apis.api import Answer, ProviderApi, served
from tests.provider_apis.lists import BrevoApi

REQUEST = ApiRequest("/v3/smtp/statistics/events", {"days": "1"}, {"api-key": "k"})


@pytest.fixture(scope="module")
def running() -> Iterator[ProviderApi]:
    with served(BrevoApi(lambda: 0.0)) as found:
        yield found


@pytest.fixture
def provider(running: ProviderApi) -> ProviderApi:
    running.failing.clear()
    running.asked.clear()
    return running


class Pauses(list[float]):
    """The pauses that were made, none of which takes time."""

    def __call__(self, seconds: float) -> bool:
        self.append(seconds)
        return True


def ask(provider: ProviderApi, *answers: Answer) -> tuple[bytes, Pauses]:
    provider.failing += answers
    pauses = Pauses()
    with EventsClient(provider.url, pauses) as client:
        return client.ask(lambda: REQUEST), pauses


OK = Answer(200, {"events": []})


@pytest.mark.parametrize(
    ("answers", "pauses"),
    [
        ([], []),
        ([Answer(500, b"")], [2]),
        ([Answer(503, b""), Answer(502, b""), Answer(504, b"")], [2, 4, 8]),
        ([Answer(429, b"", {"Retry-After": "7"})], [7]),
        ([Answer(429, b"", {"x-sib-ratelimit-reset": "12"})], [12]),  # Brevo
        ([Answer(429, b"", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})], [2]),
        ([Answer(400, {"__type": "com.amazonaws.sqs#RequestThrottled"})], [2]),
    ],
)
def test_passing_trouble_is_tried_again_after_the_pause_that_is_asked_for(
    provider: ProviderApi, answers: list[Answer], pauses: list[float]
) -> None:
    assert ask(provider, *answers, OK) == (OK.body, pauses)


@pytest.mark.parametrize(
    ("answers", "tries", "message"),
    [
        ([Answer(401, b"Ann <ann@example.com>")], 1, "the API answers 401"),
        ([Answer(404, b"")], 1, "the API answers 404"),
        ([Answer(500, b"")] * 9, 4, "the API answers 500, 4 times: the next run goes on"),
        (
            [Answer(429, b"", {"Retry-After": "3600"})],
            1,
            "asks for a pause of 3,600 seconds: the next run goes on",
        ),
        ([Answer(200, b"x" * 20_000)], 1, "the answer is too large"),
        ([Answer(200, gzip.compress(b"{}"), {"Content-Encoding": "gzip"})], 1, "compressed"),
    ],
)
def test_an_answer_that_cannot_be_used_ends_the_connections_turn(
    provider: ProviderApi,
    answers: list[Answer],
    tries: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api, "MOST_OCTETS", 10_000)
    with pytest.raises(EventsApiError, match=message) as caught:
        ask(provider, *answers)
    assert len(provider.asked) == tries
    assert "@" not in str(caught.value)


def test_a_redirection_is_not_followed(provider: ProviderApi) -> None:
    with pytest.raises(RefusedError, match="302"):
        ask(provider, Answer(302, b"", {"Location": f"{provider.url}/elsewhere"}))
    assert [one.path for one in provider.asked] == [REQUEST.path]


def test_answers_are_asked_for_uncompressed(provider: ProviderApi) -> None:
    ask(provider, OK)
    assert provider.asked[0].headers["accept-encoding"] == "identity"
    assert provider.asked[0].headers["api-key"] == "k"


def test_an_api_that_cannot_be_reached_is_tried_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        pauses = Pauses()
        with (
            EventsClient(f"http://127.0.0.1:{taken.getsockname()[1]}", pauses) as client,
            pytest.raises(EventsApiError, match=r"cannot be reached \(ConnectError\), 4 times"),
        ):
            client.ask(lambda: REQUEST)
    assert pauses == [2, 4, 8]


def test_a_stopped_run_does_not_ask_again(provider: ProviderApi) -> None:
    provider.failing += [Answer(500, b"")] * 2
    with (
        EventsClient(provider.url, lambda _: False) as client,
        pytest.raises(EventsApiError, match="the run was stopped"),
    ):
        client.ask(lambda: REQUEST)
    assert len(provider.asked) == 1


@pytest.mark.parametrize("host", ["a..example", "xn--a", "a" * 300])
def test_a_host_that_cannot_exist_is_an_error_that_stops_no_other_connection(host: str) -> None:
    with (
        pytest.raises(EventsApiError, match="names a host that cannot exist: correct it"),
        EventsClient(f"https://{host}", Pauses()) as client,
    ):
        client.ask(lambda: REQUEST)
