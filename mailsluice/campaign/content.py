"""The part of a campaign's document that identifies it, and may not change between runs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from mailsluice.campaign.message import Message
from mailsluice.campaign.source import RecipientSource

if TYPE_CHECKING:
    from mailsluice.campaign.document import Campaign

_CHANGEABLE = {
    *("name", "retry", "uncertain", "canary", "stop_loss", "lend", "max_shift_percent"),
    *("on_connection_down", "reassign_after_minutes"),
    *("throttle", "per_provider", "sending_window", "finish_by", "spread_over"),
    *("dispatch", "processes", "sessions_per_worker"),
}
"""Throttles, windows, retries, policies and places: an operator may change them and continue."""
_NEWER = ("resolve", "order_by", "order_descending", "affinity", "affinity_group")
_NEWER_OF_SOURCES = ("url", "storage", "columns")
_NEWER_OF_MESSAGES = ("inline_images", "calendar")
"""Fields that some stored campaigns are older than."""


def content_of(campaign: Campaign) -> dict[str, Any]:
    """Return the content of a campaign as JSON values.

    The columns that give recipients their time zones belong to it, since the launch has read them.
    Fields that are newer than stored campaigns are left out at their defaults, and so are the
    fields of an identity, so that these campaigns have the same content. The storage of a source
    says only how its list is reached.
    """
    content = campaign.model_dump(mode="json", exclude=_CHANGEABLE)
    for route, dumped in zip(campaign.routes, content["routes"], strict=True):
        del dumped["lend"]
        dumped["identity"] = route.identity.model_dump(mode="json", exclude_defaults=True)
        if not dumped["identity"]:
            del dumped["identity"]
        if not route.standby:
            del dumped["standby"]
    for name in ("recipients", "exclude"):
        sources = content[name] if isinstance(content[name], list) else [content[name]]
        for source in sources:
            _leave_out(RecipientSource, source, _NEWER_OF_SOURCES)
            source.pop("storage", None)
    _leave_out(Message, content["message"], _NEWER_OF_MESSAGES)
    _leave_out(type(campaign), content, _NEWER)
    if campaign.order_by is None:
        content.pop("order_descending", None)
    window = campaign.sending_window
    if window.in_own_zones:
        content["sending_window"] = window.model_dump(
            mode="json", include={"zone_column", "country_column"}, exclude_none=True
        )
    return content


def _leave_out(kind: type[BaseModel], dumped: dict[str, Any], names: tuple[str, ...]) -> None:
    """Remove those of the fields that have their defaults, which are enums, texts or nothing."""
    for name in names:
        default = kind.model_fields[name].default
        if dumped[name] == default or (default == () and not dumped[name]):
            del dumped[name]
