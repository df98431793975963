"""Print results: tables and lines for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.table import Table

Flag = Annotated[bool, Parameter(show_default=False)]
"""An option that is on where it is given."""
AsJson = Annotated[bool, Parameter(name="--json", show_default=False)]
"""Print JSON instead of text."""
INTERRUPTED = 130
"""The exit code after Ctrl-C."""
WAITING = 3
"""The exit code when recipients still wait, or when a check found something wrong."""


def show(text: str, values: Any, *, as_json: bool) -> None:
    """Print the text, or the values (dataclasses included) as JSON."""
    if not as_json:
        print(text)
        return
    import orjson

    def plain(value: Any) -> Any:
        return list(value) if isinstance(value, set | frozenset) else str(value)

    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    print(orjson.dumps(values, default=plain, option=options).decode())


def show_page(markdown: str, values: Any, *, as_json: bool) -> None:
    """Print a page: laid out on a terminal, as Markdown elsewhere."""
    if as_json or not sys.stdout.isatty():
        show(markdown, values, as_json=as_json)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(markdown))


WIDEST = 1_000
"""Columns of a table that is not printed on a terminal."""


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are numbers."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDEST  # a file gets all columns whole
    Console(width=width).print(table(title, columns, rows))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Lay out a table; the first column is text, the others are numbers."""
    from rich.markup import escape
    from rich.table import Table

    laid_out = Table(title=escape(title), title_justify="left", box=None, pad_edge=False)
    for position, column in enumerate(columns):
        laid_out.add_column(escape(column), justify="right" if position else "left")
    for row in rows:
        laid_out.add_row(*map(escape, row))
    return laid_out


@contextmanager
def progress_bars() -> Iterator[Any]:
    """Yield a callback that draws a bar for each connection; None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    notes = TextColumn("{task.fields[binding]}")
    with Progress(*columns, notes, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def draw(progress: Any) -> None:
            for standing in progress.standings:
                name = standing.connection
                if name not in tasks:
                    tasks[name] = bars.add_task(name, total=None, binding="")
                bars.update(
                    tasks[name],
                    total=standing.tally.assigned,
                    completed=standing.tally.assigned - standing.tally.left,
                    binding=standing.binding.sentence(datetime.now(UTC)),
                )

        yield draw
