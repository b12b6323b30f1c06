"""A connection that learns: every sample's own weights and traces, moved after each step (hasn.program.learning)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from hasn.backends.snntorch.lines import Line
from hasn.program import learning
from hasn.program.learning import PLAIN, Extent, Product, Products, sizes, weights_of
from hasn.program.maps import Convolution, Dense, Sparse, floating, window_counts
from hasn.program.model import Connection


@dataclass(frozen=True)
class Learned:
    """What a connection has learned; nothing is written into it.

    Attributes:
        weight: (batch, outputs, inputs), (batch, synapses) or (batch, *kernel); where all samples share it, batch is 1.
        traces: name -> (batch, who has one).
        step: number of the step to come.
        arrived: what came in at the last step: (batch, inputs), or with delays (batch, synapses).
    """

    weight: Tensor
    traces: Mapping[str, Tensor]
    step: int
    arrived: Tensor | None = None


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
        own: whether each has a delay of its own, so that what it knows of its source is its own too.
    """

    def __init__(self, rows: Tensor, columns: Tensor, outputs: int, own: bool) -> None:
        self.rows, self.columns, self.outputs, self.own = rows, columns, outputs, own

    def spread(self, value: Tensor, extent: Extent) -> Tensor:
        """At every synapse."""
        if extent == "post":
            return value.index_select(1, self.rows)
        return value.index_select(1, self.columns) if extent == "pre" and not self.own else value

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
        super().__init__(rows, columns, found.outputs, own=False)
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
    """

    bias: Tensor | None
    delays: Tensor | None

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
        late = None if not self.longest else torch.tensor(np.asarray(delay), dtype=torch.int64)
        self.register_buffer("delays", late, persistent=False)
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
        to, of = (torch.tensor(np.asarray(index, dtype=np.int64), device=device) for index in (rows, spec.indices))
        return Listed(to, of, spec.outputs, self.delays is not None)

    # --- in a step

    def start(self, batch: int) -> Learned:
        """Before the first step."""
        weight = self.weight.unsqueeze(0)
        if not self.rule.shared:
            weight = weight.expand(batch, *self.weight.shape)
        traces = {
            t.name: self.sides.at_synapses(weight.expand(batch, *self.weight.shape)).clone()
            if t.from_weight
            else weight.new_zeros(batch, *self._sizes[t.extent])
            for t in self.rule.traces
        }
        return Learned(weight, traces, 0)

    def arrive(self, x: Tensor, learned: Learned, line: Line | None) -> tuple[Tensor, Learned]:
        """What the connection sends for x (batch, *shape), with the weights of the last step."""
        x = x.flatten(1)
        if self.delays is not None and line is not None:
            line.take(x)
            x = self._late(line, x)
        made = self.sides.product(learned.weight, x) if self.rule.transmits == PLAIN else self._sent(x, learned)
        if self.bias is not None:  # one a target, or a channel
            made = made + self.bias.reshape(-1, *[1] * (made.ndim - 2))
        return made, replace(learned, arrived=x)

    def _sent(self, x: Tensor, learned: Learned) -> Tensor:
        """What synapses send that do not send ``w * pre``: (batch, outputs)."""
        known = {"pre": x, "w": self.sides.at_synapses(learned.weight), **self._decayed(learned)}
        sent = self._sum(self.rule.transmits, "synapse", known)
        return self.sides.total(sent.expand(len(x), *self._sizes["synapse"]))

    def _decayed(self, learned: Learned) -> dict[str, Tensor]:
        return {trace.name: trace.decay * learned.traces[trace.name] for trace in self.rule.traces}

    def _late(self, line: Line, like: Tensor) -> Tensor:
        """What arrives at each synapse: (batch, synapses)."""
        if not isinstance(self.sides, Listed) or self.delays is None:
            raise TypeError("only listed synapses have delays")
        silence = torch.zeros_like(like)
        past = [line.past[n] if n < len(line.past) else silence for n in range(self.longest + 1)]
        whole = torch.stack(past, dim=1)  # (batch, delays, inputs)
        return whole[:, self.delays, self.sides.columns]

    def learn(self, learned: Learned, post: Tensor, v: Tensor, modulators: Mapping[str, Tensor]) -> Learned:
        """After a step.

        Args:
            learned: of before.
            post, v: the target's spikes and membrane potential, (batch, *shape).
            modulators: name -> (batch,).
        """
        if learned.arrived is None:
            raise RuntimeError("nothing has arrived")
        decayed = self._decayed(learned)
        known = {"pre": learned.arrived, "post": post.flatten(1), "v": v.flatten(1), **decayed}
        known["w"] = self.sides.at_synapses(learned.weight)
        known |= {name: value.reshape(-1, 1) for name, value in modulators.items()}
        for part in self.rule.rectified:
            known[part.name] = self._sum(part.sum, part.extent, known).clamp(min=0.0)
        weight = learned.weight
        if (learned.step + 1) % self.rule.every == 0 and self.rule.update:
            change = self.sides.change(self._sum(self.rule.update, "synapse", known), len(post))
            if self.rule.shared:
                change = change.expand(len(post), *weight.shape[1:]).mean(0, keepdim=True)
            weight = (weight + change).clamp(self.rule.low, self.rule.high)
        if self.rule.normalises(learned.step):
            weight = self._normalised(weight)
        traces = {}
        for trace in self.rule.traces:
            before, fed = decayed[trace.name], self._sum(trace.feed, trace.extent, known)
            traces[trace.name] = torch.where(fed != 0, fed, before) if trace.sets else before + fed
        return Learned(weight, traces, learned.step + 1)

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
