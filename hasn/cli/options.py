"""The options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hasn.errors import OptionError

File = Annotated[Path, typer.Argument(help="A NIR graph (.nir).", show_default=False)]
Dt = Annotated[float | None, typer.Option(help="Seconds a step; default: what the file says.", show_default=False)]
Method = Annotated[
    str | None, typer.Option(help="euler or exact; default: what the file says, else euler.", show_default=False)
]
Reset = Annotated[
    str | None,
    typer.Option(help="zero or subtract, for neurons whose metadata says nothing; default: what the file says, else "
                 "zero.", show_default=False),
]  # fmt: skip
Timing = Annotated[
    str | None,
    typer.Option(help="synchronous, or hardware: every connection takes a step; default: what the file says, else "
                 "synchronous.", show_default=False),
]  # fmt: skip
Precision = Annotated[
    str, typer.Option(help="float64 for comparing, float32 for speed, loihi for the chip's integers.")
]
Repair = Annotated[
    bool, typer.Option("--repair", help="Mend the file as hasn repair does, in memory, and list what changed.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result, or the error, as JSON.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
Input = Annotated[
    Path | None,
    typer.Option("--input", help="Input data: a .npy array (T[, batch], *shape), or a .npz with one for each Input."),
]
Steps = Annotated[
    int | None, typer.Option(help="Steps of a random input, or of a graph without Inputs.  [default: 100]")
]
Rate = Annotated[float, typer.Option(help="Without --input: chance of a spike in each channel and step.")]
Seed = Annotated[int, typer.Option(help="Without --input: seed of the random spikes.")]
Batch = Annotated[int | None, typer.Option(help="Without --input: samples; default: one, without a batch axis.")]
BackendOption = Annotated[
    list[str] | None, typer.Option("--option", help="A backend's own option, as name=value; may be repeated.")
]


def backend_options(given: Sequence[str] | None) -> dict[str, Any]:
    """``["device=cpu", "threads=2"]`` as {"device": "cpu", "threads": 2}: values are JSON where they can be.

    Raises:
        OptionError: no "=", or a name that every backend's compile has already.
    """
    found: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise OptionError("not a backend option", parameter="--option", got=repr(text), wanted="name=value")
        if name in ("dt", "method", "reset", "timing", "precision", "backend", "backends", "reference", "steps"):
            raise OptionError("has an option of its own", parameter="--option", got=repr(text), wanted=f"--{name}")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
