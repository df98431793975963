"""The content of the message for a recipient: all of its templates together."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from mailsluice.campaign import Message
from mailsluice.campaign.identity import HeaderTemplate
from mailsluice.core.errors import MessageError
from mailsluice.message.calendar import Calendar
from mailsluice.message.extra_headers import ExtraHeaders
from mailsluice.message.headers import uri
from mailsluice.message.outline import Decisions, Outline
from mailsluice.message.templates import Template, TemplateField
from mailsluice.message.text import Pattern, TextFromHtml, insertions_of, pattern_of
from mailsluice.message.variables import column_names

Shape = tuple[tuple[Decisions, ...], Pattern | None]
"""The branches that a row takes in each body, and the pattern of values in a derived text."""

_SCHEMES = ("https://", "http://")


class Content:
    """Subject, bodies, unsubscribe address and headers, as functions of a row's values."""

    def __init__(
        self,
        message: Message,
        columns: Collection[str],
        headers: Sequence[HeaderTemplate] = (),
        *,
        has_link: bool = False,
        calendar: str | None = None,
    ) -> None:
        """Compile the templates.

        `headers` are those of a connection's identity; `has_link` says whether it has an address of
        Mailsluice for unsubscribing, in case the message has none of its own. `calendar` is the
        path of an invitation.

        Raises MessageError if a template does not work with these columns, or a header is empty
        for every row.
        """
        names = column_names([*columns, "email"])
        has_link = has_link or bool(message.unsubscribe_url)
        readable = {*names, "unsubscribe_url"} if has_link else {*names}
        _check_scheme(message.unsubscribe_url)
        self._subject = Template(TemplateField.SUBJECT, message.subject, names)
        self._html = Template(TemplateField.HTML, message.html, readable) if message.html else None
        self._text = Template(TemplateField.TEXT, message.text, readable) if message.text else None
        self._unsubscribe_url = (
            Template(TemplateField.UNSUBSCRIBE_URL, message.unsubscribe_url, names)
            if message.unsubscribe_url
            else None
        )
        self._headers = ExtraHeaders(headers, names)
        self.calendar = Calendar(calendar, names) if calendar else None
        self._text_from_html = TextFromHtml()
        bodies = [body.simple for body in (self._text, self._html) if body]
        simple = [template for template in bodies if template]
        is_simple = len(simple) == len(bodies) and (not self.calendar or self.calendar.is_fixed)
        self._simple = simple if is_simple else None
        self._insertions = lru_cache(maxsize=256)(
            lambda decisions: insertions_of(simple[0].outline(decisions))
        )
        templates = (self._subject, self._html, self._text, self._unsubscribe_url)
        used = {name for template in templates if template for name in template.uses}
        used |= self._headers.uses
        if self.calendar:
            used |= self.calendar.uses
        self._names = readable
        self._slugs = [
            (name, names[name]) for name in sorted(used & set(names)) if names[name] != name
        ]

    @property
    def subtypes(self) -> tuple[str, ...]:
        """The text types of the bodies, in order."""
        subtypes = ("plain", "html") if self._html else ("plain",)
        return (*subtypes, "calendar") if self.calendar else subtypes

    @property
    def fixed_headers(self) -> str:
        """The extra header fields that are the same for every row."""
        return self._headers.fixed

    @property
    def has_headers(self) -> bool:
        """Whether rows have extra header fields of their own."""
        return bool(self._headers)

    @property
    def derives_text(self) -> bool:
        """Whether the text is made from the HTML."""
        return self._html is not None and self._text is None

    def shape(self, values: Mapping[str, str]) -> Shape | None:
        """Tell by what the bodies of rows differ, apart from the values that are inserted.

        None if a body's template is not simple. Raises KeyError for a missing value.
        """
        if self._simple is None:
            return None
        decisions = tuple([template.decide(values) for template in self._simple])
        if not self.derives_text:
            return decisions, None
        return decisions, pattern_of(self._insertions(decisions[0]), values)

    @property
    def has_one_shape(self) -> bool:
        """Whether all rows have the same shape."""
        simple = self._simple or ()
        return bool(simple) and not self.derives_text and all(one.is_flat for one in simple)

    def example_shape(self) -> Shape | None:
        """Return the shape of a row in which every value is a different word."""
        return self.shape({name: name for name in self._names})

    def outlines(self, shape: Shape) -> tuple[Outline, ...]:
        """Return the parts of each of `bodies` for rows of this shape."""
        decisions, pattern = shape
        outlines = [
            template.outline(decided)
            for template, decided in zip(self._simple or (), decisions, strict=True)
        ]
        if pattern is not None:
            outlines.insert(0, self._text_from_html.outline(outlines[0], pattern))
        return (*outlines, (self.calendar.render({}),)) if self.calendar else tuple(outlines)

    def values(self, email: str, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of the templates for a row."""
        values = {**variables, "email": email}
        for slug, column in self._slugs:
            if column in values:
                values[slug] = values[column]
        return values

    def subject(self, values: Mapping[str, str]) -> str:
        """Render the subject, which may have several lines still."""
        return self._subject.render(values)

    def unsubscribe_url(self, values: Mapping[str, str]) -> str | None:
        """Render the unsubscribe address, safe for a header. Raises MessageError if it is none."""
        return uri(self._unsubscribe_url.render(values)) if self._unsubscribe_url else None

    def headers(self, values: Mapping[str, str]) -> str:
        """Render the extra header fields of a row. Raises MessageError, without any value."""
        return self._headers.render(values)

    def empty_headers(self, values: Mapping[str, str]) -> list[str]:
        """Name the extra header fields that are empty for a row, and so are left out."""
        return self._headers.empty(values)

    def bodies(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """Render the bodies, one for each of `subtypes`."""
        bodies = self._text_bodies(values)
        return (*bodies, self.calendar.render(values)) if self.calendar else bodies

    def _text_bodies(self, values: Mapping[str, str]) -> tuple[str, ...]:
        if not self._html:
            return (self._text.render(values),) if self._text else ()
        html = self._html.fill(values)
        text = self._text.render(values) if self._text else self._text_from_html.render(html)
        return text, "".join(html.pieces)


def _check_scheme(unsubscribe_url: str | None) -> None:
    """Refuse a template that begins with a wrong scheme, before the first mail is sent."""
    start = re.split(r"\{[{%#]", unsubscribe_url or "", maxsplit=1)[0].strip().lower()
    if not any(start.startswith(scheme) or scheme.startswith(start) for scheme in _SCHEMES):
        raise MessageError(
            f"unsubscribe_url begins with {start[:40]!r}: one-click unsubscribing (RFC 8058) takes "
            "an https:// address: correct the template"
        )
