"""The receiver of events reads its connections from blocks, which change while it runs."""

from __future__ import annotations

import pytest

from blocks import SMTPConnection, loading
from deployments.command.events import _Sources
from mailsluice.campaign.identity import Provider
from mailsluice.core.errors import CampaignError
from mailsluice.operations.events.sources import EventSource

LOGIN = "provider:a long password"


def block(key: str | None = LOGIN) -> SMTPConnection:
    return SMTPConnection.model_validate(
        {"host": "smtp.example.com", "identity": {"provider": "brevo"}, "events_key": key}
    )


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> dict[str, SMTPConnection | None]:
    """The blocks by name; None is one that cannot be used."""
    blocks: dict[str, SMTPConnection | None] = {}

    async def names(_: object) -> list[str]:
        return sorted(blocks)

    async def load(name: str) -> SMTPConnection:
        if (found := blocks[name]) is None:
            raise CampaignError(f"the block {name!r} cannot be used")
        return found

    monkeypatch.setattr(loading, "_names", names)
    monkeypatch.setattr(loading, "load_connection_block", load)
    return blocks


async def test_a_block_that_cannot_be_used_hinders_no_other(
    stored: dict[str, SMTPConnection | None], caplog: pytest.LogCaptureFixture
) -> None:
    sources = _Sources()
    stored |= {"broken": None, "good": block(), "without": block(None)}
    for _ in range(3):
        await sources.read()
    assert list(sources.known) == ["good"]
    assert caplog.messages == ["the block 'broken' cannot be used"]


async def test_a_block_that_becomes_unusable_keeps_its_key_and_one_that_is_deleted_does_not(
    stored: dict[str, SMTPConnection | None],
) -> None:
    sources = _Sources()
    stored |= {"first": block(), "second": block()}
    await sources.read()
    known = dict(sources.known)
    stored["first"] = None
    await sources.read()
    assert sources.known == known
    del stored["first"]
    await sources.read()
    assert list(sources.known) == ["second"]


async def test_a_request_that_finds_the_blocks_old_waits_for_those_of_now(
    stored: dict[str, SMTPConnection | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one confirmation that Amazon SNS asks for may be the first request for a new block."""
    sources = _Sources()
    assert await sources() == {}
    stored["new"] = block()
    assert await sources() == {}  # they have been read a moment ago
    monkeypatch.setattr(sources, "_due_at", 0.0)
    assert list(await sources()) == ["new"]


async def test_while_prefect_is_away_the_connections_known_before_count(
    stored: dict[str, SMTPConnection | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = _Sources()
    stored["old"] = block()
    await sources.read()

    async def fail(_: object) -> list[str]:
        raise OSError("away")

    monkeypatch.setattr(loading, "_names", fail)
    monkeypatch.setattr(sources, "_due_at", 0.0)
    assert list(await sources()) == ["old"]


async def test_the_provider_of_a_route_counts_where_the_block_has_none(
    stored: dict[str, SMTPConnection | None], caplog: pytest.LogCaptureFixture
) -> None:
    plain = {"host": "smtp.example.com", "events_key": LOGIN}
    stored |= {"bare": SMTPConnection.model_validate(plain), "brevo": block()}
    of_routes = {"bare": Provider.POSTMARK, "brevo": Provider.POSTMARK}
    sources = _Sources(lambda: of_routes)
    await sources.read()
    providers = {name: source.provider for name, source in sources.known.items()}
    assert providers == {"bare": Provider.POSTMARK, "brevo": Provider.BREVO}
    of_routes["bare"] = Provider.SENDGRID  # whose key is another one
    await sources.read()
    assert sources.known["bare"].provider is Provider.POSTMARK
    assert "the events key of the SMTP Connection block 'bare'" in caplog.text
    assert LOGIN not in caplog.text


def test_spaces_around_a_key_do_not_count() -> None:
    source = block(f" {LOGIN}\n").event_source("brevo")
    assert isinstance(source, EventSource)
    assert source.key == LOGIN
