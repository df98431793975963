"""Addresses and secrets are masked, and Markdown is escaped, in one place of the product."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PRODUCT = ("mailsluice", "blocks", "tasks", "flows", "deployments")
_CORE = _ROOT / "mailsluice/core"
_SPECIAL = frozenset("\\`*_[]<>&|~!#")
"""Characters that Markdown or HTML gives a meaning."""
_MARKS = ("<address>", "(address)", "<secret>", "(secret)")


def _strings(tree: ast.AST) -> Iterator[str]:
    """Yield the string constants of a module, its docstrings and parts of f-strings excluded."""
    left_out = {
        id(part)
        for node in ast.walk(tree)
        for part in ([node.value] if isinstance(node, ast.Expr) else getattr(node, "values", []))
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in left_out:
            yield str(node.value)


def _escaped_by_hand(tree: ast.AST) -> Iterator[str]:
    """Yield each `text.replace("|", "\\|")`, with whatever special character."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "replace":
            values = [one.value for one in node.args if isinstance(one, ast.Constant)]
            if len(values) == 2 and values[0] in _SPECIAL and values[1] == f"\\{values[0]}":
                yield ast.unparse(node)


def _modules(package: str) -> Iterator[tuple[Path, ast.AST]]:
    """Yield the modules that may do either, and their parts."""
    for path in sorted((_ROOT / package).rglob("*.py")):
        source = path.read_text()
        if path not in (_CORE / "masking.py", _CORE / "markdown.py") and (
            "replace" in source or any(mark in source for mark in _MARKS)
        ):
            yield path.relative_to(_ROOT), ast.parse(source)


@pytest.mark.parametrize("package", _PRODUCT)
def test_no_other_module_masks_addresses_and_secrets_or_escapes_markdown(package: str) -> None:
    for path, tree in _modules(package):
        assert not {*_MARKS}.intersection(_strings(tree)), path
        assert [*_escaped_by_hand(tree)] == [], path


def test_copies_of_either_kind_are_found() -> None:
    masker = ast.parse('import re\ndef hide(text):\n    return re.sub("x@y", "<address>", text)')
    escaper = ast.parse('def shown(text):\n    return text.replace("|", "\\\\|")')
    assert "<address>" in _strings(masker)
    assert [*_escaped_by_hand(escaper)] == ["text.replace('|', '\\\\|')"]
