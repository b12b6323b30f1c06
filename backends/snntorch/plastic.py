"""A connection that learns: every sample's own weights and traces, moved after each step (hasn.program.learning)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hasn.backends.snntorch.lines import Line
from hasn.program.learning import PLAIN, Extent, Product, Products, sizes
from hasn.program.maps import Dense, Sparse, floating
from hasn.program.model import Connection


@dataclass(frozen=True)
class Learned:
    """What a connection has learned; nothing is written into it.

    Attributes:
        weight: (batch, outputs, inputs) or (batch, synapses); where all samples share it, batch is 1.
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


class Plastic(nn.Module):
    """A Connection with a rule.

    Attributes:
        weight: at the start, as the map has them: (outputs, inputs), or one for each synapse.
        bias: or None; it does not learn.
        longest: the longest delay of a synapse.
    """

    bias: Tensor | None
    delays: Tensor | None

    def __init__(self, step: Connection, dtype: torch.dtype) -> None:
        super().__init__()
        if step.learning is None or not isinstance(step.map, Dense | Sparse):
            raise TypeError(f"{step.name} does not learn")
        self.rule, spec = step.learning, step.map
        self.extents = self.rule.extents
        values = spec.values if isinstance(spec, Sparse) else floating(spec.weight)
        self.weight = nn.Parameter(torch.tensor(values, dtype=dtype))
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
            t.name: weight.expand(batch, *self.weight.shape).clone()
            if t.from_weight
            else weight.new_zeros(batch, *self._sizes[t.extent])
            for t in self.rule.traces
        }
        return Learned(weight, traces, 0)

    def arrive(self, x: Tensor, learned: Learned, line: Line | None) -> tuple[Tensor, Learned]:
        """What the connection sends for x (batch, inputs), with the weights of the last step."""
        if self.delays is not None and line is not None:
            line.take(x)
            x = self._late(line, x)
        made = self.sides.product(learned.weight, x) if self.rule.transmits == PLAIN else self._sent(x, learned)
        return made if self.bias is None else made + self.bias, replace(learned, arrived=x)

    def _sent(self, x: Tensor, learned: Learned) -> Tensor:
        """What synapses send that do not send ``w * pre``: (batch, outputs)."""
        known = {"pre": x, "w": learned.weight, **self._decayed(learned)}
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
        known = {"pre": learned.arrived, "post": post.flatten(1), "v": v.flatten(1), "w": learned.weight, **decayed}
        known |= {name: value.reshape(-1, 1) for name, value in modulators.items()}
        for part in self.rule.rectified:
            known[part.name] = self._sum(part.sum, part.extent, known).clamp(min=0.0)
        weight = learned.weight
        if (learned.step + 1) % self.rule.every == 0 and self.rule.update:
            change = self._sum(self.rule.update, "synapse", known)
            if self.rule.shared:
                change = change.expand(len(post), *weight.shape[1:]).mean(0, keepdim=True)
            weight = (weight + change).clamp(self.rule.low, self.rule.high)
        traces = {}
        for trace in self.rule.traces:
            before, fed = decayed[trace.name], self._sum(trace.feed, trace.extent, known)
            traces[trace.name] = torch.where(fed != 0, fed, before) if trace.sets else before + fed
        return Learned(weight, traces, learned.step + 1)

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
