"""A graph in training as a pipeline: updates, evaluation, and the way back to NIR."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import nir

from hasn.backends.snntorch.training.accuracy import accuracy, has_accuracy
from hasn.backends.snntorch.training.losses import Loss, check_labels
from hasn.backends.snntorch.training.network import shapes_of
from hasn.backends.snntorch.training.pipeline_group import Workers
from hasn.backends.snntorch.training.pipeline_options import PipelineOptions
from hasn.backends.snntorch.training.pipeline_part import Part
from hasn.backends.snntorch.training.targets import Targets
from hasn.errors import GraphError, InputError, OptionError, TrainingError
from hasn.ir.meaning import keep
from hasn.ir.structure import flatten
from hasn.ir.typed import copy_graph, set_types
from hasn.program.model import Neurons, Program, Sink
from hasn.program.stages import Stage

if TYPE_CHECKING:
    from torch import Tensor

    from hasn.backends.snntorch.training.batches import Batch


class Pipeline:
    """A graph in training, one stage of it in this process; see :func:`pipelined`. Use it in a ``with`` block.

    Attributes:
        stages: all of them.
        rank: which one this process runs.
        updates: steps of the optimizer so far.
    """

    def __init__(
        self, graph: nir.NIRGraph, program: Program, stages: tuple[Stage, ...], workers: Workers, loss: Loss,
        options: PipelineOptions, compiled: Callable[[Program], Any],
    ) -> None:  # fmt: skip
        self.stages, self.rank, self.updates = stages, workers.rank, 0
        self._graph, self._program, self._workers, self._loss = graph, program, workers, loss
        self._pieces, self._closed = options.micro_batches, False
        mark: Any = None
        failed: Exception | None = None
        try:
            self._part = Part(graph, program, stages[self.rank], options, compiled)
            mark = self._start(options)
        except Exception as error:  # whatever it is, the others must not wait for this stage
            failed = error
        try:
            self._agree(mark, failed)
        except Exception:
            workers.leave()
            raise

    def _agree(self, mark: Any, failed: Exception | None) -> None:
        """Refuse processes that do not train the same graph, and a graph in which there is nothing to train."""
        everyone = self._workers.everyone(mark, failed)
        if len({mark for mark, _ in everyone}) > 1:
            raise GraphError("the processes have different graphs or cuts", parameter="graph")
        if not sum(count for _, count in everyone):
            raise OptionError("the graph has nothing to train", parameter="graph", way_out="Pass learn=('tau',).")

    def _start(self, options: PipelineOptions) -> tuple[str, int]:
        """Make this process's runs; (a mark of the graph and its cut, number of parameters)."""
        from hasn.backends.snntorch.training.agreeing import lowered
        from hasn.backends.snntorch.training.checkpoint import fingerprint
        from hasn.backends.snntorch.training.pipeline_stage import Judge, Runs, StageModule

        self._judge = Judge(self._loss, tuple(step.name for step in self._program.of(Sink)))
        self._stage = StageModule(self.stages[self.rank], self._part.module, self._part.learnable)
        place = (self.rank, len(self.stages))
        self._runs: Any = Runs(self._stage, place, self._pieces, options.pipeline, self._judge, self._workers.values)
        names = [stage.names for stage in self.stages]
        mark = fingerprint(self._graph, self._program, options.learn)
        return f"{mark}{lowered(self._program)}{names}", len(self._part.parameters)

    # --- an update

    def step(self, inputs: Any = None, labels: Any = None) -> float:
        """One update from one batch; every process calls it.

        Args:
            inputs: (T, batch, *shape), or {Input: such an array}; any T and batch, also others than before. Those of
                the first process count; others may pass None.
            labels: (batch,), as the loss takes them; of the first process, too.

        Returns:
            The loss before the update, in every process.

        Raises:
            InputError: wrong shapes or labels.
            TrainingError: a loss or gradient that is not finite, an error inside a stage, a process that is gone. The
                first two leave the parameters as they were, and training can go on.
        """
        batch = self._given(inputs, labels)
        self._part.zero()
        losses, _ = self._run(batch, training=True)
        loss = float(sum(part.item() for part in losses))
        failed = self._stage.failed or self._judge.failed
        said = self._workers.everyone(None if failed else (loss, *self._part.norm()), failed)
        total = math.fsum(value for value, _, _ in said)
        norm = math.hypot(*(norm for _, norm, _ in said))
        self._refuse(total, said)
        self._part.update(norm)
        self.updates += 1
        return total

    def evaluate(self, inputs: Any = None, labels: Any = None) -> tuple[float, float | None]:
        """(loss, accuracy) of one batch, without an update; arguments and errors as in :meth:`step`.

        The accuracy is None where the loss reads no classes.
        """
        batch = self._given(inputs, labels)
        _, outputs = self._run(batch, training=False)
        found: Any = None
        failed = self._stage.failed
        if failed is None and self.rank == len(self.stages) - 1:
            try:
                found = self._scored(outputs)
            except Exception as error:  # whatever it is, the others must not wait
                failed = error
        last: tuple[float, float | None] = self._workers.everyone(found, failed)[-1]
        return last

    def _scored(self, outputs: Any) -> tuple[float, float | None]:
        labels = self._judge.labels
        shown = self._judge.named(outputs, len(labels))
        loss = float(self._loss.value(shown, labels))
        if not has_accuracy(self._loss, labels):
            return loss, None
        return loss, float(accuracy(self._loss, shown, labels))

    def _given(self, inputs: Any, labels: Any) -> Batch:
        """The first process's batch; in others its inputs are left out."""
        from hasn.backends.snntorch.training.batches import Batch

        self._open()

        def header() -> tuple[int, Any]:
            nonlocal inputs
            batch = self._batch(inputs, labels)
            inputs = batch.inputs
            one: Any = batch.labels
            return batch.steps, one.cpu()

        steps, shared = self._workers.from_first(header)
        self._steps = steps
        self._judge.labels = shared.to(self._part.module.like.device)
        self._judge.failed = self._stage.failed = None
        return Batch(inputs if self.rank == 0 else {}, self._judge.labels, len(shared))

    def _batch(self, inputs: Any, labels: Any) -> Batch:
        from hasn.backends.snntorch.training.batches import Data

        if inputs is None or labels is None:
            wanted = "inputs and labels; in other processes than the first, None will do"
            raise InputError("the first process has no batch", parameter="data", wanted=wanted)
        sinks = self._program.of(Sink)
        classes = sinks[0].shape[0] if len(sinks) == 1 and len(sinks[0].shape) == 1 else None

        def check(found: Any) -> None:
            if isinstance(found, Targets):
                raise InputError("a pipeline has one array of labels", parameter="data labels", got="several")
            check_labels(found, classes, self._loss, "data")

        return next(Data([(inputs, labels)], shapes_of(self._program), check, "data", 1, None, False).epoch(0)[0])

    def _run(self, batch: Batch, training: bool) -> tuple[list[Tensor], Any]:
        """This stage's part of a batch, which is filled up to a multiple of the micro-batches."""
        import torch

        samples = -(-batch.size // self._pieces)
        like, more = self._part.module.like, samples * self._pieces - batch.size
        filled: tuple[Tensor, ...] = ()
        if self.rank == 0:
            given = [batch.inputs[name].to(device=like.device, dtype=like.dtype) for name in self.stages[0].incoming]
            filled = tuple(torch.cat([x, x.new_zeros(len(x), more, *x.shape[2:])], 1) if more else x for x in given)
        with self._workers.together():
            found: tuple[list[Tensor], Any] = self._runs.run(filled, (self._steps, samples), training)
        return found

    def _refuse(self, loss: float, said: list[Any]) -> None:
        """Stop before an update by what is not finite."""
        wrong = [(stage, name) for stage, (_, _, name) in enumerate(said) if name]
        if math.isfinite(loss) and not wrong:
            return
        stage, name = wrong[-1] if wrong else (len(said) - 1, "")
        what = "gradient" if math.isfinite(loss) else "loss"
        first, last = self.stages[stage].names[0], self.stages[stage].names[-1]
        raise TrainingError(
            f"the {what} is not finite at step {self.updates + 1}; seen in stage {stage} ({first} ... {last})",
            parameter=name or what,
            got=None if math.isfinite(loss) else loss,
            way_out="Look at the inputs and the learning rate; clip=1.0 bounds a step.",
        )

    # --- what comes out

    def to_graph(self) -> nir.NIRGraph:
        """The trained graph, plain NIR, in every process; every process calls it."""
        self._open()
        graph = copy_graph(self._graph)
        keep(graph, dt=self._program.dt, method=self._program.method, timing=self._program.timing)
        flat = flatten(graph).nodes
        for step in self._program.of(Neurons):
            if step.reset == "subtract":
                flat[step.name].metadata["reset"] = step.reset
        for stage in self._workers.everyone(self._part.values()):
            for name, values in stage.items():
                for parameter, value in values.items():
                    setattr(flat[name], parameter, value)
        return set_types(graph)

    # --- the end

    def _open(self) -> None:
        if self._closed:
            raise OptionError("the pipeline is closed", parameter="pipeline", way_out="Make a new one.")

    def close(self) -> None:
        """Leave the other processes; only :attr:`stages` and the like can be read afterwards."""
        if not self._closed:
            self._closed = True
            self._runs = None
            self._workers.leave()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
