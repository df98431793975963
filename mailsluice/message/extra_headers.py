"""The extra header fields of a connection's identity, whose values are templates."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mailsluice.campaign.identity import HeaderTemplate
from mailsluice.core.errors import MessageError
from mailsluice.message.headers import field, one_line
from mailsluice.message.templates import Template

_LONGEST = 900
"""Characters of a rendered value; the value of a header in a document has no more either."""


class ExtraHeaders:
    """Header fields: those that are the same for every row, and templates for the others."""

    def __init__(self, headers: Sequence[HeaderTemplate], known: Collection[str]) -> None:
        """Compile the templates, which may use the variables `known`.

        Raises MessageError if a template is wrong, or empty for every row.
        """
        compiled = [
            (header.name, Template(f"header {header.name}", header.value, known))
            for header in headers
        ]
        self.fixed = "".join(
            _never_empty(name, template) for name, template in compiled if not template.uses
        )
        """The fields that are the same for every row."""
        self._varying = [(name, template) for name, template in compiled if template.uses]
        self.uses = frozenset(name for _, template in compiled for name in template.uses)
        """The variables that the templates use."""

    def __bool__(self) -> bool:
        """Whether rows have fields of their own."""
        return bool(self._varying)

    def render(self, values: Mapping[str, str]) -> str:
        """Render the fields of a row; a field that is empty for this row is left out.

        Raises MessageError, without any value, if a template cannot be rendered or is too long.
        """
        return "".join([_field(name, template, values) for name, template in self._varying])

    def empty(self, values: Mapping[str, str]) -> list[str]:
        """Name the fields that are empty for a row."""
        return [name for name, template in self._varying if not one_line(template.render(values))]


def _never_empty(name: str, template: Template) -> str:
    if not (rendered := _field(name, template, {})):
        raise MessageError(
            f"header {name}: its template is empty for every recipient: correct it, or leave the"
            " header out"
        )
    return rendered


def _field(name: str, template: Template, values: Mapping[str, str]) -> str:
    value = template.render(values)
    if len(value) > _LONGEST:
        raise MessageError(
            f"header {name}: {len(value):,} characters, and at most {_LONGEST} are allowed: shorten"
            " the template, or the column that it uses"
        )
    return field(name, value) if one_line(value) else ""
