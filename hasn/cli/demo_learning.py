"""`hasn demo-learning`: digits without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hasn.cli.options import Force, Json, Precision


def demo_learning(
    out: Annotated[Path, typer.Option(help="Folder for learned.nir, fields.png, learned.json and state.npz.")] = Path(
        "learning-out"
    ),
    neurons: Annotated[int, typer.Option(min=2, help="Excitatory neurons.")] = 400,
    images: Annotated[int, typer.Option(min=1, max=4000, help="Training digits that it sees.")] = 4000,
    passes: Annotated[int, typer.Option(min=1, help="How often it sees them.")] = 1,
    steps: Annotated[int, typer.Option(min=1, help="Time steps a digit.")] = 250,
    seed: Annotated[int, typer.Option(min=0, help="Of digits held out, weights, order and spikes.")] = 0,
    backend: Annotated[str, typer.Option(help="Who runs it; hasn backends lists them.")] = "snntorch",
    precision: Precision = "float32",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from state.npz if it is there.")] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Learn handwritten digits without labels, by STDP while the network runs (Diehl & Cook 2015, in the small).

    Example: hasn demo-learning --neurons 100 --images 1000
    """
    from hasn.cli.console import show, show_json
    from hasn.cli.demo import stage
    from hasn.demo.learning_job import run_learning

    found = run_learning(
        out, stage, neurons=neurons, images=images, passes=passes, steps=steps, seed=seed, backend=backend,
        precision=precision, resume=resume, force=force,
    )  # fmt: skip
    if as_json:
        show_json(found.summary())
        return
    summary = found.summary()
    right, silent = 100 * summary["accuracy"], 100 * summary["silent"]
    few = f"none answers to {silent:.1f} %"
    show(f"{summary['neurons']} neurons name {right:.1f} % of the held-out digits rightly; {few}.")
    named = ", ".join(f"{digit}: {count}" for digit, count in enumerate(summary["neurons_of_class"]))
    show(f"Neurons of each digit: {named}; of none: {summary['neurons_of_none']}.")
    times = ", ".join(f"{name} {value:.0f} s" for name, value in found.seconds.items())
    show(f"Wrote {', '.join(str(path) for path in found.files)} ({times}).")
