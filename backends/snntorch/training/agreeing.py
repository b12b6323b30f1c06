"""Whether a checkpoint is of the training that goes on from it: the graph, and every option that changes a number."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hasn.backends.snntorch.training.sameness import difference, differs
from hasn.errors import GraphError, OptionError
from hasn.program.model import Neurons, Program


def lowered(program: Program) -> dict[str, str]:
    """What the call, or else the graph, says of the steps; resets by population."""
    resets = {step.name: step.reset for step in program.of(Neurons) if step.spiking}
    found = {
        "dt": program.dt,
        "method": program.method,
        "timing": program.timing,
        "reset": dict(sorted(resets.items())),
    }
    return {name: repr(value) for name, value in found.items()}


def check_agrees(state: Mapping[str, Any], path: Path, fingerprint: str, settings: Mapping[str, str]) -> None:
    """Refuse a checkpoint of another training; warn of what cannot be compared.

    Args:
        state: of the checkpoint, whose head has been looked at.
        path: for messages.
        fingerprint: of the graph that is trained.
        settings: of this training.

    Raises:
        GraphError: it is of another graph.
        OptionError: it is of a training with other options.
    """
    kept = state["settings"]
    unsure = {name: f"{name} ({what})" for name, what in state["hidden"].items()}
    for name in ("learn", "freeze"):  # what is learned is no part of the graph's fingerprint
        _check(name, kept, settings, unsure)
    if state["fingerprint"] != fingerprint:
        raise GraphError(
            "the checkpoint is of another graph",
            parameter=str(path),
            got=state["fingerprint"][:8],
            wanted=f"{fingerprint[:8]}: the same nodes, edges and untrained parameters",
            way_out="Pass the graph that it was trained from, or another checkpoint path.",
        )
    for name in sorted({*settings, *kept}):  # an option of the backend may have been given then, or now, alone
        _check(name, kept, settings, unsure)
    if unsure:
        warnings.warn(
            f"{path}: whether these are as they were when it was written cannot be seen: {', '.join(unsure.values())}",
            RuntimeWarning,
            stacklevel=2,
        )


def _check(name: str, kept: Mapping[str, str], settings: Mapping[str, str], unsure: dict[str, str]) -> None:
    before, now = kept.get(name, "the default"), settings.get(name, "the default")
    other = differs(before, now)
    if other is None:
        unsure[name] = f"{name} (its code, of another version of Python)"
    if not other:
        return
    wanted, got = difference(before, now)
    raise OptionError(
        "the checkpoint is of a training with another value, so it would not continue to the same result",
        parameter=name,
        got=got,
        wanted=wanted,
        way_out=_way_out(name, wanted),
    )


def _way_out(name: str, wanted: str) -> str:
    new = "train hasn.training.graph_of(checkpoint), which is the graph as trained so far, with another checkpoint path"
    if name == "learning_rate":
        return f"Pass learning_rate={wanted}; to go on at another rate, {new}."
    if name in ("monitor", "optimizer", "schedule"):
        return f"Pass that value; to go on with another {name}, {new}."
    return f"Pass that value, or another checkpoint path for a training of its own; to go on from here, {new}."
