"""`hasn demo`: the main job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder for model.nir, report.html and demo.json.")] = Path("demo-out"),
    digits: Annotated[int, typer.Option(min=1, max=1000, help="Held-out digits that every backend runs.")] = 1000,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the 4,000 training digits.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="Time steps a digit.")] = 25,
    seed: Annotated[int, typer.Option(help="Of weights, order and spikes.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Train on handwritten digits, write a NIR file, run it on every backend and show that all agree.

    Example: hasn demo --out demo-out
    """
    from hasn.cli.console import show, show_json, stderr
    from hasn.cli.errors import NOTHING
    from hasn.demo.job import run_demo, summary

    result = run_demo(out, stage, compared=digits, epochs=epochs, steps=steps, seed=seed, force=force)
    if as_json:
        show_json(summary(result))
    else:
        show(result.table())
        energy = result.energy()
        if energy is not None:
            show(f"\n{energy if isinstance(energy, str) else energy.text}\n")
        same = "the same" if result.same_predictions else "NOT the same"
        show(f"Test accuracy {100 * result.test_accuracy:.1f} %; predictions are {same} on every backend that ran.")
        times = ", ".join(f"{name} {value:.0f} s" for name, value in result.seconds.items())
        show(f"Wrote {', '.join(str(path) for path in result.files)} ({times}).")
    if not result.ok:
        stderr.print("[bold red]The backends do not agree: see the report.[/]")
        raise typer.Exit(1)
    if not result.comparison.compared:
        stderr.print("[yellow]Nothing was compared: no spikes on any backend.[/]")
        raise typer.Exit(NOTHING)


@contextmanager
def stage(title: str) -> Iterator[Any]:
    """A progress bar on stderr, with the elapsed time."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from hasn.cli.console import stderr

    if not stderr.is_terminal:  # a log takes no bar

        def unseen(done: float, total: float, text: str) -> None:
            pass

        yield unseen
        return
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=stderr) as progress:
        task = progress.add_task(title, total=None, text="")

        def bar(done: float, total: float, text: str) -> None:
            progress.update(task, completed=done, total=total, text=text)

        yield bar
        progress.update(task, total=1, completed=1)
