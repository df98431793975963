"""The campaign of another run, as the Prefect server has it."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.blocks.core import Block

from blocks import SMTPConnection
from flows.support.document import checked, checked_parameter, named_in
from mailsluice.core.errors import CampaignError
from tests.unit.test_forms import SMALL

PICKED = {**SMALL, "routes": [{"connection": {"$ref": {"block_document_id": "some-id"}}}]}


async def test_a_block_chosen_in_the_form_is_known_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run on a worker reads its campaign's parameters, in which a block is a reference."""
    block = SMTPConnection(host="smtp.example.com")
    block._block_document_name = "red"
    monkeypatch.setattr(Block, "load_from_ref", lambda *_, **__: block)
    assert (await checked_parameter(PICKED)).routes[0].connection == "red"


async def test_a_block_that_is_gone_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any, **__: Any) -> Block:
        raise ValueError("no such block")

    monkeypatch.setattr(Block, "load_from_ref", gone)
    with pytest.raises(CampaignError, match="does not exist any more: choose another one"):
        await checked_parameter(PICKED)


@pytest.mark.parametrize(
    ("campaign", "name"),
    [
        (SMALL, "spring-sale"),
        ({"name": "a\u200bb"}, "ab"),
        ({"name": "x" * 9_999}, "x" * 200),
        ({"name": 5}, "5"),
        ({}, "campaign"),
        (None, "campaign"),
        ("text", "campaign"),
    ],
)
def test_a_run_has_a_name_even_for_an_invalid_document(campaign: object, name: str) -> None:
    assert named_in(campaign) == name


@pytest.mark.parametrize(
    "campaign", ["text", 7, None, [], {}, {"name": 5}, {"name": "x" * 9_999}, {"name": "a\u200bb"}]
)
def test_any_invalid_document_is_refused_with_an_explanation(campaign: object) -> None:
    with pytest.raises(CampaignError, match=r"^the campaign cannot be sent as it is: "):
        checked(campaign)
