"""The names of variables that templates may use, and the unknown ones that a template uses."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from jinja2 import Environment, nodes
from jinja2.meta import find_undeclared_variables
from jinja2.visitor import NodeTransformer


def column_names(columns: Iterable[str]) -> dict[str, str]:
    """Map each name that a template may use to its column: a column's own name, and its slug.

    The slug of "First Name" is `first_name`. A slug that is another column's own name stands for
    that column, and a slug that two columns share stands for none.
    """
    own = {column: column for column in columns}
    slugs: dict[str, list[str]] = {}
    for column in own:
        slugs.setdefault(_slug(column), []).append(column)
    unique = {slug: sharing[0] for slug, sharing in slugs.items() if slug and len(sharing) == 1}
    return {**unique, **own}


def _slug(column: str) -> str:
    slug = re.sub(r"\W+", "_", column).strip("_").lower()
    return f"_{slug}" if slug[:1].isdigit() else slug


@dataclass(frozen=True, slots=True)
class Unknown:
    """A variable that the audience does not have."""

    name: str
    line: int


def unknown_variables(
    environment: Environment, tree: nodes.Template, known: Collection[str]
) -> list[Unknown]:
    """List the variables whose use would fail for every recipient, in order of name.

    `x is defined` and `x|default(...)` are evaluated as in rendering, so a branch that can never be
    taken may use missing variables. The tree is changed.
    """
    names = list(tree.find_all(nodes.Name))
    lines = {name.name: name.lineno for name in reversed(names) if name.ctx == "load"}
    missing = find_undeclared_variables(tree) - set(known)
    settable = {name.name for name in names if name.ctx != "load"}
    _AnswerDefined(environment, missing, settable).visit(tree)
    tree.set_environment(environment)
    left = find_undeclared_variables(tree) - set(known)
    return [Unknown(name, lines[name]) for name in sorted(left)]


class _AnswerDefined(NodeTransformer):
    """Removes the parts of a template that are only reached if a missing variable exists."""

    def __init__(
        self, environment: Environment, missing: Collection[str], settable: Collection[str]
    ) -> None:
        self._missing = missing
        self._settable = settable
        self._context = nodes.EvalContext(environment)

    def visit_Test(self, node: nodes.Test) -> nodes.Node:  # noqa: N802 (the visitor's protocol)
        if node.name not in {"defined", "undefined"} or not self._is_missing(node.node):
            return self.generic_visit(node)
        if isinstance(node.node, nodes.Name) and node.node.name in self._settable:
            return nodes.ContextReference(lineno=node.lineno)  # of unknown truth, and no variable
        return nodes.Const(node.name == "undefined", lineno=node.lineno)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802
        if node.name in {"default", "d"} and self._is_missing(node.node):
            values = [*node.args, *(keyword.value for keyword in node.kwargs)]
            return self.visit(values[0]) if values else nodes.Const("", lineno=node.lineno)
        return self.generic_visit(node)

    def visit_And(self, node: nodes.And) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return node.left if self._truth(node.left) is False else node

    def visit_Or(self, node: nodes.Or) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return node.left if self._truth(node.left) is True else node

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        truth = self._truth(node.test)
        if truth is None:
            return node
        return node.expr1 if truth else node.expr2 or nodes.Const("", lineno=node.lineno)

    def visit_If(self, node: nodes.If) -> list[nodes.Node]:  # noqa: N802
        """Return the reachable tests and branches in a row, which is enough for finding names."""
        reached: list[nodes.Node] = []
        for branch in (node, *node.elif_):
            test = self.visit(branch.test)
            truth = self._truth(test)
            if truth is not False:
                reached += [nodes.Output([test], lineno=node.lineno), *self._visited(branch.body)]
            if truth is True:
                return reached
        return [*reached, *self._visited(node.else_)]

    def _visited(self, body: Iterable[nodes.Node]) -> list[nodes.Node]:
        return [visited for node in body for visited in self.visit_list(node)]

    def _is_missing(self, node: nodes.Expr | None) -> bool:
        return isinstance(node, nodes.Name) and node.name in self._missing

    def _truth(self, node: nodes.Expr) -> bool | None:
        try:
            return bool(node.as_const(self._context))
        except nodes.Impossible:
            return None
