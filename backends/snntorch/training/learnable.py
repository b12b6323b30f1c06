"""Time constants, thresholds and delays as trained parameters: valid at every step, written to the graph exactly.

A time constant is learned by the share of a state that a step forgets (Fang et al., Incorporating learnable membrane
time constant to enhance learning of spiking neural networks, ICCV 2021, whose 1/tau = sigmoid(w) is this in steps):

    1 - a = sigmoid(w),    so tau = dt / sigmoid(w) ("euler"),    tau = dt / softplus(w) ("exact")

A threshold stays above its reset value: ``v_threshold = v_reset + softplus(w)``; that of a Threshold node is free.
A delay is ``dt * round(100 w)`` with w >= 0, whole steps at any time, and its gradient passes the rounding
(:class:`hasn.backends.snntorch.lines.DelayLine`). By the 100 it moves 100 times as fast as weights do under Adam,
the ratio of learning rates in Hammouamri et al., Learning delays in spiking neural networks using dilated convolutions
with learnable spacings, ICLR 2024.
The coefficients come out of tau and the threshold by :mod:`hasn.program.discretise` itself, in float64, so the graph
that the values are written to compiles to the same numbers.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import nir
import numpy as np

from hasn.backends.snntorch.training.choice import chosen_by, require, share_of
from hasn.errors import OptionError
from hasn.nodes.lookup import kind_of, neuron_kind
from hasn.program.model import Connection, Neurons, Program, Threshold

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Names of what each option learns; "tau" are the time constants that a node's kind has.
_PARAMETERS = {"threshold": ("v_threshold", "threshold"), "delay": ("delay",)}
#: Steps of delay for each unit of its raw tensor.
_STEPS = 100.0


@dataclass(frozen=True)
class Learned:
    """One parameter of one node: a raw float64 tensor that an optimizer may move anywhere, and what it means."""

    node: str
    parameter: str
    raw: Tensor
    shape: tuple[int, ...]
    meaning: Callable[[Tensor], Tensor]

    def value(self) -> Tensor:
        """The node's parameter, in its own unit, float64."""
        return self.meaning(self.raw).expand(self.shape)


class Learnable:
    """The learned parameters of a network, and the modules that they act on.

    Args:
        program: what was compiled.
        nodes: flat name -> NIR node.
        learn: kind -> see :func:`hasn.backends.snntorch.training.choice.learned`; a kind of all nodes leaves out what
            lies on its limit (a beta of 0 is a tau of dt) with a warning.
        module_of: flat name -> the node's module.
        freeze: names that are not learned.

    Attributes:
        every: "node.parameter" of all that the kinds of ``learn`` have, frozen or not.

    Raises:
        OptionError: nothing of the kind in the graph, or "population" where its values differ.
    """

    def __init__(
        self,
        program: Program,
        nodes: Mapping[str, nir.NIRNode],
        learn: Mapping[str, Any],
        module_of: Callable[[str], nn.Module],
        freeze: Sequence[str] = (),
    ) -> None:
        self.program = program
        self.parts: list[Learned] = []
        self._nodes: dict[str, nir.NIRNode] = {}
        self._modules: dict[str, Any] = {}
        self.every: list[str] = []
        for kind in learn:
            if kind != "weight":
                self._add(kind, learn, nodes, freeze)
        self._delayed = {part.node for part in self.parts if resets_late(nodes[part.node], program)}
        for name in {part.node for part in self.parts if part.parameter != "delay"}:
            self._nodes[name] = nodes[name]
            self._modules[name] = opened(module_of(name), program.node(name))

    def _add(
        self, kind: str, learn: Mapping[str, Any], nodes: Mapping[str, nir.NIRNode], freeze: Sequence[str]
    ) -> None:
        steps = [step.name for step in self.program.of(Neurons, Threshold, Connection)]
        there = [f"{name}.{parameter}" for name in steps for parameter in learnable(nodes[name], kind)]
        if not there:
            raise OptionError(f"the graph has no {kind}", parameter="learn", got=repr(kind))
        if isinstance(learn[kind], Mapping):
            require(learn[kind], there, "learn")
        self.every += there
        on_limit: list[OptionError] = []
        before = len(self.parts)
        for name in steps:
            for _, parameter, share in learnt(name, nodes[name], {kind: learn[kind]}, freeze):
                try:
                    self.parts.append(_learned(name, nodes[name], kind, parameter, share, self.program))
                except _OnLimit as error:
                    on_limit.append(error)
        if on_limit and (isinstance(learn[kind], Mapping) or len(self.parts) == before):
            raise on_limit[0]
        for reason in on_limit:
            warnings.warn(f"not learned: {reason}", RuntimeWarning, stacklevel=2)

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The raw tensors by ``node.parameter``."""
        return {f"{part.node}.{part.parameter}": part.raw for part in self.parts}

    def apply(self, network: Any) -> None:
        """Put the present coefficients into the modules, and the delays into their network, with their gradients.

        Args:
            network: the :class:`hasn.backends.snntorch.module.SpikingNetwork` of the modules.
        """
        like: Tensor = network.like
        for name, module in self._modules.items():
            node = copy.copy(self._nodes[name])
            for part in self.parts:
                if part.node == name:
                    setattr(node, part.parameter, part.value())
            if name in self._delayed:
                node.v_reset = late_reset(node, self.program.dt)
            for buffer, value in _coefficients(node, self.program.node(name), self.program).items():
                setattr(module, buffer, value.to(dtype=like.dtype, device=like.device))
        network.delays = self._delays(like)

    def _delays(self, like: Tensor) -> dict[str, Tensor]:
        """Delay node -> steps, with their gradients."""
        import torch

        late = [part for part in self.parts if part.parameter == "delay"]
        with torch.no_grad():
            for part in late:
                part.raw.clamp_(min=0)
        return {part.node: (part.value() / self.program.dt).to(like.device) for part in late}

    def write(self, nodes: Mapping[str, nir.NIRNode]) -> None:
        """Set the learned values in a graph's nodes (flat name -> node)."""
        for part in self.parts:
            setattr(nodes[part.node], part.parameter, part.value().detach().numpy().copy())
        for name in self._delayed:
            nodes[name].v_reset = late_reset(nodes[name], self.program.dt).detach().numpy().copy()


def resets_late(node: Any, program: Program) -> bool:
    """Whether a node is a neuron of snnTorch's that subtracts its threshold a step late, after the decay.

    Its ``v_reset = threshold - threshold / beta`` then follows what is learned, as snnTorch's own reset does.
    """
    said = node.metadata or {}
    if said.get("snntorch") is None or said.get("reset") != "subtract" or not said.get("snntorch_reset_delay"):
        return False
    if (
        program.method == "exact"
        or not hasattr(node, "v_reset")
        or not (hasattr(node, "tau") or hasattr(node, "tau_mem"))
    ):
        return False
    return bool(np.allclose(late_reset(node, program.dt).numpy(), node.v_reset, rtol=1e-6, atol=0))


def late_reset(node: Any, dt: float) -> Tensor:
    """``threshold - threshold / beta`` with ``beta = 1 - dt / tau``."""
    import torch

    tau = torch.as_tensor(node.tau if hasattr(node, "tau") else node.tau_mem, dtype=torch.float64)
    threshold = torch.as_tensor(node.v_threshold, dtype=torch.float64)
    return threshold - threshold / (1 - torch.tensor(dt, dtype=torch.float64) / tau)


def learnable(node: nir.NIRNode, what: str) -> tuple[str, ...]:
    """Names of the parameters of a node that ``learn={what: ...}`` learns."""
    if what == "tau":
        kind = neuron_kind(node)
        return () if kind is None else kind.taus
    return tuple(parameter.name for parameter in kind_of(node).parameters if parameter.name in _PARAMETERS[what])


def learnt(
    name: str, node: nir.NIRNode, learn: Mapping[str, Any], freeze: Sequence[str] = ()
) -> list[tuple[str, str, str]]:
    """(kind, parameter, "population" or "neuron") of what a node learns beside its weights."""
    found = []
    for kind in learn:
        for parameter in learnable(node, kind) if kind != "weight" else ():
            share = share_of(learn, kind, f"{name}.{parameter}")
            if share is not None and chosen_by(freeze, f"{name}.{parameter}") is None:
                found.append((kind, parameter, share))
    return found


class _OnLimit(OptionError):
    """A value that no raw tensor stands for."""


def _learned(name: str, node: nir.NIRNode, what: str, parameter: str, share: str, program: Program) -> Learned:
    import torch

    value = np.asarray(getattr(node, parameter), dtype=np.float64)
    if share == "population":
        if np.any(value != value.flat[0]):
            raise OptionError(
                "the values differ within the population, so one value cannot stand for them",
                node=name,
                parameter=parameter,
                got="learn='population'",
                way_out=f"Pass learn={{{what!r}: 'neuron'}}.",
            )
        start = torch.tensor(float(value.flat[0]), dtype=torch.float64)
    else:
        start = torch.tensor(value)
    late = resets_late(node, program)  # snnTorch's thresholds are >= 0, and its v_reset lies below
    floor = np.zeros(1) if late else np.asarray(getattr(node, "v_reset", 0.0), dtype=np.float64)
    meaning, raw = _bounded(parameter, start, floor, program)
    stands = torch.isfinite(raw)
    if not bool(stands.any()):
        limit = "above v_reset" if "threshold" in parameter else f"above dt = {program.dt}"
        raise _OnLimit("lies on its limit and cannot be learned", node=name, parameter=parameter, wanted=limit)
    if not bool(stands.all()):  # these neurons keep their value
        meaning, raw = _partly(stands, meaning, start), torch.where(stands, raw, 0.0)
    return Learned(name, parameter, raw.requires_grad_(), value.shape, meaning)


def _partly(stands: Tensor, meaning: Callable[[Tensor], Tensor], start: Tensor) -> Callable[[Tensor], Tensor]:
    """A meaning of some elements; the others stay as they were at the start."""
    import torch

    return lambda raw: torch.where(stands, meaning(raw), start)


def _bounded(parameter: str, start: Tensor, floor: Any, program: Program) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """What a raw tensor means, and the raw tensor that means ``start``."""
    import torch

    dt = program.dt
    if parameter == "delay":
        return (lambda raw: dt * _rounded(_STEPS * raw)), torch.round(start / dt) / _STEPS
    if parameter == "threshold":
        return (lambda raw: raw), start.clone()
    if parameter == "v_threshold":
        lowest = torch.tensor(floor if start.ndim else floor.max())
        return (lambda raw: lowest + _softplus(raw)), torch.log(torch.expm1(start - lowest))
    if program.method == "exact":
        return (lambda raw: dt / _softplus(raw)), torch.log(torch.expm1(dt / start))
    return (lambda raw: dt / torch.sigmoid(raw)), torch.logit(dt / start)


def _rounded(steps: Tensor) -> Tensor:
    """Whole numbers, whose gradient is that of ``steps``."""
    return steps + (steps.round() - steps).detach()


def _softplus(raw: Tensor) -> Tensor:
    from torch.nn.functional import softplus

    return softplus(raw, threshold=700.0)  # torch's own turns linear at 20, which leaves a gap of 2e-9


def opened(module: Any, step: Any) -> Any:
    """The module that holds a node's coefficients, each open to be set: a general neuron in place of a stock one."""
    if isinstance(step, Threshold):
        return module
    return module.generalise()


def _coefficients(node: nir.NIRNode, step: Any, program: Program) -> dict[str, Tensor]:
    """Buffer of a general neuron (or of a comparator) -> its value, as the lowering makes it."""
    xp = _names()
    if isinstance(step, Threshold):
        return {"threshold": node.threshold}
    from hasn.backends.snntorch.neurons import coefficients

    kind = neuron_kind(node)
    assert kind is not None
    dt = xp.asarray(program.dt)  # torch turns float / tensor into a product with the reciprocal, which rounds twice
    condition, resets = kind.firing(node, step.reset, xp) if step.spiking else (None, ())
    found = coefficients(kind.rows(node, dt, program.method, xp), condition, resets)
    return {name: xp.asarray(value) for name, value in found.items()}


def _names() -> Any:
    """What the discretisation takes of numpy, as torch has it; tensors pass with their gradients."""
    import torch

    def asarray(value: Any, dtype: Any = torch.float64) -> Tensor:
        return value if isinstance(value, torch.Tensor) else torch.tensor(np.asarray(value), dtype=dtype)

    same = ("float64", "exp", "expm1", "any", "where", "maximum", "abs", "ones_like", "zeros_like", "cos", "sin")
    return SimpleNamespace(asarray=asarray, **{name: getattr(torch, name) for name in same})
