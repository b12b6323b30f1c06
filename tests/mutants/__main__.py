"""``python -m tests.mutants [ROOM ...]``: try the mutants of rooms, print a table, write the page.

Status 1 where a room falls short of its target, 2 for what cannot be tried.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.mutants.kernels import kernel_mutants
from tests.mutants.mutant import Mutant, mutants
from tests.mutants.page import Outcome, table, write_page
from tests.mutants.rooms import ROOT, Room, digest, equivalents, rooms
from tests.mutants.run import BUILD, TestsFail, covered, tried
from tests.mutants.verdicts import Verdict, Verdicts

console = Console(stderr=True)


def main(
    names: Annotated[list[str] | None, typer.Argument(help="rooms, such as hasn/agreement; none: all of them")] = None,
    file: Annotated[str, typer.Option(help="one file of the room only")] = "",
    sample: Annotated[int, typer.Option(help="mutants a room; 0: what rooms.toml says")] = 0,
    every: Annotated[bool, typer.Option("--all", help="all mutants, however many")] = False,
    seed: Annotated[int, typer.Option(help="of the sample")] = 0,
    jobs: Annotated[int, typer.Option(help="mutants side by side")] = os.cpu_count() or 1,
    again: Annotated[bool, typer.Option(help="try also what is known")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the figures as JSON on standard output")] = False,
) -> None:
    """Put plausible slips into the code, one at a time, and say which ones no test notices."""
    known = rooms()
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        console.print(f"[red]no such room: {', '.join(unknown)}[/red] (there are: {', '.join(known)})")
        raise typer.Exit(2)
    outcomes = []
    for name in names or known:
        room = known[name]
        if file:
            room = replace(room, files=tuple(f for f in room.files if f == file), sample=sample or 1_000_000)
        if every or sample:
            room = replace(room, sample=sample or 1_000_000)
        try:
            outcomes.append(_room(room, seed, jobs, again))
        except TestsFail as error:
            console.print(str(error), markup=False)
            raise typer.Exit(2) from None
        write_page(BUILD / "report.html", outcomes)
    print(json.dumps([o.figures() for o in outcomes]) if as_json else table(outcomes))  # noqa: T201 - the answer
    console.print(f"Survivors, and slow tests that noticed nothing: {BUILD / 'report.html'}")
    raise typer.Exit(int(any(o.rate < o.room.target for o in outcomes)))


def _room(room: Room, seed: int, jobs: int, again: bool) -> Outcome:
    found, there_are = _drawn(room, seed, jobs)
    cover = covered(room, BUILD / "tree-0")
    kept = Verdicts(BUILD / "verdicts" / (room.name.replace("/", "-") + ".json"))
    same = equivalents()
    files = {name: digest([name]) for name in {m.file for m in found}}
    verdicts: dict[Mutant, Verdict] = {}
    for mutant in found:
        verdict = None if again else kept.known(mutant, cover.digest, files[mutant.file], cover.seconds)
        if mutant.key not in same and verdict is not None:
            verdicts[mutant] = verdict
    left = [m for m in found if m.key not in same and m not in verdicts]
    left.sort(key=lambda m: sum(cover.seconds[t] for t in cover.tests(m)))
    with _bar() as progress:
        task = progress.add_task(room.name, total=len(left))
        for mutant, result in tried(left, cover, jobs):
            verdict = Verdict(**result, tests=cover.digest, file=files[mutant.file])
            verdicts[mutant] = verdict
            kept.add(mutant, verdict)
            kept.save()
            progress.advance(task)
    return Outcome(room, there_are, verdicts, {m: same[m.key] for m in found if m.key in same}, cover.seconds)


def _drawn(room: Room, seed: int, jobs: int) -> tuple[Sequence[Mutant], int]:
    """The room's sample, spread over its files by their numbers of mutants; and how many mutants there are."""
    python = [name for name in room.files if name.endswith(".py")]
    with ProcessPoolExecutor(jobs) as pool:
        counts = [n for _, n in pool.map(partial(mutants, root=ROOT, sample=0), python)]
        total = sum(counts)
        share = min(1.0, room.sample / total) if total else 0.0
        sizes = [max(1, round(share * n)) if n else 0 for n in counts]
        drawn = [pool.submit(mutants, name, ROOT, size, seed) for name, size in zip(python, sizes, strict=True)]
        found = [mutant for future in drawn for mutant in future.result()[0]]
    kernels = kernel_mutants(room.files)
    return [*found, *kernels], total + len(kernels)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not sys.stderr.isatty(),
    )


if __name__ == "__main__":
    typer.run(main)
