"""A user's mistake ends a command with one clear message and exit status 1, never with a traceback."""

from __future__ import annotations

import os
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from hasn.errors import HasnError
from hasn.room import in_memory

_JSON = "hasn.json"


class Group(TyperGroup):
    """The group of all commands: turns a HasnError of any of them into a message."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note whether the command is to answer in JSON, so that its errors are JSON too."""
        ctx.meta[_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with in_memory("run this command", "Take fewer steps or samples at a time."):
                return super().invoke(ctx)
        except HasnError as error:
            report(error, as_json=bool(ctx.meta.get(_JSON)))
            raise typer.Exit(1) from None


def report(error: HasnError, *, as_json: bool) -> None:
    """Print an error: red on stderr, or as JSON on stdout; the traceback too where HASN_DEBUG is set.

    Of many workers the first answers in JSON; the others' errors, which may be their own, go to stderr.
    """
    from hasn.backends.snntorch.training.workers import rank
    from hasn.cli.console import show_json, stderr

    if os.environ.get("HASN_DEBUG", "") not in ("", "0"):
        stderr.print("".join(traceback.format_exception(error)), markup=False, soft_wrap=True)
    if as_json and not rank():
        show_json({"error": error_data(error)})
    else:
        text = " ".join([str(error), *getattr(error, "__notes__", [])])
        stderr.print(f"Error: {text}", style="red", markup=False, soft_wrap=True)


def error_data(error: HasnError) -> dict[str, Any]:
    """An error's parts as plain values."""
    return {
        "type": type(error).__name__,
        "text": str(error),
        "message": error.message,
        "node": error.node,
        "parameter": error.parameter,
        "got": None if error.got is None else str(error.got),
        "wanted": error.wanted,
        "way_out": error.way_out,
    }
