"""A report as a self-contained file of HTML. Pure."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from mailsluice.core.masking import masked

_PAGE = "report.html"


def html(title: str, markdown: str) -> str:
    """Render the page with its pictures embedded; HTML in the Markdown is shown as text."""
    environment = Environment(
        loader=PackageLoader("mailsluice.reports.campaign", ""),
        autoescape=True,
        undefined=StrictUndefined,
    )
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    return environment.get_template(_PAGE).render(title=masked(title), body=Markup(body))  # noqa: S704
