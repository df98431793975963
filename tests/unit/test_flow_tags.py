"""Tags of flow runs: bounded, on one line, without addresses."""

from __future__ import annotations

import pytest

from flows.support.tags import tagged, tags_of


@pytest.mark.parametrize(
    ("campaign", "connections", "tags"),
    [
        ("spring-sale", ["red"], ["campaign:spring-sale", "connection:red"]),
        (None, ["red", "red", ""], ["connection:red"]),  # of an operation about a connection
        ("for ann@example.com", [], ["campaign:for <address>"]),
        ("a,b \n c", [], ["campaign:a b c"]),  # the UI separates tags by commas
        ("x\u202ey", [], ["campaign:xy"]),  # an invisible character that turns the text around
        ("x" * 5_000, [], ["campaign:" + "x" * 99 + "…"]),
    ],
)
def test_tags_are_short_lines_without_addresses(
    campaign: str | None, connections: list[str], tags: list[str]
) -> None:
    assert tags_of(campaign, connections) == tags


def test_a_run_has_a_bounded_number_of_tags() -> None:
    assert len(tags_of("spring", map(str, range(1_000)))) == 21


async def test_without_a_run_nothing_is_tagged_and_no_client_starts_a_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("flows.support.tags.get_client", lambda: asked.append("a client"))
    async with tagged({"campaign": "spring-sale"}):
        pass
    assert asked == []
