"""The Jinja2 environments that a message's templates run in.

The sandbox keeps a template from reaching into the process, and counts every operator, filter, call
and iteration, so that the cost stays bounded (`mailsluice.message.bounds`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import update_wrapper
from typing import Any

from jinja2 import StrictUndefined, nodes, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from mailsluice.message.bounds import Budget, TooMuchError, format_size, size

BUDGET = Budget()
OPEN, CLOSE = "\x02", "\x03"
"""Marks around the values that a calendar inserts. Calendars have no control characters."""
_MARKS = dict.fromkeys(map(ord, (OPEN, CLOSE)))
_CONCAT, _COUNTED, _WEIGHED = " concat", " counted", " weighed"
"""Names of filters, with a space so that no template can use them."""
_NOT_FOR_TEXTS = frozenset(("encode", "translate", "maketrans", "to_bytes", "from_bytes"))
_MOST_BITS = 4_096
_SIGNS = ("==", "!=", "<", "<=", ">", ">=", "eq", "ne", "lt", "le", "gt", "ge", "in")
_COMPARING = (*_SIGNS, "equalto", "lessthan", "greaterthan")
"""Tests that go through their arguments, which may be lists."""


class Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox that counts the cost of a template."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))
    concat = staticmethod(BUDGET.joined)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            raise SecurityError("** is not available in a message")
        BUDGET.make(_made(operator, left, right))
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        target = getattr(obj, "__self__", None)
        BUDGET.apply(getattr(obj, "__name__", ""), [target, *args, *kwargs.values()])
        if isinstance(obj, LoopContext):  # `loop(...)` of a recursive loop
            args = (BUDGET.counted(args[0]), *args[1:])
        return super().call(context, obj, *args, **kwargs)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return attr not in _NOT_FOR_TEXTS and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def bounded(*args: Any, **kwargs: Any) -> str:
            BUDGET.make(format_size(str(value.__self__), [*args, *kwargs.values()]))
            return wrapped(*args, **kwargs)

        return update_wrapper(bounded, wrapped)

    def parse_bounded(self, source: str) -> nodes.Template:
        """Parse a template, and make it count its loops and `~`. Raises TemplateSyntaxError."""
        tree: nodes.Template = _Counted().visit(self.parse(source))
        return tree.set_environment(self)  # type: ignore[return-value]


class _Captured(str):
    """The text of a block or macro of a calendar: the values in it have marks already.

    Whatever changes it makes a `str`, which counts as a value.
    """

    __slots__ = ()


class _CalendarSandbox(Sandbox):
    """A sandbox that marks the values which it inserts."""

    @staticmethod
    def concat(pieces: Iterable[str]) -> str:
        return _Captured(BUDGET.joined(pieces))


def _marked(value: Any) -> str:
    """Put marks around an inserted value."""
    BUDGET.make(size(value))
    return value if isinstance(value, _Captured) else f"{OPEN}{str(value).translate(_MARKS)}{CLOSE}"


def _made(operator: str, left: Any, right: Any) -> int:
    """Return how many characters, or items of a list, an operator is about to make."""
    if operator == "%":
        values = right.values() if isinstance(right, dict) else (right,)
        flat = right if isinstance(right, tuple) else values
        return format_size(left, flat) if isinstance(left, str) else 0
    if operator == "*":
        for repeated, times in ((left, right), (right, left)):
            if isinstance(repeated, Sequence) and isinstance(times, int):
                return size(repeated) * max(times, 0)
        if isinstance(left, int) and isinstance(right, int):
            if left.bit_length() + right.bit_length() > _MOST_BITS:
                raise TooMuchError("a number has at most 1,000 digits")
            return 0
    return 0 if isinstance(left, int | float) else size(left) + size(right)


class _Counted(NodeTransformer):
    """Inserts filters that count into the parts of a template that can be costly."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 (the visitor's protocol)
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, _COUNTED, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        first, *rest = node.nodes
        return nodes.Filter(first, _CONCAT, rest, [], None, None, lineno=node.lineno)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _weighed_node(node.expr)
        return node

    def visit_Operand(self, node: nodes.Operand) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _weighed_node(node.expr)
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.key = _weighed_node(node.key)  # hashing walks through nested tuples
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _weighed_node(node.node)
        else:
            node.arg = _weighed_node(node.arg)
        return node


def _weighed_node(node: nodes.Expr) -> nodes.Expr:
    if isinstance(node, nodes.Const):
        return node
    return nodes.Filter(node, _WEIGHED, [], [], None, None, lineno=node.lineno)


def _weighed(value: Any) -> Any:
    """Count a value that is compared, hashed or copied, which takes time by its size."""
    BUDGET.make(size(value))
    return value


def _finalized(value: Any) -> Any:
    """Count an inserted value: a list becomes text only here, and escaping makes another text."""
    BUDGET.make(size(value))
    return value


@pass_eval_context
def _concat(eval_context: nodes.EvalContext, *parts: Any) -> str:
    BUDGET.step()
    BUDGET.make(sum(map(size, parts)))
    return (markup_join if eval_context.autoescape else str_join)(parts)


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a filter, so that it counts the text that it is about to make."""
    is_passed = hasattr(function, "jinja_pass_arg")

    def bounded(*args: Any, **kwargs: Any) -> Any:
        given = args[1:] if is_passed else args
        if name == "join" and not hasattr(given[0], "__len__"):
            items = list(BUDGET.counted(given[0]))
            args = (*args[:is_passed], items, *given[1:])
            given = (items, *given[1:])
        BUDGET.apply(name, [*given, *kwargs.values()])
        return function(*args, **kwargs)

    return update_wrapper(bounded, function)


def _bounded_test(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a test, so that it counts its arguments; filters such as `select` use tests as well."""

    def bounded(*given: Any) -> Any:
        BUDGET.make(sum(map(size, given)))
        return function(*given)

    return bounded


def _environment(
    kind: type[Sandbox] = Sandbox,
    *,
    autoescape: bool = False,
    finalize: Callable[[Any], Any] = _finalized,
) -> Sandbox:
    environment = kind(
        autoescape=autoescape,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=finalize,
    )
    del environment.globals["lipsum"]  # which makes texts of any length
    environment.filters = {
        name: _bounded(name, function) for name, function in environment.filters.items()
    }
    environment.filters |= {_CONCAT: _concat, _COUNTED: BUDGET.counted, _WEIGHED: _weighed}
    tests: dict[str, Any] = environment.tests
    environment.tests |= {name: _bounded_test(tests[name]) for name in _COMPARING}
    return environment


HTML = _environment(autoescape=True)
TEXT = _environment()
CALENDAR = _environment(_CalendarSandbox, finalize=_marked)
