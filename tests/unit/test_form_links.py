"""Links to forms, filled in: their values and their length."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.form_links import LONGEST, FormLink, form_section
from tasks.form_links import _with_references

NAME = "11111111-2222-3333-4444-555555555555"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def link(**campaign: object) -> FormLink:
    return FormLink("Send this campaign", NAME, {"campaign": campaign})


@given(st.dictionaries(TEXTS, TEXTS, max_size=20))
def test_a_link_carries_any_values_unchanged(campaign: dict[str, str]) -> None:
    """No character of a value ends the link, its address or the Markdown."""
    address = link(**campaign).address
    assert not set(address) & set(" ()[]<>\"'`\\|\n&#")
    assert len(address) <= LONGEST
    query = parse_qs(urlsplit(address).query)
    if query:
        assert json.loads(query["parameters"][0]) == {"campaign": campaign}


def test_a_link_leads_to_the_ui_in_which_it_is_read() -> None:
    assert link(name="spring").markdown() == (
        f"[Send this campaign](../../deployments/deployment/{NAME}/run"
        "?parameters=%7B%22campaign%22%3A%7B%22name%22%3A%22spring%22%7D%7D)"
    )


def test_a_campaign_too_long_for_a_link_leaves_the_form_empty() -> None:
    base = len(link(html="").address)
    longest = link(html="x" * (LONGEST - base))
    assert len(longest.address) == LONGEST
    too_long = link(html="x" * (LONGEST - base + 1))
    assert too_long.address.endswith("/run")
    assert too_long.markdown().endswith(
        "/run) (the campaign is too long for a link: fill in the form by hand)"
    )
    assert link(html="é" * 3_000).address.endswith("/run")  # six octets each
    assert link(html="x" * 50_000_000).address.endswith("/run")


def test_without_a_campaign_the_form_is_empty() -> None:
    empty = FormLink("Plan", NAME, None)
    assert empty.markdown().endswith("/run) (its form is empty: fill it in)")
    assert "nothing happens before" not in "\n".join(form_section([empty]))
    assert "nothing happens before **Submit**" in "\n".join(form_section([empty, link()]))
    assert form_section([]) == []


def test_the_databases_of_one_source_and_of_several_are_picked_in_the_form() -> None:
    class Client:
        async def read_block_document_by_name(self, name: str, *_: Any, **__: Any) -> Any:
            return SimpleNamespace(id=f"id of {name}")

    query: dict[str, Any] = {"query": "select 1", "database": "crm"}
    campaign = {"routes": [], "recipients": [{"path": "a.csv"}, query], "exclude": query}
    filled = asyncio.run(_with_references(Client(), campaign))  # type: ignore[arg-type]
    picked = query | {"database": {"$ref": {"block_document_id": "id of crm"}}}
    assert filled["recipients"] == [{"path": "a.csv"}, picked]
    assert filled["exclude"] == picked
