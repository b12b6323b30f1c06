"""What one process of a pipeline holds: its stage as a module, the parameters there, and what moves them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import nir
import numpy as np

from hasn.backends.snntorch.training.learnable import Learnable, learnable
from hasn.backends.snntorch.training.moving import optimizer_of, schedule_of, watches
from hasn.backends.snntorch.training.pipeline_options import PipelineOptions
from hasn.errors import OptionError
from hasn.ir.structure import flatten
from hasn.program.model import Connection, Neurons, Program, Threshold
from hasn.program.stages import Stage

if TYPE_CHECKING:
    from torch import Tensor

_TRAINED = ("weight", "bias", "scale")


class Part:
    """A stage in training.

    Args:
        graph: the whole graph; not changed.
        program: of the whole graph.
        stage: this process's.
        options: of the pipeline.
        compiled: makes a Program an executable of the snnTorch backend.

    Attributes:
        module: the stage's network.
        learnable: time constants, thresholds and delays that are trained, if any.
        parameters: name -> leaf tensor that training moves.
    """

    def __init__(
        self, graph: nir.NIRGraph, program: Program, stage: Stage, options: PipelineOptions,
        compiled: Callable[[Program], Any],
    ) -> None:  # fmt: skip
        self.stage, self._nodes = stage, flatten(graph).nodes
        self.module: Any = compiled(stage.program).module
        kinds = _there(program, stage, self._nodes, options.learn)
        self.learnable = Learnable(stage.program, self._nodes, kinds, self.module.node)
        self.parameters: dict[str, Tensor] = dict(self.module.named_parameters()) | self.learnable.parameters
        weights, raw = dict(self.module.named_parameters()), self.learnable.parameters
        chosen, rate = options.optimizer, options.learning_rate
        self._optimizer = optimizer_of(chosen, rate, weights, raw) if self.parameters else None
        self._schedule = schedule_of(options.schedule, self._optimizer, "loss") if self._optimizer else None
        if self._schedule is not None and watches(self._schedule):
            raise OptionError(
                "a pipeline has no figure of an epoch to tell a schedule",
                parameter="schedule",
                got=type(self._schedule).__name__,
                wanted="one that advances at every update",
            )
        self._clip = options.clip

    def zero(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def norm(self) -> tuple[float, str]:
        """The gradient's norm, and a parameter whose gradient is not finite ("" if there is none)."""
        import torch

        grads = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        wrong = next((name for name, grad in grads.items() if not bool(torch.isfinite(grad).all())), "")
        return math.hypot(*(float(torch.linalg.vector_norm(grad.double())) for grad in grads.values())), wrong

    def update(self, norm: float) -> None:
        """Move the parameters; ``norm`` is that of the gradient of all stages."""
        import torch

        if self._clip is not None:
            scale = min(1.0, self._clip / (norm + 1e-6))  # torch.nn.utils.clip_grad_norm_ has the same
            with torch.no_grad():
                for parameter in self.parameters.values():
                    if parameter.grad is not None:
                        parameter.grad *= scale
        if self._optimizer is not None:
            self._optimizer.step()
        if self._schedule is not None:
            self._schedule.step()

    def values(self) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
        """{node: {NIR parameter: its present value}} of all that this stage trains."""
        found: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
        for name in (step.name for step in self.stage.program.of(Connection)):
            trained = [parameter for parameter in _TRAINED if hasattr(self._nodes[name], parameter)]
            if trained:
                module = self.module.node(name)
                found[name] = {parameter: _array(getattr(module, parameter)) for parameter in trained}
        for part in self.learnable.parts:
            found.setdefault(part.node, {})[part.parameter] = _array(part.value())
        return found


def _array(value: Tensor) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = value.detach().cpu().numpy().copy()
    return array


def _there(
    program: Program, stage: Stage, nodes: Mapping[str, nir.NIRNode], learn: Mapping[str, str]
) -> dict[str, str]:
    """The kinds of ``learn`` that a stage has anything of.

    Raises:
        OptionError: the whole graph has nothing of a kind.
    """
    found: dict[str, str] = {}
    for kind, share in learn.items():
        names = {step.name for step in program.of(Neurons, Threshold, Connection)}
        having = {name for name in names if learnable(nodes[name], kind)}
        if not having:
            raise OptionError(f"the graph has no {kind}", parameter="learn", got=repr(kind))
        if having & set(stage.names):
            found[kind] = share
    return found
