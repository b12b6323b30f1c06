"""`hasn train`: surrogate-gradient training of a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hasn.cli.options import BackendOption, Dt, Force, Json, Method, Repair, Reset, Timing, backend_options

if TYPE_CHECKING:
    from hasn.backends.snntorch.training.result import TrainResult

Graph = Annotated[Path | None, typer.Argument(metavar="FILE", help="A .nir file.", show_default=False)]
From = Annotated[
    Path | None,
    typer.Option("--from", help="Train nothing: write the graph that a checkpoint holds.", show_default=False),
]
Data = Annotated[
    Path | None,
    typer.Option(help="A .npz with an array (T, N, *shape) for each Input and `labels` (N,).", show_default=False),
]
Validation = Annotated[
    str | None, typer.Option(help="The same, to judge by after every epoch; or a share of the data, such as 0.2.")
]
BatchFirst = Annotated[bool | None, typer.Option("--batch-first/--time-first", help="Arrays are (N, T, *shape).")]
Out = Annotated[Path, typer.Option(help="Write the trained graph here (.nir).", show_default=False)]
Epochs = Annotated[int, typer.Option(help="Passes over the data.")]
Loss = Annotated[str, typer.Option(help="rate, count, membrane or first-spike.")]
Optimizer = Annotated[str, typer.Option(help="adam, adamw or sgd.")]
LearningRate = Annotated[float, typer.Option(help="Step size of the optimizer.")]
BatchSize = Annotated[int, typer.Option(help="Samples of an update, in all workers together.")]
Learn = Annotated[list[str] | None, typer.Option(help="tau, threshold or delay, beside the weights; may be repeated.")]
Clip = Annotated[float | None, typer.Option(help="Largest norm of a gradient.")]
Amp = Annotated[str | None, typer.Option(help="bf16 or fp16 products; changes spikes.")]
Recompute = Annotated[int | None, typer.Option(help="Keep states at every K-th step only.", metavar="K")]
Patience = Annotated[int | None, typer.Option(help="Stop after so many epochs without improvement.")]
Best = Annotated[bool, typer.Option("--best", help="Write the best epoch's graph, not the last's.")]
Checkpoint = Annotated[Path | None, typer.Option(help="Save here after every epoch.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint if it is there.")]
Log = Annotated[Path | None, typer.Option(help="Folder for TensorBoard.")]
Seed = Annotated[int, typer.Option(help="Of the order of the samples.")]


def train(
    out: Out,
    file: Graph = None,
    data: Data = None,
    start: From = None,
    epochs: Epochs = 10,
    loss: Loss = "rate",
    optimizer: Optimizer = "adam",
    learning_rate: LearningRate = 1e-3,
    batch_size: BatchSize = 32,
    validation: Validation = None,
    batch_first: BatchFirst = None,
    learn: Learn = None,
    clip: Clip = None,
    amp: Amp = None,
    recompute: Recompute = None,
    patience: Patience = None,
    best: Best = False,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    log: Log = None,
    seed: Seed = 0,
    dt: Dt = None,
    method: Method = None,
    reset: Reset = None,
    timing: Timing = None,
    option: BackendOption = None,
    repair: Repair = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Train a file's weights on labelled samples, with surrogate gradients; exit status 3 if nothing was learned.

    Example: hasn train model.nir --data digits.npz --out trained.nir --epochs 5

    Of a checkpoint: hasn train --from run.pt --out trained.nir

    With many workers: torchrun --nproc-per-node 4 --no-python hasn train model.nir ...
    """
    from hasn.backends.snntorch.training.api import train as train_graph
    from hasn.backends.snntorch.training.bar import ProgressBar
    from hasn.cli.console import show, show_json, stderr
    from hasn.cli.errors import NOTHING
    from hasn.cli.repair import loaded
    from hasn.ir.outputs import apart, ready_to_write
    from hasn.ir.save import save
    from hasn.program.describe import counted
    from hasn.torchrun import rank

    if start is not None:
        _from_checkpoint(start, file, data, out, force=force, as_json=as_json)
        return
    if file is None or data is None:
        raise typer.BadParameter("give FILE and --data to train, or --from CHECKPOINT to write its graph")
    share, held_file = _share_or_file(validation)
    apart({"--data": data, "--validation": held_file}, **{"--out": out, "--checkpoint": checkpoint, "--log": log})
    apart({"FILE": file}, **{"--checkpoint": checkpoint, "--log": log})  # --out may replace it, with --force
    ready_to_write(out, force=force)
    options = backend_options(option)
    graph, repairs = loaded(file, repair=repair, dt=dt, as_json=as_json)
    samples = _labelled(data, "--data")
    held_out = share if held_file is None else _labelled(held_file, "--validation")
    with nullcontext() if rank() else ProgressBar(stderr) as bar, _kept(out, checkpoint, force=force):
        result = train_graph(
            graph, samples, validation=held_out, batch_first=batch_first, epochs=epochs, loss=loss, optimizer=optimizer,
            learning_rate=learning_rate, batch_size=batch_size, learn=tuple(learn or ()), clip=clip, amp=amp,
            recompute=recompute, patience=patience, keep_best=best, checkpoint=checkpoint, resume=resume, log=log,
            seed=seed, progress=bar, dt=dt, method=method, reset=reset, timing=timing, **options,
        )  # fmt: skip
    if rank():  # all workers have the same result; the first one writes it
        return
    save(result.graph, out, force=force)
    if as_json:
        show_json({**repairs, **_data(result), "out": str(out), "checkpoint": checkpoint and str(checkpoint)})
    else:
        show(_table(result))
        kept = "" if checkpoint is None else f"; the checkpoint is {checkpoint}"
        show(f"{result.stopped}: {counted(result.steps, 'update')}; wrote {out}{kept}")
    if not result.learned:  # training has said why
        raise typer.Exit(NOTHING)


def _from_checkpoint(
    start: Path, file: Path | None, data: Path | None, out: Path, *, force: bool, as_json: bool
) -> None:
    from hasn.backends.snntorch.training.origin import graph_of
    from hasn.cli.console import show, show_json
    from hasn.ir.outputs import apart, ready_to_write
    from hasn.ir.save import save

    if file is not None or data is not None:
        raise typer.BadParameter("--from trains nothing: leave FILE and --data out; --resume goes on from a checkpoint")
    apart({"--from": start}, **{"--out": out})
    ready_to_write(out, force=force)
    save(graph_of(start), out, force=force)
    if as_json:
        show_json({"from": str(start), "out": str(out)})
    else:
        show(f"wrote {out}: the graph of {start}")


@contextmanager
def _kept(out: Path, checkpoint: Path | None, *, force: bool) -> Iterator[None]:
    """Without a checkpoint, what an error or Ctrl-C leaves of training is written where the result would have been."""
    from hasn.ir.save import save
    from hasn.program.describe import counted
    from hasn.torchrun import rank

    try:
        yield
    except BaseException as error:
        result = getattr(error, "result", None)
        if result is not None and result.steps and checkpoint is None and rank() == 0:
            save(result.graph, out, force=force)
            error.__notes__ = [f"Wrote {out}: the graph as trained so far, {counted(result.steps, 'update')}."]
        raise


def _share_or_file(validation: str | None) -> tuple[float | None, Path | None]:
    if validation is None:
        return None, None
    try:
        return float(validation), None
    except ValueError:
        return None, Path(validation)


def _labelled(path: Path, option: str) -> tuple[Any, Any]:
    """(inputs, labels) of a .npz file.

    Raises:
        FileError: there is no such file, or it holds no plain arrays.
        InputError: no labels in it, or nothing else.
    """
    from hasn.cli.inputs import arrays_in
    from hasn.errors import InputError

    arrays = arrays_in(path, option)
    if not isinstance(arrays, dict) or "labels" not in arrays or len(arrays) < 2:
        got = ", ".join(arrays) if isinstance(arrays, dict) else "one array"
        wanted = "a .npz with `labels` and an array for each Input"
        raise InputError("no labelled samples", parameter=str(path), got=got, wanted=wanted)
    labels = arrays.pop("labels")
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays, labels


def _data(result: TrainResult) -> dict[str, Any]:
    history = [asdict(epoch) for epoch in result.history]
    return {
        "stopped": result.stopped,
        "learned": result.learned,
        "steps": result.steps,
        "dropped": result.dropped,
        "history": history,
    }


def _table(result: TrainResult) -> Any:
    from hasn.cli.console import add_row, table

    columns = ("epoch", "loss", "accuracy", "validation loss", "validation accuracy", "spikes a neuron and step", "s")
    rows = []
    for epoch in result.history:
        rates = ", ".join(f"{name} {rate:.3f}" for name, rate in epoch.rates.items())
        figures = (epoch.loss, epoch.accuracy, epoch.validation_loss, epoch.validation_accuracy)
        shown = ["" if value is None else f"{value:.4f}" for value in figures]
        rows.append((str(epoch.epoch + 1), *shown, rates, f"{epoch.seconds:.1f}"))
    filled = [place for place in range(len(columns)) if any(row[place] for row in rows)]  # no validation, no column
    made = table(*(columns[place] for place in filled), numbers=columns)
    for row in rows:
        add_row(made, *(row[place] for place in filled))
    return made
