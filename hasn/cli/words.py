"""Errors speak Python (``Pass dt=...``); on the command line they name its options (``Pass --dt ...``)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from hasn.errors import HasnError

#: Arguments whose option has another name.
_ALIASES = {"inputs": "input", "keep_best": "best", "backend": "backends"}
_GIVEN = re.compile(r"\b([a-z_]+)=(True|\.\.\.|\('[^']*',\)|'[^']*'|\"[^\"]*\"|[A-Z0-9][\w.-]*\w|[A-Z0-9])")
#: What stands for a whole clause of Python: its words there, the words here, the option that the command must have.
_CLAUSES = (
    ("or set graph.metadata['dt']", "or store it once: hasn set FILE --dt SECONDS", "dt"),
    ("Pass dt=... (seconds)", "Pass --dt SECONDS", "dt"),
)
_EVERYWHERE = (
    ("the same call", "the same command"),
    ("hasn.repair does it", "hasn repair FILE OUT does it"),
    ("hasn.check lists", "hasn check FILE lists"),
    ("hasn.quantise(graph, ...)", "hasn quantise FILE"),
    ("Train with reset='zero'", "Train it anew after hasn set FILE --reset zero"),
)


def on_the_command_line(text: str, options: Collection[str]) -> str:
    """A sentence with the arguments of Python in it, in the options of a command.

    Args:
        text: the sentence.
        options: the command's, without the dashes.
    """
    for there, here, option in _CLAUSES:
        if option in options:
            text = text.replace(there, here)
    for there, here in _EVERYWHERE:
        text = text.replace(there, here)

    def option_of(match: re.Match[str]) -> str:
        name, value = match.group(1), match.group(2).strip("()',\"")
        flag = _flag(name, options)
        if flag is not None:
            return flag if value == "True" else f"{flag} {value}"
        backend_own = match.group(2).startswith("'") and "option" in options
        return f"--option {name}={value}" if backend_own else match.group(0)

    return _GIVEN.sub(option_of, text)


def _flag(name: str, options: Collection[str]) -> str | None:
    known = (name.replace("_", "-"), _ALIASES.get(name, name))
    return next((f"--{option}" for option in known if option in options), None)


def translated(error: HasnError, options: Collection[str]) -> HasnError:
    """The same error in a command's words; its notes stay with it."""

    def said(text: str | None) -> str | None:
        return None if text is None else on_the_command_line(text, options)

    parameter = error.parameter
    if parameter is not None and error.node is None:  # beside a node it is a parameter of that
        parameter = _flag(parameter, options) or parameter
    values: dict[str, Any] = {"node": error.node, "parameter": parameter, "got": error.got}
    made = type(error)(str(said(error.message)), **values, wanted=said(error.wanted), way_out=said(error.way_out))
    for note in getattr(error, "__notes__", ()):
        made.add_note(str(said(note)))
    return made
