"""The templates of a message: checked before the first mail, rendered for each recipient."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from itertools import islice
from traceback import walk_tb

import jinja2
from jinja2 import TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables
from markupsafe import Markup

from mailsluice.core.errors import MessageError
from mailsluice.message import sandbox
from mailsluice.message.bounds import MOST_RENDERED, TooMuchError, too_long
from mailsluice.message.simple import Rendered, SimpleTemplate
from mailsluice.message.variables import Unknown, unknown_variables

_MAX_PIECES = 100_000


class TemplateField(StrEnum):
    """The templates of a message, by their field names."""

    SUBJECT = "subject"
    HTML = "html"
    TEXT = "text"
    UNSUBSCRIBE_URL = "unsubscribe_url"
    CALENDAR = "calendar"


_ENVIRONMENTS: dict[str, sandbox.Sandbox] = {
    TemplateField.HTML: sandbox.HTML,
    TemplateField.CALENDAR: sandbox.CALENDAR,
}
"""The environments of templates that are not plain text."""


_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"|\d[\d.]*+""")
_KINDS = frozenset(("str", "Markup", "int", "float", "bool", "list", "tuple", "dict", "None"))


class Template:
    """A compiled template of the message.

    HTML escapes the values that it inserts, and a calendar marks them; the others do neither.
    """

    def __init__(self, part: str, source: str, known: Collection[str]) -> None:
        """Compile `source`, which may use the variables `known`; `part` names it in errors.

        Raises:
            MessageError: The template has a syntax error, includes another template, or uses an
                unknown variable without `is defined` or `default`. The message names part and line.
        """
        self._part = part
        self._source = source
        self._environment = _ENVIRONMENTS.get(part, sandbox.TEXT)
        tree = self._parsed(source)
        self._template = self._compiled(tree)
        self.uses = frozenset(find_undeclared_variables(tree)) & frozenset(known)
        self._simple = (
            SimpleTemplate.of(tree, self.uses, escaped=part is TemplateField.HTML)
            if part is not TemplateField.CALENDAR
            else None
        )
        if unknown := unknown_variables(self._environment, self._parsed(source), known):
            raise MessageError(_unknown_message(part, unknown, known))

    @property
    def simple(self) -> SimpleTemplate | None:
        """The template as text, insertions and simple conditions, if it is no more than that."""
        return self._simple

    def fill(self, values: Mapping[str, str]) -> Rendered:
        """Render the template for a row, in pieces.

        Raises MessageError, without the address, if these values cannot be rendered.
        """
        try:
            if self._simple:
                return self._simple.fill(values)
            sandbox.BUDGET.begin()
            context = self._template.new_context(dict(values))
            pieces = list(islice(self._template.root_render_func(context), _MAX_PIECES))
            if len(pieces) == _MAX_PIECES or sum(map(len, pieces)) > MOST_RENDERED:
                raise too_long()
        except Exception as error:  # noqa: BLE001 (a template can raise anything)
            raise MessageError(self._failure(error)) from None
        return Rendered(pieces, _inserted(pieces))

    def render(self, values: Mapping[str, str]) -> str:
        """Render the template for a row, as text. Raises the same errors as `fill`."""
        if not self._simple:
            return "".join(self.fill(values).pieces)
        try:
            return self._simple.render(values)
        except Exception as error:  # noqa: BLE001 (a filter can raise anything)
            raise MessageError(self._failure(error)) from None

    def _parsed(self, source: str) -> nodes.Template:
        try:
            tree = self._environment.parse_bounded(source)
        except TemplateSyntaxError as error:
            raise MessageError(_syntax_message(self._part, error)) from None
        except RecursionError:
            raise MessageError(f"{self._part}: nested too deeply: simplify the template") from None
        for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
            raise MessageError(
                f"{self._part}, line {node.lineno}: a message stands alone: put what it includes,"
                " imports or extends into the template"
            )
        if self._part is TemplateField.CALENDAR:
            for block in tree.find_all((nodes.FilterBlock, nodes.CallBlock)):
                raise MessageError(  # since Jinja inserts their text past the marks
                    f"{self._part}, line {block.lineno}: a calendar takes no {{% filter %}} and no"
                    " {% call %}: write the filter after the variable, as in {{ name|upper }}"
                )
        return tree

    def _compiled(self, tree: nodes.Template) -> jinja2.Template:
        sandbox.BUDGET.begin()  # since compiling computes constant expressions
        try:
            code = self._environment.compile(tree)
        except TemplateSyntaxError as error:  # an unknown filter or test
            raise MessageError(_syntax_message(self._part, error)) from None
        except (RecursionError, SyntaxError):
            raise MessageError(f"{self._part}: nested too deeply: simplify the template") from None
        return jinja2.Template.from_code(self._environment, code, dict(self._environment.globals))

    def _failure(self, error: Exception) -> str:
        """Say what is wrong, and in which line, without any value of the row."""
        lines = [
            self._template.get_corresponding_lineno(line)
            for frame, line in walk_tb(error.__traceback__)
            if frame.f_globals.get("__jinja_template__") is self._template
        ]
        where = f"{self._part}, line {lines[-1]}" if lines else self._part
        if isinstance(error, TooMuchError):
            return f"{where}: the template costs too much for this row: {error}"
        what = type(error).__name__
        if self._simple and isinstance(error, KeyError):
            what = f"{error} is undefined"
        elif isinstance(error, jinja2.TemplateError):
            what += f": {self._without_data(str(error))}"
        return (
            f"{where}: cannot be rendered with this row's values: {what}. "
            "Correct the row, or give the template a default"
        )

    def _without_data(self, text: str) -> str:
        """Hide quoted texts in Jinja's message, except those that occur in the template as well."""

        def shown(match: re.Match[str]) -> str:
            quoted = match[0].strip("'\"")
            is_ours = quoted in self._source or quoted.removesuffix(" object") in _KINDS
            return match[0] if is_ours else "(value)"

        return _QUOTED.sub(shown, text)


def _inserted(pieces: Sequence[str]) -> dict[int, str]:
    """Return the inserted values, unescaped, by position.

    Autoescaping makes every inserted value Markup; a value with a tag is HTML, and so structure.
    """
    return {
        position: html.unescape(piece)
        for position, piece in enumerate(pieces)
        if isinstance(piece, Markup) and "<" not in piece
    }


def _syntax_message(part: str, error: TemplateSyntaxError) -> str:
    what = (error.message or "it does not parse").rstrip(".")
    return f"{part}, line {error.lineno}: {what}. Correct the template"


def _unknown_message(part: str, unknown: Sequence[Unknown], known: Collection[str]) -> str:
    first = unknown[0]
    near = get_close_matches(first.name, known, n=1)
    suggestion = f"Did you mean {near[0]!r}? " if near else ""
    others = ", ".join(repr(variable.name) for variable in unknown[1:])
    more = f" (and {others})" if others else ""
    return (
        f"{part}, line {first.line}: there is no variable {first.name!r}{more}. {suggestion}"
        f"The audience has: {', '.join(sorted(known))}. Correct the template, add the column, or "
        f"write {{{{ {first.name}|default('') }}}}"
    )
