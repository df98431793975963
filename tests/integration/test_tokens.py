"""All sessions of a connection share an access token from a real token server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.oauth.client import OAuth
from mailsluice.oauth.tokens import Tokens, fresh_seconds
from mailsluice.oauth.trouble import TokenError
from mailsluice.smtp.connection import Connection
from tests.eventually import eventually_async
from tests.token_server import TokenServer, error


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def granting() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


def target(granting: TokenServer, **oauth: Any) -> Connection:
    given = OAuth.model_validate(granting.oauth(**oauth))
    return Connection("red", "smtp.example.com", 587, username="mailbox", oauth=given)


def used(granting: TokenServer) -> list[str]:
    return [form["refresh_token"] for form in granting.asked]


@pytest.mark.parametrize(
    ("lifetime", "fresh"),
    [(3_600, 3_300), (601, 301), (600, 300), (60, 30), (0, 0)],  # five minutes, or half of it
)
def test_a_token_is_replaced_before_it_runs_out(lifetime: float, fresh: float) -> None:
    assert fresh_seconds(lifetime) == fresh


@given(st.floats(min_value=0, max_value=1e9))
def test_a_token_is_used_for_half_to_all_of_its_life(lifetime: float) -> None:
    assert lifetime / 2 <= fresh_seconds(lifetime) <= lifetime


async def test_a_token_is_used_as_long_as_it_is_fresh(granting: TokenServer) -> None:
    clock = Clock()
    tokens = Tokens(clock=clock)
    seen = []
    for clock.now in (0, 3_299, 3_300, 6_599, 6_600):
        seen.append(await tokens.token(target(granting)))
    assert seen == ["access-1", "access-1", "access-2", "access-2", "access-3"]


async def test_the_life_of_a_token_begins_when_it_is_asked_for(granting: TokenServer) -> None:
    clock = Clock()
    tokens = Tokens(clock=clock)
    granting.may_answer.clear()
    asking = asyncio.ensure_future(tokens.token(target(granting)))
    await eventually_async(lambda: granting.asked)
    clock.now = 3_300  # the reply was an hour on its way
    granting.may_answer.set()
    assert await asking == "access-1"
    assert await tokens.token(target(granting)) == "access-2"


async def test_waiting_sessions_share_the_token(granting: TokenServer) -> None:
    tokens, red = Tokens(), target(granting)
    granting.may_answer.clear()
    asking = [asyncio.ensure_future(tokens.token(red)) for _ in range(5)]
    await eventually_async(lambda: granting.asked)
    asking[0].cancel()  # who asked goes, the others get theirs all the same
    granting.may_answer.set()
    assert set(await asyncio.gather(*asking[1:])) == {"access-2"}
    assert granting.handed_out == 2


async def test_waiting_sessions_share_the_failure(granting: TokenServer) -> None:
    tokens, red = Tokens(), target(granting)
    granting.fails = [error("invalid_grant")]
    ends = await asyncio.gather(*(tokens.token(red) for _ in range(5)), return_exceptions=True)
    assert {type(one) for one in ends} == {TokenError}
    assert granting.handed_out == 1
    assert await tokens.token(red) == "access-2"  # who comes later asks again


async def test_a_refused_token_is_replaced_once_for_all_sessions(
    granting: TokenServer,
) -> None:
    tokens, red = Tokens(), target(granting)
    first = await tokens.token(red)
    others = await asyncio.gather(*(tokens.token(red, refused=first) for _ in range(5)))
    assert set(others) == {"access-2"}
    assert await tokens.token(red, refused=first) == "access-2"


async def test_a_refresh_token_put_into_the_block_is_used_at_the_next_exchange(
    granting: TokenServer,
) -> None:
    """Used at once, processes that rotate tokens would make each other ask again and again."""
    tokens = Tokens()
    first = await tokens.token(target(granting))
    granting.refresh_token = "mine"
    assert await tokens.token(target(granting)) == first
    await tokens.token(target(granting), refused=first)
    assert used(granting) == ["refresh-0", "mine"]


async def test_a_replaced_refresh_token_in_the_block_is_not_used_again(
    granting: TokenServer,
) -> None:
    granting.rotates = True
    tokens, first = Tokens(), target(granting)
    token = await tokens.token(first)
    second = target(granting)  # holds what came of that, and is read late
    for block in (first, second, first, second):
        token = await tokens.token(block, refused=token)
    assert used(granting) == ["refresh-0", "refresh-1", "refresh-2", "refresh-3", "refresh-4"]


async def test_another_client_has_tokens_of_its_own(granting: TokenServer) -> None:
    tokens = Tokens()
    assert await tokens.token(target(granting)) == "access-1"
    assert await tokens.token(target(granting, scope="mail")) == "access-2"
    assert await tokens.token(target(granting)) == "access-1"
