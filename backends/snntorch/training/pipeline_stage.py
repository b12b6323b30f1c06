"""One stage of a pipeline as torch.distributed.pipelining runs it. Imports torch: import it where training starts.

Values between stages are (T, samples of a micro-batch, *shape). An error inside a stage would leave the others waiting
for its values, so a stage that fails goes on with zeros, and the step ends with its error in every process.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hasn.backends.snntorch.training.learnable import Learnable
from hasn.backends.snntorch.training.losses import Loss
from hasn.backends.snntorch.training.pipeline_options import SCHEDULES
from hasn.errors import BackendUnavailable, OptionError
from hasn.program.model import Sink
from hasn.program.stages import Stage


def pipelining() -> Any:
    """torch.distributed.pipelining, if this torch has what is used of it.

    Raises:
        BackendUnavailable: it has not.
    """
    try:
        import torch.distributed.pipelining as found

        sound = "scale_grads" in inspect.signature(found.ScheduleGPipe).parameters
    except ImportError:
        sound = False
    if not sound:
        raise BackendUnavailable(
            "torch.distributed.pipelining is missing or too old here",
            got=f"torch {torch.__version__}",
            way_out="pip install --upgrade torch (2.13 is tested).",
        )
    return found


class StageModule(nn.Module):
    """A stage's network: (T, samples, *shape) of every value that comes in, to those of every value that goes out.

    Attributes:
        failed: the first error since it was set to None.
    """

    def __init__(self, stage: Stage, network: nn.Module, learnable: Learnable) -> None:
        super().__init__()
        self.stage, self.network, self.learnable = stage, network, learnable
        network.careful = False  # type: ignore[assignment]  # the last stage's loss shows it
        self.failed: Exception | None = None
        self._sinks = [step.name for step in stage.program.of(Sink)]

    @property
    def like(self) -> Tensor:
        """It says device and dtype."""
        like: Tensor = self.network.like  # type: ignore[assignment]
        return like

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Run a micro-batch from the initial state."""
        outputs: tuple[Tensor, ...] = ()
        if self.failed is None:
            try:
                outputs = self._run(values)
            except Exception as error:  # whatever it is, the next stage must not wait for it
                self.failed = error
        if self.failed is not None:
            lead = values[0].shape[:2]
            outputs = tuple(self.like.new_zeros((*lead, *shape)) for shape in self.stage.made)
        return tuple(tracked(value) for value in outputs)

    def _run(self, values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.learnable.apply(self.network)
        found = self.network(dict(zip(self.stage.incoming, values, strict=True)))
        found = found if isinstance(found, Mapping) else {self._sinks[0]: found}
        mark: Any = self.network.mark  # a state that is not finite is seen in the last stage, by the loss
        return tuple((found[name] + mark).contiguous() for name in self.stage.shown)


def tracked(value: Tensor) -> Tensor:
    """The value, with a gradient to pass back even where nothing before it has parameters: all stages expect one."""
    return value.detach().requires_grad_() if torch.is_grad_enabled() and not value.requires_grad else value


class Judge:
    """The loss of a batch's micro-batches, in the last stage: their shares add up to the mean over the batch.

    A micro-batch knows its samples by their numbers; those from ``len(labels)`` on only fill it up, and count nothing.

    Attributes:
        labels: of the batch.
        failed: the first error of the loss function since it was set to None.
    """

    def __init__(self, loss: Loss, outputs: tuple[str, ...]) -> None:
        self.loss, self.outputs = loss, outputs
        self.labels = torch.zeros(0)
        self.failed: Exception | None = None

    def __call__(self, shown: Any, numbers: Tensor) -> Tensor:
        """The share of one micro-batch; an error of the loss function waits in ``failed``."""
        real = numbers[numbers < len(self.labels)].long()
        if len(real) and self.failed is None:
            try:
                return self._share(self.named(shown, len(real)), real)
            except Exception as error:  # whatever it is, the stages before must not wait for a gradient
                self.failed = error
        return numbers.new_zeros((), dtype=torch.float32).requires_grad_()

    def _share(self, shown: Any, real: Tensor) -> Tensor:
        loss = self.loss.value(shown, self.labels[real])
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise OptionError("the loss is no scalar tensor", parameter="loss", got=got)
        if not loss.requires_grad:
            raise OptionError("the loss does not depend on the parameters", parameter="loss", got=self.loss.name)
        return loss.reshape(()) * (len(real) / len(self.labels))

    def named(self, shown: Any, samples: int) -> Any:
        """Outputs of the first samples as a loss takes them: one tensor, or {Output: tensor} of several."""
        values = shown if isinstance(shown, tuple | list) else (shown,)
        first = [value[:, :samples] for value in values]
        return first[0] if len(first) == 1 else dict(zip(self.outputs, first, strict=True))


class Runs:
    """The schedules of one stage, made anew where sequences get another length or batches another size.

    Args:
        module: this process's stage.
        place: which stage it is, and of how many.
        parts: micro-batches.
        schedule: "1f1b" or "gpipe", of training; runs without gradients have nothing to choose.
        judge: gives the loss, in the last stage.
        group: the process group for values.
    """

    def __init__(
        self, module: StageModule, place: tuple[int, int], parts: int, schedule: str, judge: Judge, group: Any
    ) -> None:
        self.module, self.place, self.parts, self.schedule = module, place, parts, schedule
        self.judge, self.group = judge, group
        self._made: dict[bool, tuple[tuple[int, int], Any]] = {}

    def run(self, inputs: tuple[Tensor, ...], size: tuple[int, int], training: bool) -> tuple[list[Tensor], Any]:
        """One batch, with gradients or without: (losses of its micro-batches, Outputs), both in the last stage alone.

        Args:
            inputs: (T, parts * samples, *shape) of every Input, in the first stage; () in others.
            size: T, and the samples of a micro-batch.
            training: whether to take the loss, and its gradients by the parameters.
        """
        index, count = self.place
        losses: list[Tensor] = []
        options: dict[str, Any] = {}
        if training and index == count - 1:
            numbers = torch.arange(self.parts * size[1], device=self.module.like.device)
            options = {"target": numbers, "losses": losses}
        with torch.set_grad_enabled(training):
            outputs = self._schedule(size, training).step(*inputs, **options)
        return losses, outputs

    def _schedule(self, size: tuple[int, int], training: bool) -> Any:
        kept = self._made.get(training)
        if kept is None or kept[0] != size:
            self._made.pop(training, None)  # its buffers go before others come
            kept = self._made[training] = (size, self._new(size, training))
        return kept[1]

    def _new(self, size: tuple[int, int], training: bool) -> Any:
        torch_pipelining = pipelining()
        first, last = self.module.stage.given, self.module.stage.made
        index, count = self.place
        stage = torch_pipelining.PipelineStage(
            self.module, index, count, self.module.like.device,
            input_args=self._like(first, size, training), output_args=self._like(last, size, training),
            group=self.group,
        )  # fmt: skip
        spec = torch_pipelining.microbatch.TensorChunkSpec
        cls = getattr(torch_pipelining, SCHEDULES[self.schedule] if training else SCHEDULES["gpipe"])
        return cls(
            stage, self.parts, loss_fn=self.judge if training else None, args_chunk_spec=(spec(1),) * len(first),
            output_merge_spec=(spec(1),) * len(last), scale_grads=False,
        )  # fmt: skip

    def _like(self, shapes: tuple[tuple[int, ...], ...], size: tuple[int, int], grad: bool) -> tuple[Tensor, ...]:
        """Tensors of these shapes that hold nothing: torch reads from them what goes between stages."""
        dtype = self.module.like.dtype
        return tuple(torch.empty((*size, *shape), dtype=dtype, device="meta", requires_grad=grad) for shape in shapes)
