"""The Jinja2 environments that a message's templates run in.

The sandbox keeps a template from reaching into the process; a range is at most 100,000 long, `**`
is not there, and `*` repeats nothing beyond a million. Nested empty loops are not bounded: the
author of a campaign is trusted with the worker's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import StrictUndefined
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

_MAX_REPETITION = 1_000_000


class Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            raise SecurityError("** is not available in a message")
        for repeated, times in ((left, right), (right, left)):
            if isinstance(repeated, Sequence) and len(repeated) * times > _MAX_REPETITION:
                raise SecurityError(f"* repeats at most {_MAX_REPETITION} characters or items")
        return super().call_binop(context, operator, left, right)


def _environment(*, autoescape: bool) -> Sandbox:
    environment = Sandbox(
        autoescape=autoescape, undefined=StrictUndefined, keep_trailing_newline=True
    )
    del environment.globals["lipsum"]  # any length of nonsense
    return environment


HTML = _environment(autoescape=True)
TEXT = _environment(autoescape=False)
