"""`hasn repair`: mend what can be mended without guessing, and list what changed; `--repair` of other commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hasn.cli.options import File, Force, Json

if TYPE_CHECKING:
    import nir

Out = Annotated[Path, typer.Argument(help="Write the mended graph here (.nir).", show_default=False)]
SetDt = Annotated[float | None, typer.Option("--dt", help="Seconds a step, kept in the file.", show_default=False)]


def repair(file: File, out: Out, dt: SetDt = None, force: Force = False, as_json: Json = False) -> None:
    """Mend what other tools' files commonly have wrong, list each change, and what is still wrong (exit status 1).

    OUT is written all the same, so that the rest can be mended from there.

    Example: hasn repair model.nir mended.nir
    """
    from hasn.cli.check import shown
    from hasn.cli.console import show, show_json
    from hasn.ir.check import check
    from hasn.ir.outputs import ready_to_write
    from hasn.ir.save import save

    ready_to_write(out, force=force)
    graph, changes = mended(file, dt)
    left = [finding for finding in check(graph) if finding.severity == "error"]
    save(graph, out, force=force)
    if as_json:
        show_json({"out": str(out), "repairs": changes, "left": [shown(finding) for finding in left]})
    else:
        _list(changes)
        for finding in left:
            show(f"Still wrong: {finding}", "bold red")
        show(f"Wrote {out}")
    if left:
        raise typer.Exit(1)


def mended(file: Path, dt: float | None) -> tuple[nir.NIRGraph, list[str]]:
    """The repaired graph of a file, and a line for each change."""
    import warnings

    from hasn.errors import RepairWarning
    from hasn.ir.load import load

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RepairWarning)
        graph = load(file, dt=dt, repair=True)
    # The file may list what was mended before; the warning says that something was mended now.
    new = any(issubclass(warning.category, RepairWarning) for warning in caught)
    return graph, graph.metadata["repairs"].splitlines() if new else []


def loaded(file: Path, *, repair: bool, dt: float | None, as_json: bool) -> tuple[nir.NIRGraph, dict[str, Any]]:
    """The graph of a command with --repair, and what its JSON says of repairs: nothing where none was asked for.

    People are shown the list at once, before anything is done with the graph.
    """
    from hasn.ir.load import load

    if not repair:
        return load(file), {}
    graph, changes = mended(file, dt)
    if not as_json:
        _list(changes)
    return graph, {"repairs": changes}


def _list(changes: list[str]) -> None:
    from hasn.cli.console import show

    for change in changes:
        show(f"Repaired: {change}")
    if not changes:
        show("Nothing to repair")
