"""Where the command line writes: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from hasn.cli.streams import is_utf8
from hasn.jsonable import plain

#: Progress and messages.
stderr = Console(stderr=True, highlight=False, emoji=False)
#: Results for people.
stdout = Console(highlight=False, emoji=False)


#: Columns where the output goes to a file or another program: enough for every table.
_UNBOUND = 140


def width() -> int:
    """Columns to lay tables out for."""
    return stdout.width if stdout.is_terminal else _UNBOUND


def show(renderable: Any, style: str | None = None) -> None:
    """Print a result for people; long lines are left whole."""
    if not stdout.is_terminal:
        stdout.width = _UNBOUND
    stdout.print(renderable, soft_wrap=isinstance(renderable, str | Text), markup=False, style=style)


def show_json(data: Any) -> None:
    """Print a result for programs; what is not finite is null, for JSON has no NaN."""
    text = json.dumps(plain(data), indent=2, ensure_ascii=not is_utf8(sys.stdout), allow_nan=False)
    sys.stdout.write(text + "\n")


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as one line on stderr, without the place in the code that Python's own has.

    Where stderr takes nothing, the work that warned goes on.
    """
    with suppress(OSError):
        stderr.print(f"Warning: {message}", style="yellow", markup=False, soft_wrap=True)


@contextmanager
def working(text: str) -> Iterator[Callable[[str], None]]:
    """A spinner on stderr while something runs, in a terminal; what it yields changes its text."""
    if not stderr.is_terminal:  # not even an empty write: stderr may be full or gone
        yield lambda new: None
        return
    with stderr.status(text, spinner="dots" if is_utf8(sys.stderr) else "line") as spinner:
        yield lambda new: spinner.update(new)


def table(*columns: str, numbers: tuple[str, ...] = ()) -> Any:
    """An empty rich table in the house's style; columns in ``numbers`` stand right."""
    from rich.box import ROUNDED
    from rich.table import Table

    made = Table(box=ROUNDED)
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return made


def add_row(made: Any, *cells: object) -> None:
    """Add cells as plain text: names may hold what rich would take for markup."""
    made.add_row(*(Text(str(cell)) for cell in cells))
