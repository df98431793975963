"""The content of a campaign: the part of its document that makes it this campaign. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from mailsluice.message.identity import ascii_domain


def as_json(value: Mapping[str, Any]) -> str:
    """JSON with sorted keys: equal values give equal texts."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def sender_domain(content: Mapping[str, Any]) -> str | None:
    """The domain of the sender's address, in ASCII."""
    sender = content.get("message", {}).get("sender")
    return ascii_domain(sender) if sender else None


def has_return_paths(content: Mapping[str, Any]) -> bool:
    """Whether every message gets a return path of its own."""
    return bool(content.get("message", {}).get("return_path"))


def differences(old: Any, new: Any, path: str = "") -> tuple[str, ...]:
    """The paths at which two JSON values differ, for example `message.html`."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return tuple(
            differing
            for key in keys
            for differing in differences(
                old.get(key), new.get(key), f"{path}.{key}" if path else key
            )
        )
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return tuple(
            differing
            for index, (old_item, new_item) in enumerate(zip(old, new, strict=True))
            for differing in differences(old_item, new_item, f"{path}[{index}]")
        )
    return () if old == new else (path,)
