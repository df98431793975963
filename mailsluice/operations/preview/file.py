"""A preview as a file of HTML."""

from __future__ import annotations

from pathlib import Path

from slugify import slugify

from mailsluice.core.private import private_file, private_folder
from mailsluice.operations.preview.messages import MessagePreview
from mailsluice.operations.preview.page import page
from mailsluice.store import home

_LONGEST_SLUG = 80


def write_preview(preview: MessagePreview) -> Path:
    """Write the page into the folder `previews` of the home folder, readable by its owner alone.

    The file gets its name when it is complete, and replaces that of an earlier preview.
    """
    slug = slugify(preview.campaign, max_length=_LONGEST_SLUG) or "campaign"
    path = home() / "previews" / f"{slug}.html"
    private_folder(path.parent)
    unfinished = path.with_suffix(".unfinished")
    private_file(unfinished)
    unfinished.write_text(page(preview), encoding="utf-8")
    return unfinished.replace(path)
