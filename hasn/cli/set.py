"""`hasn set`: what a file leaves open, stored in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hasn.cli.options import File, Force, Json

if TYPE_CHECKING:
    from hasn.ir.structure import FlatGraph

SetDt = Annotated[float | None, typer.Option("--dt", help="Seconds a step.", show_default=False)]
SetReset = Annotated[
    str | None, typer.Option("--reset", help="zero or subtract, for the neurons that spike.", show_default=False)
]
SetMethod = Annotated[str | None, typer.Option("--method", help="euler or exact.", show_default=False)]
SetTiming = Annotated[str | None, typer.Option("--timing", help="synchronous or hardware.", show_default=False)]
Nodes = Annotated[list[str] | None, typer.Option("--node", help="Only this neuron's reset; may be repeated.")]
Out = Annotated[Path | None, typer.Option(help="Write here (.nir); default: into FILE.", show_default=False)]


def set_metadata(
    file: File,
    dt: SetDt = None,
    reset: SetReset = None,
    method: SetMethod = None,
    timing: SetTiming = None,
    node: Nodes = None,
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Store what a file leaves open in its metadata, so that no later command has to be told, and list what changed.

    Example: hasn set model.nir --dt 1e-3 --reset subtract
    """
    from hasn.cli.console import add_row, show, show_json, table
    from hasn.errors import OptionError
    from hasn.ir.load import load
    from hasn.ir.meaning import require_options
    from hasn.ir.outputs import ready_to_write
    from hasn.ir.save import save
    from hasn.ir.structure import flatten
    from hasn.ir.timestep import check_dt

    require_options(reset=reset, method=method, timing=timing)
    whole = {"dt": None if dt is None else check_dt(dt), "method": method, "timing": timing}
    if reset is None and not any(whole.values()):
        raise OptionError("there is nothing to set", way_out="Pass --dt SECONDS, --reset zero, --method or --timing.")
    target = file if out is None else out
    ready_to_write(target, force=force or out is None)
    graph = load(file)
    flat = flatten(graph)
    changes: list[dict[str, Any]] = []
    for key, value in whole.items():
        if value is not None:
            changes.append(_put("", graph.metadata, key, value))
    if reset is not None:
        changes += _set_resets(flat, reset, node)
    elif node:
        raise OptionError(
            f"{next(key for key, value in whole.items() if value is not None)} is the whole graph's",
            parameter="--node",
            got=", ".join(node),
            wanted="--reset beside it",
        )
    save(graph, target, force=force or out is None)
    if as_json:
        show_json({"out": str(target), "changes": changes})
        return
    made = table("node", "metadata", "before", "now")
    for change in changes:
        before = "(nothing)" if change["before"] is None else change["before"]
        add_row(made, change["node"] or "(the graph)", change["key"], before, change["now"])
    show(made)
    show(f"Wrote {target}")


def _set_resets(flat: FlatGraph, reset: str, chosen: list[str] | None) -> list[dict[str, Any]]:
    """Set the reset of the chosen neurons, or of all that have it.

    Raises:
        OptionError: no such reset or neuron, or none that has this reset.
    """
    from hasn.errors import OptionError
    from hasn.nodes.lookup import neuron_kind

    kinds = {name: kind for name, node in flat.nodes.items() if (kind := neuron_kind(node)) is not None and kind.spikes}
    for name in chosen or ():
        if name not in kinds:
            wanted = ", ".join(kinds) or "a graph with neurons that spike"
            raise OptionError("is no neuron that spikes", parameter="--node", got=repr(name), wanted=wanted)
    having = [name for name in chosen or kinds if reset in kinds[name].resets]
    if not having or (chosen and len(having) < len(chosen)):
        other = next((name for name in chosen or kinds if name not in having), None)
        raise OptionError(
            "no neuron of the graph spikes" if other is None else f"a {kinds[other].name} has no such reset",
            node=other,
            parameter="--reset",
            got=repr(reset),
            wanted=None if other is None else " or ".join(kinds[other].resets),
        )
    return [_put(name, flat.nodes[name].metadata, "reset", reset) for name in having]


def _put(node: str, metadata: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    from hasn.nodes.values import text

    before = metadata.get(key)
    if before is not None:
        before = text(before) or float(before)
    metadata[key] = value
    return {"node": node, "key": key, "before": before, "now": value}
