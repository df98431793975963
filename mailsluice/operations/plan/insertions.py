"""Finding variables that a message inserts without handling empty values. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from jinja2 import nodes

from mailsluice.campaign import Message
from mailsluice.message import sandbox
from mailsluice.message.variables import column_names


def inserted_columns(message: Message, columns: Collection[str]) -> list[str]:
    """The columns that some template inserts without handling an empty value.

    A template handles the emptiness of a variable in the condition of an `if`, before `or` or
    `and`, or by `default(..., true)`.
    """
    sources = (message.subject, message.html, message.text, message.unsubscribe_url)
    names = column_names([*columns, "email"])
    bare = {
        name
        for source in sources
        if source
        for name in _bare(sandbox.TEXT.parse(source), frozenset())
    }
    return sorted({names[name] for name in bare & names.keys()} - {"email"})


def _bare(node: nodes.Node, provided: frozenset[str]) -> Iterator[str]:
    if isinstance(node, nodes.Name):
        if node.ctx == "load" and node.name not in provided:
            yield node.name
        return
    provided |= _provided_by(node)
    for child in node.iter_child_nodes():
        yield from _bare(child, provided)


def _provided_by(node: nodes.Node) -> set[str]:
    """The variables whose emptiness a node handles."""
    decides: nodes.Node | None = None
    if isinstance(node, nodes.If | nodes.CondExpr):
        decides = node.test
    elif isinstance(node, nodes.Or | nodes.And):
        decides = node.left
    elif isinstance(node, nodes.Filter) and node.name in {"default", "d"}:
        replaces_empty = len(node.args) > 1 or any(
            keyword.key == "boolean" for keyword in node.kwargs
        )
        decides = node.node if replaces_empty else None
    if decides is None:
        return set()
    names = {decides} if isinstance(decides, nodes.Name) else set(decides.find_all(nodes.Name))
    return {variable.name for variable in names}
