"""A graph as the module that is trained: what runs forwards, what the optimizer moves, and the way back to NIR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import nir

from hasn.backend import require_backend
from hasn.backends.snntorch.training.choice import require, weight_trains
from hasn.backends.snntorch.training.during import BatchNorm, Dropout, During
from hasn.backends.snntorch.training.learnable import Learnable, opened
from hasn.backends.snntorch.training.losses import full
from hasn.backends.snntorch.training.membranes import listening, populations
from hasn.backends.snntorch.training.pruning import Pruned, Pruning
from hasn.backends.snntorch.training.truncated import by_pieces, same_size
from hasn.errors import OptionError, UnsupportedError
from hasn.ir.lower import lower
from hasn.ir.structure import flatten
from hasn.ir.typed import with_types
from hasn.program.model import Edge, Program, Sink
from hasn.program.operations import spike_fan_out

if TYPE_CHECKING:
    from torch import Tensor

BACKEND = "snntorch"


@dataclass(frozen=True)
class Activity:
    """What a batch did in the network.

    Attributes:
        outputs: (T, batch, *shape), or {Output: such a tensor} where there are several.
        counts: spiking population -> spikes of each neuron (batch, *shape); they pass gradients.
        steps: T.
        fan_out: spiking population -> synapses that each neuron reaches at the next connections (*shape).
        mark: 0 if every state is finite, else NaN.
        membranes: as ``outputs``, the potentials before the reset behind them, where the loss reads them.
        parameters: name -> trained parameter: the module's ``node.parameter``, and the logarithms or roots that stand
            for what ``learn`` names.
    """

    outputs: Any
    counts: dict[str, Tensor]
    steps: int
    fan_out: dict[str, Tensor]
    mark: Tensor
    membranes: Any = field(default=None, kw_only=True)
    parameters: Mapping[str, Tensor] = field(default_factory=dict, kw_only=True)


class TrainedNetwork:
    """A compiled graph with its trained parameters.

    Args:
        graph: not changed.
        learn: see :class:`hasn.backends.snntorch.training.learnable.Learnable`.
        recompute: steps of a chunk whose insides are computed again backwards instead of being kept; None: all kept.
        lowering: dt, method, reset and timing.
        precision: "float32" or "float64".
        options: of the backend.
        freeze: see :mod:`hasn.backends.snntorch.training.choice`.
        during: see :mod:`hasn.backends.snntorch.training.during`.
        masks: of weights that stay 0; see :mod:`hasn.backends.snntorch.training.pruning`.
        pruning: of more and more weights.

    Attributes:
        program: of the graph itself.
        module: the torch module.
        parameters: name -> leaf tensor that training moves.
        tbptt: steps that a gradient passes at most; None: all of a batch. May be set.
        carry: whether a batch goes on with the states of the one before it. May be set.
    """

    def __init__(
        self,
        graph: nir.NIRGraph,
        learn: Mapping[str, Any],
        recompute: int | None,
        lowering: Mapping[str, Any],
        precision: str,
        options: Mapping[str, Any],
        freeze: Sequence[str] = (),
        during: Mapping[str, Sequence[BatchNorm | Dropout]] | None = None,
        masks: Any = None,
        pruning: Pruning | None = None,
    ) -> None:
        plugin: Any = require_backend(BACKEND, precision)
        self.program = lower(graph, **lowering)
        for name in self.program.learning:
            raise UnsupportedError(
                "a connection that learns by its own rule is not trained by gradients",
                node=name,
                parameter="metadata['plasticity']",
                way_out="Take the rule off (hasn.plasticity.detach), train, and attach it again.",
            )
        known = plugin.options()
        for name in options:
            if name not in known:
                wanted = ", ".join(known)
                raise OptionError("neither training nor the backend has such an option", parameter=name, wanted=wanted)
        watched = _watched(self.program)
        self.executable: Any = plugin.compile(watched, with_types(graph), precision, **options)
        self.executable.program = self.program  # what is shown to training alone is no part of the graph
        self.module: Any = self.executable.module
        self.module.careful = False  # the loss has the mark, so that all workers stop alike
        self.recompute = recompute
        self.sinks = tuple(step.name for step in self.program.of(Sink))
        self.learnable = Learnable(self.program, flatten(graph).nodes, learn, self.module.node, freeze)
        self.during = During(
            self.module, flatten(graph).nodes, during or {}, lambda name: weight_trains(learn, freeze, name)
        )
        self._choose(learn, freeze)
        trained = {name: p for name, p in self.module.named_parameters() if p.requires_grad}
        self.parameters: dict[str, Tensor] = trained | self.learnable.parameters
        self.parameters |= self.during.parameters | self.during.buffers
        if not self.parameters:
            way_out = "Freeze less." if freeze or "weight" in learn else "Pass learn=('tau',)."
            raise OptionError("the graph has nothing to train", parameter="graph", way_out=way_out)
        connections = {name: weight for name, weight in self._named().items() if name.endswith(".weight")}
        self.pruned = Pruned(connections, flatten(graph).nodes, masks, pruning)
        self.fan_out = self._fan_out()
        self.tbptt: int | None = None
        self.carry = False
        self._carried: Any = None
        self._read: dict[str, str] = {}  # Output -> the population whose membrane potential the loss reads

    def read_membranes(self, outputs: Sequence[str]) -> None:
        """Have :meth:`forward` give the membrane potentials behind these Outputs.

        Raises:
            OptionError: one shows no population.
        """
        self._read = populations(self.program, outputs)
        for name in self._read.values():
            opened(self.module.node(name), self.program.node(name))

    def _choose(self, learn: Mapping[str, Any], freeze: Sequence[str]) -> None:
        """Leave weights out that are frozen, or not chosen."""
        norms = {**self.during.parameters, **self.during.buffers}
        require(freeze, {**self._named(), **dict.fromkeys(self.learnable.every), **norms}, "freeze")
        require(learn.get("weight", ()), {**self._named(), **self.during.parameters}, "learn")
        for name, parameter in self._named().items():
            parameter.requires_grad_(weight_trains(learn, freeze, name))

    def _named(self) -> dict[str, Tensor]:
        """ "node.parameter" -> weights, biases and scales."""
        found: dict[str, Tensor] = {}
        for step, _, module in self.module._order:
            for name, parameter in () if module is None else module.named_parameters():
                found[f"{step.name}.{name}"] = parameter
        return found

    @property
    def weights(self) -> dict[str, Tensor]:
        """ "node.parameter" -> the trained parameters that are weights, biases and scales, and those of norms."""
        found = {name: parameter for name, parameter in self._named().items() if parameter.requires_grad}
        return found | self.during.parameters

    @property
    def draws(self) -> bool:
        """Whether some input is drawn."""
        return bool(self.module._draws)

    @property
    def owners(self) -> dict[str, str]:
        """Name of a trained parameter -> flat name of its node."""
        found = {name: name.rpartition(".")[0] for name in self.learnable.parameters}
        found |= {name: name.rpartition(".norm.")[0] for name in (*self.during.parameters, *self.during.buffers)}
        known = {parameter: name for name, parameter in self.module.named_parameters()}
        for step, _, module in self.module._order:
            for parameter in () if module is None else module.parameters():
                found[known[parameter]] = step.name
        return {name: found[name] for name in self.parameters}

    def forward(self, inputs: Mapping[str, Tensor]) -> Activity:
        """Run a batch from the initial state: {Input: (T, batch, *shape)}."""
        self.learnable.apply(self.module)
        with (
            self.during.standing(next(iter(inputs.values())).shape[1]),
            listening(self.module, tuple(self._read.values())) as heard,
        ):
            activity = self._run(inputs)
            if not self._read:
                return activity
            sizes = {sink.name: sink.shape for sink in self.program.of(Sink)}
            found = {o: _whole(heard[name][: activity.steps], sizes[o]) for o, name in self._read.items()}
        return replace(activity, membranes=next(iter(found.values())) if len(self.sinks) == 1 else found)

    def forget(self) -> None:
        """Begin at rest with the next batch, where states go on from one to the next."""
        self._carried = None

    def _run(self, inputs: Mapping[str, Tensor]) -> Activity:
        from hasn.backends.snntorch.overflow import mark as mark_of

        first = next(iter(inputs.values()))
        steps, batch = first.shape[:2]
        if self.tbptt is not None or self.carry:
            given = self.module.inputs_of(dict(inputs))
            if self._carried is not None:
                same_size(self._carried, batch)
            begin = self.module.start(batch) if self._carried is None else self._carried
            found, counts, end = by_pieces(
                self.module, given, begin, self.tbptt or steps, self.sinks, self.program.recorded_spikes
            )
            mark, self._carried = mark_of(end), end if self.carry else None
        elif self.recompute is None:
            found = self.module(dict(inputs))
            mark = self.module.mark
            found = found if isinstance(found, Mapping) else {self.sinks[0]: found}
            counts = {name: full(found[_watch(name)]).sum(0) for name in self.program.recorded_spikes}
        else:
            from hasn.backends.snntorch.chunks import by_chunks

            given = self.module.inputs_of(dict(inputs))
            found, counts, end = by_chunks(self.module, given, self.recompute, self.sinks, self.program.recorded_spikes)
            mark = mark_of(end)
        outputs = {name: found[name] for name in self.sinks}
        shown = next(iter(outputs.values())) if len(outputs) == 1 else outputs
        return Activity(shown, counts, steps, self.fan_out, mark, parameters=self.parameters)

    # --- what it costs, and what comes out

    def _fan_out(self) -> dict[str, Tensor]:
        import torch

        like, reached = self.module.like, spike_fan_out(self.program)
        return {name: torch.as_tensor(n, dtype=like.dtype, device=like.device) for name, n in reached.items()}

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Set every trained parameter."""
        import torch

        with torch.no_grad():
            for name, tensor in self.parameters.items():
                tensor.copy_(values[name])

    def to_graph(self) -> nir.NIRGraph:
        """A plain NIR graph with the present parameters."""
        graph: nir.NIRGraph = self.executable.to_nir()
        self.learnable.write(flatten(graph).nodes)
        self.pruned.mark(flatten(graph).nodes)
        self.during.fold(graph)
        return graph


def _whole(steps: Sequence[Tensor], shape: tuple[int, ...]) -> Tensor:
    """(T, batch, *shape) of (batch, ...) at every step."""
    import torch

    made = torch.stack(list(steps))
    return made.reshape(*made.shape[:2], *shape)


def _watch(name: str) -> str:
    """Name of the Sink that shows a population to training: no node of a graph has a slash in its name."""
    return f"{name}/spikes"


def _watched(program: Program) -> Program:
    """The program with every spiking population shown, whichever way the backend runs it."""
    names = program.recorded_spikes
    shown = tuple(Sink(_watch(name), program.node(name).shape) for name in names)
    edges = tuple(Edge(name, _watch(name)) for name in names)
    return replace(program, nodes=(*program.nodes, *shown), edges=(*program.edges, *edges))


def shapes_of(program: Program) -> dict[str, tuple[int, ...]]:
    """Input -> its shape."""
    return {source.name: source.shape for source in program.inputs}
