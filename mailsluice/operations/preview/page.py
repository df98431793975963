"""The page of a preview: HTML in which the message can do nothing. Pure.

The message is in a frame without any permission (`sandbox`): no scripts, no forms, no window of its
own, no access to the page. The page's policy, which the frame inherits, forbids all that a message
could load. And the message is rebuilt, so that its links lead nowhere: see `inert`.
"""

from __future__ import annotations

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from mailsluice.operations.preview.inert import STYLE, inert
from mailsluice.operations.preview.messages import MessagePreview

_NOT_LOADED = (
    "Images from the web are not loaded: their servers would learn that somebody looks, and perhaps"
    " count it for the recipient."
)
_LOADED = "Images from the web are loaded, which their servers may count."


def policy(*, images: bool) -> str:
    """The Content-Security-Policy of the page; `images` allows those from the web, by https."""
    sources = "data: https:" if images else "data:"
    return (
        f"default-src 'none'; img-src {sources}; style-src 'unsafe-inline'; form-action 'none';"
        " base-uri 'none'"
    )


def page(preview: MessagePreview, *, images: bool = False, is_served: bool = False) -> str:
    """Write the page.

    Args:
        preview: The messages. Their texts may be anything.
        images: Whether images from the web are loaded.
        is_served: Whether a server answers with the page, so that a link can ask for images.
    """
    link = ("?images=yes", "Load them") if not images else ("?", "Do not load them")
    rules = policy(images=images)
    return _template().render(
        preview=preview,
        policy=rules,
        images=_LOADED if images else _NOT_LOADED,
        images_link=link if is_served else None,
        frames=[None if one.html is None else inert(one.html) for one in preview.messages],
        frame_start=(
            f'<!doctype html><meta http-equiv="Content-Security-Policy" content="{rules}">'
            f"<style>{STYLE}</style>"
        ),
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("mailsluice.operations.preview", ""),
        autoescape=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("preview.html")
