"""A connection that learns: every sample's own weights and traces, moved after each step (hasn.program.learning)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from hasn.backends.snntorch.learned import Learned
from hasn.backends.snntorch.lines import Line
from hasn.backends.snntorch.plastic_events import Events, why_not
from hasn.kernels.plastic import plastic_available
from hasn.program import learning
from hasn.program.learning import PLAIN, Extent, Product, Products, sizes, weights_of
from hasn.program.maps import Convolution, Dense, Sparse, floating, window_counts
from hasn.program.model import Connection


class Matrix:
    """All synapses between two sides."""

    def spread(self, value: Tensor, extent: Extent) -> Tensor:
        """As it stands at every synapse, with axes of one where it is the same."""
        if extent == "synapse":
            return value
        return value.unsqueeze(-1) if extent == "post" else value.unsqueeze(-2)

    def product(self, weight: Tensor, x: Tensor) -> Tensor:
        """(batch, outputs) of (batch, inputs)."""
        if len(weight) == 1:
            return x @ weight[0].t()
        return (weight @ x.unsqueeze(-1)).squeeze(-1)

    def total(self, sent: Tensor) -> Tensor:
        """(batch, outputs) of what each synapse sends."""
        return sent.sum(-1)

    def at_synapses(self, weight: Tensor) -> Tensor:
        """The weight of every synapse."""
        return weight

    def change(self, values: Tensor, batch: int) -> Tensor:
        """What weights change by, of what synapses do."""
        return values


class Listed:
    """Some synapses, each with its source and its target.

    Args:
        rows, columns: of each.
        outputs: elements of the target.
        late: steps of delay of each, or None: with them, what it knows of its source is its own too.
    """

    def __init__(self, rows: Tensor, columns: Tensor, outputs: int, late: Tensor | None) -> None:
        self.rows, self.columns, self.outputs, self.late = rows, columns, outputs, late

    def spread(self, value: Tensor, extent: Extent) -> Tensor:
        """At every synapse."""
        if extent == "post":
            return value.index_select(1, self.rows)
        return value.index_select(1, self.columns) if extent == "pre" and self.late is None else value

    def product(self, weight: Tensor, x: Tensor) -> Tensor:
        """(batch, outputs) of what came in."""
        return self.total(weight * self.spread(x, "pre"))

    def total(self, sent: Tensor) -> Tensor:
        """(batch, outputs) of what each synapse sends."""
        return sent.new_zeros(len(sent), self.outputs).index_add(1, self.rows, sent)

    def at_synapses(self, weight: Tensor) -> Tensor:
        """The weight of every synapse."""
        return weight

    def change(self, values: Tensor, batch: int) -> Tensor:
        """What weights change by, of what synapses do."""
        return values


class Kernel(Listed):
    """A convolution: each of its weights is that of many synapses, one a position.

    Args:
        spec: the map.
        device: where the weights are.
    """

    def __init__(self, spec: Convolution, device: torch.device) -> None:
        found = learning.listed(spec)
        rows, columns, tie = (torch.tensor(index, device=device) for index in (found.post, found.pre, found.tie))
        super().__init__(rows, columns, found.outputs, None)
        self.spec, self.tie, self.shape = spec, tie, tuple(spec.weight.shape)
        self.padding = [n for pads in reversed(spec.pads) for n in pads]
        self.convolve: Any = functional.conv1d if len(spec.stride) == 1 else functional.conv2d
        given = spec.given or ()
        size = window_counts(given[1:], self.shape[2:], spec.stride, spec.pads, spec.dilation)
        self.result = (self.shape[0], *size)

    def product(self, weight: Tensor, x: Tensor) -> Tensor:
        """(batch, channels, *size) of (batch, inputs); own weights are a convolution whose groups are the samples."""
        spec, samples = self.spec, len(weight)
        padded = functional.pad(x.reshape(len(x), *spec.given or ()), self.padding)
        if samples > 1:
            padded = padded.flatten(0, 1).unsqueeze(0)
        more = {"stride": spec.stride, "dilation": spec.dilation, "groups": spec.groups * samples}
        made: Tensor = self.convolve(padded, weight.flatten(0, 1), **more)
        return made.reshape(samples, -1, *made.shape[2:]) if samples > 1 else made

    def total(self, sent: Tensor) -> Tensor:
        """(batch, channels, *size) of what each synapse sends."""
        return super().total(sent).reshape(len(sent), *self.result)

    def at_synapses(self, weight: Tensor) -> Tensor:
        """The weight of every synapse."""
        return weight.flatten(1).index_select(1, self.tie)

    def change(self, values: Tensor, batch: int) -> Tensor:
        """What weights change by: the sum over their synapses."""
        whole = values.expand(batch, len(self.tie))
        flat = whole.new_zeros(batch, math.prod(self.shape)).index_add(1, self.tie, whole)
        return flat.reshape(batch, *self.shape)


class Plastic(nn.Module):
    """A Connection with a rule.

    Attributes:
        weight: at the start, as the map has them: (outputs, inputs), one for each synapse, or a kernel.
        bias: or None; it does not learn.
        longest: the longest delay of a synapse.
        events: what does a step where the rule goes by events; None: every synapse is computed at every step.
    """

    bias: Tensor | None

    def __init__(self, step: Connection, dtype: torch.dtype) -> None:
        super().__init__()
        if step.learning is None or not isinstance(step.map, Dense | Sparse | Convolution):
            raise TypeError(f"{step.name} does not learn")
        self.rule, spec = step.learning, step.map
        self.extents = self.rule.extents
        self.weight = nn.Parameter(torch.tensor(floating(weights_of(step)), dtype=dtype))
        bias = None if spec.bias is None else nn.Parameter(torch.tensor(floating(spec.bias), dtype=dtype))
        self.register_parameter("bias", bias)
        delay = spec.delay if isinstance(spec, Sparse) else None
        self.longest = 0 if delay is None else int(delay.max(initial=0))
        self.events: Events | None = None
        if isinstance(spec, Dense | Sparse) and not why_not(self.rule, spec):
            self.events = Events(self.rule, spec, self.extents)
        self._sides: tuple[torch.device, Matrix | Listed] | None = None
        self._spec, self._sizes = spec, sizes(spec)

    @property
    def sides(self) -> Matrix | Listed:
        """The pattern, where the weights are."""
        device = self.weight.device
        if self._sides is None or self._sides[0] != device:
            self._sides = device, self._pattern(device)
        return self._sides[1]

    def _pattern(self, device: torch.device) -> Matrix | Listed:
        spec = self._spec
        if isinstance(spec, Dense):
            return Matrix()
        if isinstance(spec, Convolution):
            return Kernel(spec, device)
        rows = np.repeat(np.arange(spec.outputs), np.diff(spec.indptr))
        arrays = (rows, spec.indices, *((spec.delay,) if self.longest else ()))
        to, of, *late = (torch.tensor(np.asarray(index, dtype=np.int64), device=device) for index in arrays)
        return Listed(to, of, spec.outputs, late[0] if late else None)

    # --- in a step

    def start(self, batch: int) -> Learned:
        """Before the first step."""
        weight = self.weight.unsqueeze(0)
        if not self.rule.shared:
            weight = weight.expand(batch, *self.weight.shape)
        traces = {
            t.name: self.sides.at_synapses(weight.expand(batch, *self.weight.shape))
            if t.from_weight
            else weight.new_zeros(()).expand(batch, *self._sizes[t.extent])
            for t in self.rule.traces
        }
        return Learned(weight, traces, 0)

    def _by_events(self, x: Tensor, learned: Learned) -> Events | None:
        """What does this step, if the kernel can: on memory of the CPU, without gradients."""
        free = not torch.is_grad_enabled() and not torch.compiler.is_compiling()
        fits = x.device.type == "cpu" and x.dtype == learned.weight.dtype and x.dtype in (torch.float32, torch.float64)
        return self.events if free and fits and plastic_available() else None

    def arrive(self, x: Tensor, learned: Learned, line: Line | None) -> tuple[Tensor, Learned]:
        """What the connection sends for x (batch, *shape), with the weights of the last step."""
        x, late = x.flatten(1), line if self.longest else None
        if late is not None:
            late.take(x)
        events, made = self._by_events(x, learned), None
        if events is not None:
            learned = events.arrived(x, learned, late)
            made = events.transmit(learned)
        else:
            x = x if late is None else self._late(late, x)
            learned = replace(learned, sent=(), told=None, arrived=x)
        if made is None:
            plain = self.rule.transmits == PLAIN
            made = self.sides.product(learned.weight, x) if plain else self._sent(x, learned)
        if self.bias is not None:  # one a target, or a channel
            made = made + self.bias.reshape(-1, *[1] * (made.ndim - 2))
        return made, learned

    def _sent(self, x: Tensor, learned: Learned) -> Tensor:
        """What synapses send that do not send ``w * pre``: (batch, outputs)."""
        known = {"pre": x, "w": self.sides.at_synapses(learned.weight), **self._decayed(learned.plain())}
        sent = self._sum(self.rule.transmits, "synapse", known)
        return self.sides.total(sent.expand(len(x), *self._sizes["synapse"]))

    def _late(self, line: Line, like: Tensor) -> Tensor:
        """What arrives at each synapse: (batch, synapses)."""
        if not isinstance(self.sides, Listed) or self.sides.late is None:
            raise TypeError("only listed synapses have delays")
        silence = torch.zeros_like(like)
        past = [line.past[n] if n < len(line.past) else silence for n in range(self.longest + 1)]
        whole = torch.stack(past, dim=1)  # (batch, delays, inputs)
        return whole[:, self.sides.late, self.sides.columns]

    def learn(self, learned: Learned, post: Tensor, v: Tensor, modulators: Mapping[str, Tensor]) -> Learned:
        """After a step.

        Args:
            learned: of before.
            post, v: the target's spikes and membrane potential, (batch, *shape).
            modulators: name -> (batch,).
        """
        known = {"post": post.flatten(1), "v": v.flatten(1)}
        known |= {name: value.reshape(-1, 1) for name, value in modulators.items()}
        if learned.sent and self.events is not None:
            scaled = {trace.name for trace in self.rule.of_synapses(late=self.longest > 0)}
            known |= self._decayed({n: x for n, x in learned.traces.items() if n not in scaled})
            known["pre"] = learned.sent[0].x
            known |= self._rectified(known)
            moved, fed = self.events.learn(learned, known), self._fed(known, skipped=scaled)
            return replace(moved, traces={**moved.traces, **fed}, step=learned.step + 1)
        if learned.arrived is None:
            raise RuntimeError("nothing has arrived")
        known |= {"pre": learned.arrived, **self._decayed(learned.plain())}
        known["w"] = self.sides.at_synapses(learned.weight)
        known |= self._rectified(known)
        return Learned(self._moved(learned, known), self._fed(known), learned.step + 1)

    def _decayed(self, traces: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {trace.name: trace.decay * traces[trace.name] for trace in self.rule.traces if trace.name in traces}

    def _rectified(self, known: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is above zero of sums; later ones may read those before."""
        found: dict[str, Tensor] = {}
        for part in self.rule.rectified:
            above = self._sum(part.sum, part.extent, {**known, **found}).clamp(min=0.0)
            found[part.name] = above if above.ndim > 1 else above.expand(len(known["post"]), 1)  # pos(2)
        return found

    def _moved(self, learned: Learned, known: Mapping[str, Tensor]) -> Tensor:
        """The weights after the step."""
        weight, samples = learned.standing(), len(known["post"])
        if (learned.step + 1) % self.rule.every == 0 and self.rule.update:
            change = self.sides.change(self._sum(self.rule.update, "synapse", known), samples)
            if self.rule.shared:
                change = change.expand(samples, *weight.shape[1:]).mean(0, keepdim=True)
            weight = (learned.weight + change).clamp(self.rule.low, self.rule.high)
        return self._normalised(weight) if self.rule.normalises(learned.step) else weight

    def _fed(self, known: Mapping[str, Tensor], skipped: Collection[str] = ()) -> dict[str, Tensor]:
        """Traces after the step, of what they were once decayed; but for some."""
        traces = {}
        for trace in self.rule.traces:
            if trace.name not in skipped:
                before, fed = known[trace.name], self._sum(trace.feed, trace.extent, known)
                traces[trace.name] = torch.where(fed != 0, fed, before) if trace.sets else before + fed
        return traces

    def _normalised(self, weight: Tensor) -> Tensor:
        """The weights of each target, or channel, scaled so that their sizes sum to what the rule says."""
        if isinstance(self.sides, Listed) and not isinstance(self.sides, Kernel):
            rows = self.sides.rows
            sums = weight.new_zeros(len(weight), self.sides.outputs).index_add(1, rows, weight.abs())
            sums = sums.index_select(1, rows)
        else:
            sums = weight.abs().flatten(2).sum(-1).reshape(*weight.shape[:2], *[1] * (weight.ndim - 2))
        factor = torch.where(sums > 0, (self.rule.normal or 0.0) / sums, 1.0)
        return (weight * factor).clamp(self.rule.low, self.rule.high)

    def _sum(self, terms: Products, extent: Extent, known: Mapping[str, Tensor]) -> Tensor:
        total: Any = 0.0
        for term in terms:
            total = total + self._term(term, extent, known)
        if isinstance(total, float):
            return next(iter(known.values())).new_zeros(1)
        return total  # type: ignore[no-any-return]

    def _term(self, term: Product, extent: Extent, known: Mapping[str, Tensor]) -> Tensor:
        """One product, first of what one side has, then at the synapses."""
        parts: dict[Extent, Any] = {}
        for name in term.names:
            own = self.extents[name]
            parts[own] = parts[own] * known[name] if own in parts else known[name]
        total: Any = term.factor
        for own, value in parts.items():
            total = total * (self.sides.spread(value, own) if extent == "synapse" else value)
        return torch.as_tensor(total, dtype=self.weight.dtype, device=self.weight.device)
