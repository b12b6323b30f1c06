"""Streams, one step at a time at the least cost: every node is made ready once, with memory of its own.

A dense connection reads the weights of active inputs only (:mod:`hasn.kernels.events`), a population is one call of the
scan, in place; what the kernels do not have is the step loop's. The sums of a dense connection run in the order of its
inputs (docs/semantics.md, "Arithmetic"). Weights and neurons that have changed since are noticed at the next step, as
torch counts changes; what is written past its count (through ``.data``) is noticed when the stream starts again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from scipy.linalg import blas
from torch import Tensor, nn

from hasn import kernels
from hasn.backends.snntorch.connections import Reshape
from hasn.backends.snntorch.engine import Node, given_shape
from hasn.backends.snntorch.equations import Equations, RowEquations, equations
from hasn.backends.snntorch.kernel_calls import rows_job, scan_job
from hasn.backends.snntorch.neurons import Comparator, Population
from hasn.backends.snntorch.plain import is_plain
from hasn.backends.snntorch.synapses import Events, Synapses
from hasn.backends.snntorch.watch import Watch
from hasn.executable import Array
from hasn.kernels import Rows, available
from hasn.kernels.events import EventProduct, event_product, events_available
from hasn.program.model import Source

if TYPE_CHECKING:
    from hasn.backends.snntorch.module import SpikingNetwork, StreamState

#: Samples up to which reading the active inputs' weights for each beats one product that reads all weights once.
_FEW = 4


class Stream:
    """A network that takes one step after the other.

    Attributes:
        batch: samples.
        state: what it remembers; may be set.

    Args:
        network: whose steps.
        batch: samples.
        shown: nodes whose values a step gives.
        graded: those of them that are no states and no spikes.
    """

    def __init__(self, network: SpikingNetwork, batch: int, shown: Sequence[str], graded: Sequence[str]) -> None:
        self._network, self.batch, self._shown, self._graded = network, batch, shown, graded
        self._values: dict[str, Array] = {}
        self._plan: Plan | None = None
        self.state = network.start(batch)

    def restart(self) -> None:
        """Back to before the first step."""
        fresh = self._network.start(self.batch)
        if self._plan is None or not self._plan.same():
            self.state = fresh
        else:
            self._plan.load(fresh)

    @property
    def state(self) -> StreamState:
        """What the network remembers."""
        return self._state

    @state.setter
    def state(self, state: StreamState) -> None:
        self._state, self._plan = state, None

    def step(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """{Input: (batch, *shape)} to {shown node: (batch, *shape)}, arrays of the caller's own."""
        if self._plan is None or not self._plan.holds():
            self._plan = self._planned()
        self._values = self._stepped(inputs) if self._plan is None else self._plan.step(inputs)
        return self._values

    def not_finite(self) -> str | None:
        """The first node, in the order of evaluation, that the last step has left with a number that is not finite."""
        if self._plan is not None and self._plan.finite():
            return None
        state, values = self._state, self._values
        for name in self._network.program.by_name:
            seen = [*state.states.get(name, ())]
            seen += [state.largest[name]] if name in state.largest else []
            seen += [torch.from_numpy(values[name])] if name in self._graded else []
            seen += [] if self._plan is None else self._plan.thresholds.get(name, [])
            if not all(bool(torch.isfinite(x).all()) for x in seen):
                return name
        return None

    @torch.no_grad()
    def _planned(self) -> Plan | None:
        """A plan, where one can be had."""
        network = self._network
        if network.engine != "fused" or not available() or network.like.device.type != "cpu":
            return None
        if network.program.learning:  # weights that move at every step leave nothing to make ready
            return None
        return Plan(network, self._state, self.batch, self._shown, self._graded)

    @torch.no_grad()
    def _stepped(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The same by the step loop."""
        self._state.largest.clear()
        like = self._network.like
        given = {name: torch.from_numpy(x).to(device=like.device, dtype=like.dtype) for name, x in inputs.items()}
        values = self._network.advance(given, self._state)
        return {name: values[name].cpu().numpy().copy() for name in self._shown}


class Plan:
    """The nodes made ready: an action each, on memory that stays where it is.

    Args:
        network: whose nodes.
        state: moves on with every step; its tensors are replaced by the plan's own.
        batch: samples.
        shown: nodes whose values a step gives.
        graded: those of them that are no states and no spikes.

    Attributes:
        thresholds: Threshold -> the memory of what it is given.
    """

    def __init__(
        self, network: SpikingNetwork, state: StreamState, batch: int, shown: Sequence[str], graded: Sequence[str]
    ) -> None:
        self._network, self._state, self._batch, self._like = network, state, batch, network.like
        self._values: dict[str, Tensor] = {}
        self._actions: list[Callable[[], Any]] = []
        self._scanned: set[str] = set()
        self._chosen = (network.engine, network.matmul)
        self._watch = Watch()
        self.thresholds: dict[str, list[Tensor]] = {}
        # All states in one piece of memory, so that one look is enough for all.
        numbers = sum(value.numel() for values in state.states.values() for value in values)
        self._room, self._taken = torch.zeros(numbers, dtype=self._like.dtype), 0
        # The sum of squares is the quickest look; NumPy's would warn where it overflows, though all may be well.
        self._dot = blas.ddot if self._like.dtype == torch.float64 else blas.sdot
        state.previous = {name: value.clone() for name, value in state.previous.items()}
        for node in network.layers.nodes.values():
            self._add(node)
        self._looped = [name for name in state.states if name not in self._scanned]
        for name, previous in state.previous.items():
            self._actions.append(partial(self._remember, previous, name))
        self._inputs = {step.name: self._values[step.name].numpy() for step in network.program.of(Source)}
        self._outputs = {name: self._values[name].numpy() for name in shown}
        seen = [self._room, *(self._values[name] for name in graded), *(x for (x,) in self.thresholds.values())]
        self._looks = [x.numpy().reshape(-1) for x in seen if x.numel()]

    def step(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One step, without gradients."""
        for name, x in inputs.items():
            self._inputs[name][...] = x
        for act in self._actions:
            act()
        return {name: memory.copy() for name, memory in self._outputs.items()}

    def load(self, state: StreamState) -> None:
        """Continue from another state."""
        own = self._state
        own.lines = state.lines
        for name, value in state.previous.items():
            own.previous[name].copy_(value)
        for name, values in state.states.items():
            if name in self._scanned:
                for memory, value in zip(own.states[name], values, strict=True):
                    memory.copy_(value)
            else:
                own.states[name] = values

    def finite(self) -> bool:
        """Whether all that may not be is finite, at a cost that a step can bear; in doubt False."""
        dot = self._dot
        for x in self._looks:
            if not dot(x, x) < math.inf:
                return False
        looped = (value.numpy().reshape(-1) for name in self._looped for value in self._state.states[name])
        return not self._looped or all(dot(x, x) < math.inf for x in looped)

    def holds(self) -> bool:
        """Whether the network is as it was, as far as torch counts."""
        return self._watch.unchanged() and (self._network.engine, self._network.matmul) == self._chosen

    def same(self) -> bool:
        """Whether the modules have the same values, however they were written."""
        return self._watch.same_values()

    # --- making ready

    def _add(self, node: Node) -> None:
        step, module = node.step, node.module
        if isinstance(step, Source):
            self._values[step.name] = self._memory(step.shape)
            return
        total = self._total(node)
        if step.name not in self._state.lines and (module is None or isinstance(module, Reshape)):
            self._values[step.name] = total.view(self._batch, *step.shape)
        elif not (self._scan(node, total) or self._product(node, total) or self._synapses(node, total)):
            self._values[step.name] = self._memory(step.shape)
            if isinstance(module, Comparator):
                self.thresholds[step.name] = [total]
            self._actions.append(partial(self._call, node, total))

    def _memory(self, shape: tuple[int, ...]) -> Tensor:
        return torch.zeros(self._batch, *shape, dtype=self._like.dtype, device=self._like.device)

    def _total(self, node: Node) -> Tensor:
        """The memory in which the sum of what arrives will stand."""
        parts = [self._state.previous[source] if delay else self._values[source] for source, delay in node.sources]
        if len(parts) == 1 and not node.sources[0][1]:
            return parts[0]
        total = self._memory(given_shape(node.step))
        if parts:  # what was there a step ago is about to be overwritten, so it is never shown itself
            self._actions.append(partial(total.copy_, parts[0]))
        self._actions.extend(partial(total.add_, part) for part in parts[1:])
        return total

    def _scan(self, node: Node, total: Tensor) -> bool:
        """A population as one call of the kernel, if it has its equations."""
        module: Any = node.module
        name = node.step.name
        found = equations(module) if isinstance(module, Population) else None
        if found is None or found.values.dtype != total.dtype or not total.is_contiguous():
            return False
        self._watch.add(module, module.neuron)
        self._watch.add_value(partial(_values, module))
        self._scanned.add(name)
        before = self._state.states[name]
        kept = tuple(map(self._own, before))
        self._state.states[name] = kept
        out = self._values[name] = self._memory(node.step.shape)
        at = dict(zip(module.states, (state.data_ptr() for state in kept), strict=True))
        self._actions.append(_scan_call(found, total, at, out))
        return True

    def _own(self, state: Tensor) -> Tensor:
        """A copy in the memory of all states."""
        place = self._room[self._taken : self._taken + state.numel()].view(state.shape)
        self._taken += state.numel()
        return place.copy_(state)

    def _product(self, node: Node, total: Tensor) -> bool:
        """A dense connection as an event-driven product, for few samples."""
        module: Any = node.module
        plain = type(module) is nn.Linear and is_plain(module) and node.step.name not in self._state.lines
        few = self._batch <= _FEW and self._chosen[1] == "float32" and events_available()
        if not (plain and few and total.is_contiguous() and module.weight.dtype == total.dtype):
            return False
        self._watch.add(module)
        self._watch.add_value(partial(_shadow, module))
        weights = module.weight.t().contiguous()
        bias = None if module.bias is None else module.bias.contiguous()
        out = self._values[node.step.name] = self._memory(node.step.shape)
        (given, made), double = weights.shape, total.dtype == torch.float64
        sizes = EventProduct(self._batch, given, made, double, torch.get_num_threads())
        at = (total.data_ptr(), weights.data_ptr(), out.data_ptr(), 0 if bias is None else bias.data_ptr())
        self._actions.append(_holding(event_product(sizes, *at), total, weights, bias))
        return True

    def _synapses(self, node: Node, total: Tensor) -> bool:
        """A sparse connection, for few samples: the synapses of active inputs alone."""
        module, name = node.module, node.step.name
        if not isinstance(module, Synapses) or not is_plain(module) or self._batch > _FEW:
            return False
        if module.weight.dtype != total.dtype:
            return False
        self._watch.add(module)
        self._watch.add_value(partial(_copy, module))
        out = self._values[name] = self._memory(node.step.shape)
        self._actions.append(partial(self._deliver, name, module.longest, module.events(), total, out))
        return True

    # --- acting

    @torch.no_grad()
    def _deliver(self, name: str, longest: int, events: list[Events], total: Tensor, out: Tensor) -> None:
        out.zero_()
        past = [total]
        if longest:
            line = self._state.lines[name]
            line.take(total.clone())
            past = line.past
        for each in events:
            if each.part.steps < len(past):
                each(past[each.part.steps], out)

    @torch.no_grad()
    def _call(self, node: Node, total: Tensor) -> None:
        """A node by its module."""
        if isinstance(node.module, Comparator):  # looked at where its input lies
            self._values[node.step.name].copy_(node.module(total))
            return
        late = node.step.name in self._state.lines  # a delay line may keep what it is given
        made = self._network.mapped(node.step, node.module, total.clone() if late else total, self._state)
        self._values[node.step.name].copy_(made)

    def _remember(self, previous: Tensor, name: str) -> None:
        previous.copy_(self._values[name])


def _scan_call(found: Equations | RowEquations, total: Tensor, at: Mapping[str, int], out: Tensor) -> Callable[[], Any]:
    """One step of a population whose states lie at these addresses, in place."""
    x = total.unsqueeze(0)
    if isinstance(found, RowEquations):
        job, values = rows_job(x, found)
        states = kernels.RowStates(tuple(at.values()), tuple(at.values()))
        act = kernels.rows_call(job, values.data_ptr(), x.data_ptr(), states, out.data_ptr())
        return _holding(act, total, values)
    scan, values = scan_job(x, found)
    c = 0 if found.rows is Rows.ONE else at["c"]
    ends = kernels.States(at["v"], c, at["v"], c)
    act = kernels.forward_call(scan, values.data_ptr(), x.data_ptr(), ends, out.data_ptr())
    return _holding(act, total, values)


def _values(population: Population) -> Tensor:
    """A population's coefficients as they are now; nothing where only its module knows them."""
    found = equations(population)
    return torch.zeros(0) if found is None else found.values


def _copy(synapses: Synapses) -> Tensor:
    """The weights as they are."""
    return synapses.weight.detach()


def _shadow(linear: Any) -> Tensor:
    """A number for each output that changes with its weights by more than a product's own rounding."""
    weight = linear.weight.detach()
    ray = torch.linspace(1.0, 2.0, weight.shape[1], dtype=weight.dtype)
    made = torch.mv(weight, ray)
    return made if linear.bias is None else torch.cat([made, linear.bias.detach()])


def _holding(act: Callable[[], Any], *tensors: Tensor | None) -> Callable[[], Any]:
    """``act``, which has addresses of these tensors."""
    act.tensors = tensors  # type: ignore[attr-defined]
    return act
