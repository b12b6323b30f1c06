"""`hasn.train`: surrogate-gradient training of a NIR graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nir

from hasn.backend import require_backend
from hasn.backends.snntorch.training.choice import learned, names
from hasn.backends.snntorch.training.drawing import own_generator, process_generators, runs_alone
from hasn.backends.snntorch.training.during import written
from hasn.backends.snntorch.training.forms import held_out, is_share
from hasn.backends.snntorch.training.joining import open_workers
from hasn.backends.snntorch.training.network import BACKEND
from hasn.backends.snntorch.training.options import Options, check_one_of
from hasn.backends.snntorch.training.pruning import Pruning
from hasn.backends.snntorch.training.pruning import written as masks_of
from hasn.backends.snntorch.training.result import Step, TrainResult
from hasn.backends.snntorch.training.workers import Workers
from hasn.errors import FileError, OptionError
from hasn.ir.outputs import ready_folder, ready_to_write

if TYPE_CHECKING:
    from hasn.backends.snntorch.training.board import Board
    from hasn.backends.snntorch.training.network import TrainedNetwork
    from hasn.backends.snntorch.training.progress import Progress
    from hasn.backends.snntorch.training.score import Scorer


def train(
    graph: nir.NIRGraph,
    data: Any,
    *,
    epochs: int,
    loss: Any = "rate",
    optimizer: str | Callable[[Any], Any] = "adam",
    learning_rate: float | Mapping[str, float] = 1e-3,
    schedule: Callable[[Any], Any] | None = None,
    validation: Any = None,
    batch_first: bool | None = None,
    shuffle: bool = True,
    batch_size: int = 32,
    budget: int | None = None,
    accumulate: int = 1,
    apply_after: int | Mapping[str, int] | None = None,
    clip: float | None = None,
    amp: str | None = None,
    recompute: int | None = None,
    tbptt: int | None = None,
    carry: bool = False,
    learn: str | Sequence[str] | Mapping[str, Any] = (),
    freeze: str | Sequence[str] = (),
    during: Mapping[str, Any] | None = None,
    masks: str | Mapping[str, Any] | None = None,
    pruning: Pruning | None = None,
    regularisers: Sequence[Callable[[Any], Any]] = (),
    patience: int | None = None,
    monitor: str | None = None,
    keep_best: bool = False,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    log: Any = None,
    log_queue: int = 1000,
    progress: Callable[[Step], object] | None = None,
    seed: int | None = 0,
    dt: float | None = None,
    method: str | None = None,
    reset: str | None = None,
    timing: str | None = None,
    precision: str = "float32",
    **backend_options: Any,
) -> TrainResult:
    """Train a graph on the snnTorch backend with surrogate gradients, and give it back as a plain NIR graph.

    The same call with the same seed gives the same result on a CPU, bit for bit, also when it was killed and resumed.

    Under ``torchrun --nproc-per-node N``, or inside a process group of torch.distributed, the same call trains with N
    workers. Every worker is given the same graph, options and data, and takes its share of each batch; their gradients
    add up before an update, over gloo on the CPU and nccl with ``device="cuda"`` (the GPU of LOCAL_RANK). The result is
    that of one process to rounding, and comes out in all workers. What one worker raises is raised in all. Worker 0
    alone logs, calls ``progress`` and reads and writes the checkpoint. See docs/training.md.

    Args:
        graph: the network; not changed.
        data: (inputs (T, N, *shape) or {Input: ...}, labels (N,)), a pair, cut into batches; inputs may be a list of N
            arrays (T_i, *shape) of several lengths, of which those of one length share a batch. Or an iterable of
            batches (inputs (T, batch, *shape), labels), e.g. a torch DataLoader; or a torch Dataset of samples
            (inputs (T, *shape), label). Or a function of the epoch (0, 1 ...) that gives any of them, to code inputs
            anew. The same in all workers: no DistributedSampler.
        epochs: passes over the data.
        loss: "rate", "count", "membrane" or "first-spike" (equations in
            :mod:`hasn.backends.snntorch.training.losses`), a :class:`hasn.training.Loss`, or a function (outputs
            (T, batch, *shape), labels) to a scalar, the mean over the batch; it gets {Output: outputs} where there are
            several.
        optimizer: "adam", "adamw", "sgd", or a function of the parameter groups that gives a torch.optim.Optimizer.
            Each group has "params" and, as torch has them, "param_names": "node.parameter".
        learning_rate: of a named optimizer; or {name: rate}, of which the first that means a parameter counts (1e-3 for
            the others), whose groups have an "lr" for a function too. Names as in ``freeze``.
        schedule: a function of the optimizer that gives one of torch.optim.lr_scheduler; it advances at every update.
        validation: like ``data``; judged after every epoch. Or a share, 0 < share < 1, of ``data`` that is held out:
            of arrays and Datasets, drawn by the seed.
        batch_first: True: arrays and batches are (N, T, *shape). Labels have the samples first either way: (N,), or
            (N, T, ...) of targets for every step. Of torch's TensorDataset and of a DataLoader with the default
            ``collate_fn`` it is known.
        shuffle: a new order of the samples at every epoch; data that come in batches keep their order.
        batch_size: samples of a batch, in all workers together.
        budget: samples x steps of a batch in place of ``batch_size``: short sequences make larger batches. Memory has
            its own limit: a batch that does not fit runs in halves whose gradients add up, so the result is the same.
        accumulate: batches whose gradients make one update, as one batch of all their samples would. Workers add up
            once an update.
        apply_after: K, or {node: K} (1 for the others): a node is moved once K batches have given it a gradient that is
            not all zero, by the mean over their samples; others keep gathering
            (:mod:`hasn.backends.snntorch.training.waiting` has the equation). A batch counts once however many workers
            share it; nodes are looked at after every ``accumulate`` batches, which is still what ``clip``,
            ``schedule``, ``losses`` and ``checkpoint_every`` call an update, though no node may be due. What still
            waits at the end of training is not applied.
        clip: largest norm of an update's gradient: of what is applied then, in all workers.
        amp: "bf16" or "fp16" (with a gradient scaler): torch.autocast for the products. It changes spikes.
        recompute: keep the states at every K-th step only, and compute the others again on the way back
            (torch.utils.checkpoint): less memory, more time, the same result.
        tbptt: K: a gradient passes at most K steps backwards; values and updates are those of whole sequences.
        carry: each batch goes on with the states in which the one before it ended, which no gradient passes; an epoch
            begins at rest. For data that come in batches: the next pieces of the same sequences, in the same order.
        learn: "tau", "threshold" and/or "delay" (of Delay nodes, in whole steps) as well: one value a population, or
            {"tau": "neuron"} for one each (:mod:`hasn.backends.snntorch.training.learnable`); of some nodes alone with
            {"tau": [names]} or {"tau": {name: "neuron"}}. {"weight": [names]}: weights, biases and scales of these
            nodes alone; all of them train where it is not given.
        freeze: nodes ("fc1"), parameters ("fc1.bias") or patterns of them ("conv*") that stay as they are.
        during: {connection: [:class:`hasn.training.BatchNorm`, :class:`hasn.training.Dropout`]} that are there while
            it trains; the graph that comes back has the first in its weights and the second nowhere.
        masks: {connection: mask} of pruned weights, which stay 0: 1 where a weight is kept, as torch.nn.utils.prune has
            them. "zeros": what is 0 stays 0. What a graph's ``metadata["pruned"]`` says holds without it.
        pruning: :class:`hasn.training.Pruning`, gradually and by magnitude. Epochs before its end are not judged by
            ``monitor``.
        regularisers: :class:`hasn.training.RateTarget`, :class:`hasn.training.SynapticCost`,
            :class:`hasn.training.ElasticWeights`, :class:`hasn.training.SynapticIntelligence`, or functions of an
            Activity; added to the loss.
        patience: stop after this many epochs without a better ``monitor``.
        monitor: "validation_loss" (default with validation), "loss" (default without), "validation_accuracy",
            "accuracy".
        keep_best: give back the parameters of the best epoch by ``monitor``, not the last.
        checkpoint: a file, written at every epoch's end; an existing one is only replaced when resuming.
        checkpoint_every: ... and after this many updates.
        resume: continue from the checkpoint if it is there. Data must come out the same again for the same state of
            the generators of torch, numpy and Python (also those of a DataLoader), which the checkpoint puts back.
        log: a folder for TensorBoard (pip install 'hasn[train]'), or a writer with add_scalar; no step waits for it.
        log_queue: entries that may wait for the writer before more are dropped.
        progress: called with a :class:`hasn.training.Step` after every update, e.g. :class:`hasn.training.ProgressBar`;
            training ends there if it returns True.
        seed: of the order of the samples, and of torch's, numpy's and Python's generators while a training lasts that
            runs functions of the caller's (:mod:`hasn.backends.snntorch.training.drawing`); None: as torch's stand (in
            worker 0). Trainings in several threads give what each gives alone.
        dt, method, reset, timing, precision: see :func:`hasn.compile`.
        **backend_options: the backend's: ``surrogate="fast_sigmoid"``, ``device="cuda"`` ...

    Whatever ends a training that has begun (Ctrl-C, an error in a callback, a loss that is not finite) carries what was
    trained so far as ``error.result``, a :class:`TrainResult`: of the best epoch with ``keep_best``, else of the last
    update, or where numbers are no longer finite of the last epoch.

    Raises:
        InputError: no sample, wrong shapes, labels out of range.
        ShapeError: a mask of another shape than its weights.
        OptionError: an option that does not exist or does not fit the graph.
        TrainingError: a loss or gradient that is not finite (with the step and the first node), no memory for one
            sample, or another worker that is gone.
        GraphError: the graph is broken, or the checkpoint is of another one.
        FileError: the checkpoint exists and ``resume`` is False, or it is damaged or cannot be written.
        BackendUnavailable: torch, snnTorch or (with ``log``) TensorBoard is not installed.
    """
    check_one_of("batch_first", batch_first, (None, True, False))
    if not isinstance(regularisers, Sequence):
        got, wanted = type(regularisers).__name__, "a list: regularisers=[...]"
        raise OptionError("no list of regularisers", parameter="regularisers", got=got, wanted=wanted)
    share = validation if is_share(validation) else None
    if share is not None:
        require_backend(BACKEND, precision)
        data, validation = held_out(data, share, batch_first, seed)
    monitor = monitor or ("loss" if validation is None else "validation_loss")
    path = None if checkpoint is None else Path(checkpoint)
    lowering = {"dt": dt, "method": method, "reset": reset, "timing": timing}
    with open_workers(backend_options.get("device", "cpu")) as workers:
        if "device" in backend_options:
            backend_options["device"] = workers.placed(backend_options["device"])
        options = Options(
            epochs, loss, optimizer, learning_rate, schedule, shuffle, batch_first, batch_size, budget, accumulate,
            apply_after, clip, amp, recompute, learned(learn), tuple(regularisers), patience, monitor, keep_best, path,
            checkpoint_every, resume, log, log_queue, progress, seed, precision, backend_options,
            freeze=names(freeze, "freeze"), during=written(during), tbptt=tbptt, carry=carry, share=share,
            masks=masks_of(masks), pruning=pruning,
        )  # fmt: skip
        _check(graph, options, validation)
        if workers.rank == 0:
            _check_files(options)
        else:
            options = replace(options, log=None, progress=None)
        require_backend(BACKEND, precision)  # before anything of torch is asked for
        if runs_alone(options, data, validation):
            with process_generators(seed):
                return _train(graph, data, validation, options, lowering, workers, None)
        return _train(graph, data, validation, options, lowering, workers, own_generator(seed))


def _train(
    graph: nir.NIRGraph,
    data: Any,
    validation: Any,
    options: Options,
    lowering: Mapping[str, Any],
    workers: Workers,
    generator: Any,
) -> TrainResult:
    from hasn.backends.snntorch.training.agreeing import lowered
    from hasn.backends.snntorch.training.checkpoint import digest_of, fingerprint
    from hasn.backends.snntorch.training.fits import loss_of
    from hasn.backends.snntorch.training.loop import Trainer
    from hasn.backends.snntorch.training.network import TrainedNetwork
    from hasn.backends.snntorch.training.origin import origin_of
    from hasn.backends.snntorch.training.score import Scorer

    network = TrainedNetwork(
        graph, options.learn, options.recompute, lowering, options.precision, options.backend, options.freeze,
        options.during, options.masks, options.pruning,
    )  # fmt: skip
    _check_norms(network, options, workers)
    _set_pieces(network, options)
    before = digest_of(network.parameters)
    loss = loss_of(options.loss, network.program)
    print_ = fingerprint(graph, network.program, options.learn, options.freeze)
    origin = {} if options.checkpoint is None or workers.rank else origin_of(graph, options, lowering)
    start = {"graph": print_, "graph's parameters": before} if workers.count > 1 else {}
    workers.check_same(
        {
            **start,
            **lowered(network.program),
            **options.shared,
            **options.course,
            "validation": str(validation is not None),
        }
    )
    scorer = Scorer(network, loss, options)
    parts = [
        _data(given, network, scorer, options, what, workers, generator)
        for given, what in ((data, "data"), (validation, "validation"))
    ]
    if parts[1] is not None:
        parts[1].look()

    def result_of(made: Progress, dropped: int) -> TrainResult:
        moved = digest_of(network.parameters) != before
        heard = bool(parts[0].heard) or not parts[0].begun
        return TrainResult(
            network.to_graph(), tuple(made.history), tuple(made.losses), made.stopped, made.step, dropped, moved, heard
        )

    with _board(options) as board:
        trainer = Trainer(network, scorer, options, parts[0], parts[1], print_, origin, board, workers)
        try:
            made = trainer.run()
        except BaseException as error:
            with suppress(Exception):  # the first error is the one to tell
                error.result = result_of(trainer.salvage(error), 0)  # type: ignore[attr-defined]
            raise
    result = result_of(made, workers.first("dropped log entries", 0 if board is None else board.dropped))
    if not result.learned and not workers.rank:
        warnings.warn(f"nothing was learned: {_why_nothing(result)}", RuntimeWarning, stacklevel=3)
    return result


def _set_pieces(network: TrainedNetwork, options: Options) -> None:
    """How far gradients and states go.

    Raises:
        OptionError: states cannot go on from one batch to the next.
    """
    network.tbptt, network.carry = options.tbptt, options.carry
    if options.carry and network.draws:
        raise OptionError(
            "drawn inputs begin anew in every batch", parameter="carry", got="a PoissonInput or NoiseInput"
        )


def _check_norms(network: TrainedNetwork, options: Options, workers: Workers) -> None:
    """Refuse what would take the statistics of a batch of parts of it.

    Raises:
        OptionError: several workers, states that are computed twice, or statistics over steps that run in pieces.
    """
    norms = network.during.has_norms
    cut = {
        "workers": workers.count > 1 and norms,
        "recompute": options.recompute is not None and bool(options.during),
        "tbptt": options.tbptt is not None and network.during.over_time,
    }
    for name, given in cut.items():
        if given:
            got, way_out = f"during and {name}", f"Leave out {name}, or during."
            why = "a batch's statistics are those of all of it, taken once"
            raise OptionError(why, parameter="during", got=got, way_out=way_out)


def _why_nothing(result: TrainResult) -> str:
    if not result.moved:
        return "no trained parameter moved"
    if not result.heard:
        return "every value of every Input is 0, so that biases and leaks alone moved"
    return "no population spiked in the last epoch; give stronger inputs, or start from larger weights"


def _check(graph: Any, options: Options, validation: Any) -> None:
    if not isinstance(graph, nir.NIRGraph):
        raise OptionError(
            "not a NIR graph",
            parameter="graph",
            got=type(graph).__name__,
            way_out="Train the float graph; hasn.quantise(..., train=...) trains what becomes integers.",
        )
    if options.monitor.startswith("validation") and validation is None:
        raise OptionError("there are no validation data", parameter="monitor", got=repr(options.monitor))


def _check_files(options: Options) -> None:
    """Try what will be written, before there is anything to lose."""
    if isinstance(options.log, str | Path):
        ready_folder(options.log)
    if options.checkpoint is None:
        return
    ready_to_write(options.checkpoint, force=True)
    if options.checkpoint.exists() and not options.resume:
        raise FileError(
            "the checkpoint exists and is kept",
            parameter=str(options.checkpoint),
            way_out="Pass resume=True to continue from it, or another path.",
        )


def _data(
    given: Any, network: TrainedNetwork, scorer: Scorer, options: Options, what: str, workers: Workers, generator: Any
) -> Any:
    from hasn.backends.snntorch.training.accuracy import check_monitor
    from hasn.backends.snntorch.training.batches import Data
    from hasn.backends.snntorch.training.network import shapes_of
    from hasn.backends.snntorch.training.several import check_parts

    if given is None and what == "validation":
        return None
    shuffle = options.shuffle and what == "data"

    def check(labels: Any) -> None:
        check_parts(labels, network.program, scorer.loss, what)
        check_monitor(options.monitor, scorer.loss, scorer.answers(labels), what)

    return Data(
        given, shapes_of(network.program), check, what,
        options.batch_size, options.budget, shuffle, workers, generator, options.batch_first, measure=scorer.measure,
        carry=options.carry,
    )  # fmt: skip


@contextmanager
def _board(options: Options) -> Iterator[Board | None]:
    from hasn.backends.snntorch.training.board import Board, writer_of

    if options.log is None:
        yield None
        return
    writer = writer_of(options.log)
    board = Board(writer, options.log_queue)
    try:
        yield board
    finally:
        board.close()
        if writer is not options.log:
            writer.close()
