"""A user's mistake ends a command with one clear message and exit status 1, never with a traceback.

Exit status: 0 yes, 1 a mistake or a "no", 2 a command line that cannot be read, 3 nothing was compared or measured, 130
stopped by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from hasn.cli.words import on_the_command_line, translated
from hasn.errors import HasnError
from hasn.room import in_memory
from hasn.torchrun import rank

#: Exit status of a command that found nothing to judge: neither a yes nor a no.
NOTHING = 3
_JSON = "hasn.json"
#: Of a command line that cannot be read: click's, or the one that typer brings.
_USAGE_ERROR: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


class Group(TyperGroup):
    """The group of all commands: turns what ends any of them into a message."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note whether the command is to answer in JSON, so that its errors are JSON too."""
        ours = args[: args.index("--")] if "--" in args else args
        ctx.meta[_JSON] = "--json" in ours
        with self._told(ctx):
            rest: list[str] = super().parse_args(ctx, args)
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with self._told(ctx), in_memory("run this command", "Take fewer steps or samples at a time."):
            return super().invoke(ctx)

    @contextmanager
    def _told(self, ctx: Any) -> Iterator[None]:
        as_json = bool(ctx.meta.get(_JSON))
        try:
            yield
        except HasnError as error:
            report(translated(error, self._options(ctx)), as_json=as_json, trace=error)
            raise typer.Exit(1) from None
        except _USAGE_ERROR as error:
            if not as_json:
                raise
            report_usage(error, ctx)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt as stop:
            report_stop(stop, self._options(ctx), as_json=as_json)
            raise typer.Exit(143 if isinstance(stop, Terminated) else 130) from None

    def _options(self, ctx: Any) -> set[str]:
        """The long options of the command that runs, without dashes."""
        command = self.commands.get(ctx.invoked_subcommand or "")
        flags = (flag for parameter in getattr(command, "params", ()) for flag in parameter.opts)
        return {flag[2:] for flag in flags if flag.startswith("--")}


def report(error: HasnError, *, as_json: bool, trace: BaseException | None = None) -> None:
    """Print an error: red on stderr, or as JSON on stdout; the traceback too where HASN_DEBUG is set.

    Of many workers the first answers in JSON; the others' errors, which may be their own, go to stderr.
    """
    from hasn.cli.console import show_json, stderr

    if os.environ.get("HASN_DEBUG", "") not in ("", "0"):
        stderr.print("".join(traceback.format_exception(trace or error)), markup=False, soft_wrap=True)
    if as_json and not rank():
        show_json({"error": error_data(error)})
    else:
        text = " ".join([str(error), *getattr(error, "__notes__", [])])
        stderr.print(f"Error: {text}", style="red", markup=False, soft_wrap=True)


def report_usage(error: Any, ctx: Any) -> None:
    """A command line that cannot be read, as JSON on stdout."""
    from hasn.cli.console import show_json

    where = getattr(error, "ctx", None) or ctx
    message = error.format_message()
    parameter = getattr(getattr(error, "param", None), "opts", None) or [getattr(error, "option_name", None)]
    data = {
        "type": "UsageError",
        "text": message,
        "message": message,
        "node": None,
        "parameter": parameter[0],
        "got": None,
        "wanted": None,
        "way_out": f"{where.command_path} --help lists what there is.",
    }
    show_json({"error": data})


def report_stop(stop: BaseException, options: set[str], *, as_json: bool) -> None:
    """Say that a command was stopped, what it kept, and how to go on: the notes of the exception, if it has some."""
    from hasn.cli.console import show_json, stderr

    how = "SIGTERM" if isinstance(stop, Terminated) else "Ctrl-C"
    notes = getattr(stop, "__notes__", None) or ["Nothing was written."]
    kept = on_the_command_line(" ".join(notes), options)
    if rank():
        return
    if as_json:
        error = HasnError(f"stopped by {how}", way_out=kept)
        show_json({"error": {**error_data(error), "type": "Interrupted"}})
    else:
        stderr.print(f"Stopped by {how}. {kept}", style="yellow", markup=False, soft_wrap=True)


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
