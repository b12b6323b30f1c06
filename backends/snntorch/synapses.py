"""SparseLinear in torch: products of compressed rows, or of a dense matrix where enough of it is there.

Gradients are those of the stored weights alone. With delays every distinct delay is a product of its own, of what the
source sent that many steps ago.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from hasn.backends.snntorch.lines import Line
from hasn.program.maps import Sparse

#: Share of a matrix from which on a dense product is quicker (measured on a CPU, 1 to 1,000 rows at a time) ...
DENSE_SHARE = 1 / 6
#: ... and entries up to which such a matrix is made.
DENSE_ENTRIES = 1 << 24
#: Share of the synapses up to which a step gathers those of active inputs.
FEW_SHARE = 1 / 8


class Part(nn.Module):
    """Synapses of one delay.

    Args:
        steps: their delay.
        columns, ends: compressed rows.
        outputs, inputs: elements.
    """

    columns: Tensor
    ends: Tensor

    def __init__(self, steps: int, columns: Any, ends: Any, outputs: int, inputs: int) -> None:
        super().__init__()
        self.steps, self.outputs, self.inputs = steps, outputs, inputs
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("ends", torch.tensor(ends), persistent=False)
        entries = outputs * inputs
        self.dense = entries <= DENSE_ENTRIES and len(columns) >= DENSE_SHARE * entries
        self._turned: tuple[Tensor, Tensor, Tensor] | None = None

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """``x W^T`` for x (rows, inputs)."""
        if self.dense:
            flat = self.rows() * self.inputs + self.columns.long()
            entries = weight.new_zeros(self.outputs * self.inputs).index_add(0, flat, weight)
            return functional.linear(x, entries.view(self.outputs, self.inputs))
        made: Tensor = _Product.apply(weight, x.to(weight.dtype), self)  # type: ignore[no-untyped-call]
        return made

    def rows(self) -> Tensor:
        """The output of each synapse."""
        outputs = torch.arange(self.outputs, device=self.ends.device)
        return outputs.repeat_interleave(self.ends.diff().long(), output_size=len(self.columns))

    def matrix(self, weight: Tensor) -> Tensor:
        """torch's compressed rows with these values."""
        return _compressed(self.ends, self.columns, weight, (self.outputs, self.inputs))

    def turned(self, weight: Tensor) -> Tensor:
        """The transpose."""
        order, columns, ends = self.pattern_turned()
        return _compressed(ends, columns, weight[order], (self.inputs, self.outputs))

    def pattern_turned(self) -> tuple[Tensor, Tensor, Tensor]:
        """Order of the synapses by input, their outputs, and where each input's begin; found once."""
        if self._turned is None or self._turned[0].device != self.columns.device:
            order = torch.argsort(self.columns, stable=True)
            counts = torch.bincount(self.columns, minlength=self.inputs)
            ends = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(self.ends.dtype)
            self._turned = order, self.rows()[order].to(self.columns.dtype), ends
        return self._turned


def _compressed(ends: Tensor, columns: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():  # torch calls its compressed rows a beta
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(ends, columns, values, size, check_invariants=False)


class _Product(torch.autograd.Function):
    """``x W^T`` by compressed rows."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: Tensor, part: Part) -> Tensor:
        """(synapses,) and (rows, inputs) to (rows, outputs)."""
        ctx.save_for_backward(weight, x)
        ctx.part = part
        with torch.autocast(x.device.type, enabled=False):  # compressed rows have no product in bfloat16
            return (part.matrix(weight) @ x.t()).t().contiguous()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Gradients by the stored weights and by x."""
        weight, x = ctx.saved_tensors
        part, to_weight, to_x = ctx.part, None, None
        if ctx.needs_input_grad[0]:
            pattern = part.matrix(torch.zeros_like(weight))
            to_weight = torch.sparse.sampled_addmm(pattern, gradient.t().contiguous(), x, beta=0.0).values()
        if ctx.needs_input_grad[1]:
            to_x = (part.turned(weight) @ gradient.t()).t()
        return to_weight, to_x, None


class Events:
    """A part for single steps without gradients, with weights that stay: of few active inputs, their synapses alone.

    Args:
        part: whose synapses.
        weight: their values.
    """

    def __init__(self, part: Part, weight: Tensor) -> None:
        self.part, self.weight = part, weight
        order, rows, self.ends = part.pattern_turned()
        self.rows, self.values = rows.long(), weight[order]

    def __call__(self, x: Tensor, total: Tensor) -> None:
        """Add ``x W^T`` for x (rows, inputs) to the total (rows, outputs)."""
        for sent, made in zip(x, total, strict=True):
            active = sent.nonzero().view(-1)
            starts = self.ends[active].long()
            counts = self.ends[active + 1].long() - starts
            many = int(counts.sum())
            if many > FEW_SHARE * len(self.values):
                made += self.part(sent.unsqueeze(0), self.weight)[0]
            elif many:
                first = (starts - (counts.cumsum(0) - counts)).repeat_interleave(counts, output_size=many)
                places = first + torch.arange(many, device=first.device)
                values = self.values[places] * sent[active].repeat_interleave(counts, output_size=many)
                made.index_add_(0, self.rows[places], values)


class Synapses(nn.Module):
    """A SparseLinear.

    Attributes:
        weight: one value a synapse, in the order of the NIR node.
        longest: the longest delay.
    """

    order: Tensor | None

    def __init__(self, spec: Sparse, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(spec.values, dtype=dtype))
        self.outputs = spec.outputs
        size = spec.outputs, spec.inputs
        if spec.delay is None:
            self.register_buffer("order", None, persistent=False)
            self.parts = nn.ModuleList([Part(0, spec.indices, spec.indptr, *size)])
        else:
            found = [(steps, kept.astype(np.int32), ends) for steps, kept, ends in spec.of_delay()]
            self.parts = nn.ModuleList(Part(steps, spec.indices[kept], ends, *size) for steps, kept, ends in found)
            self.register_buffer(
                "order", torch.tensor(np.concatenate([kept for _, kept, _ in found])), persistent=False
            )
        self.longest = max((part.steps for part in self._parts), default=0)

    @property
    def _parts(self) -> list[Part]:
        return list(self.parts)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(rows, inputs) to (rows, outputs), whatever the delays."""
        return self.due(lambda steps: x, x)

    def weights(self) -> tuple[Tensor, ...]:
        """Of each part."""
        if self.order is None:
            return (self.weight,)
        return torch.split(self.weight.index_select(0, self.order), [len(part.columns) for part in self._parts])

    def events(self) -> list[Events]:
        """The parts for a stream, while weights stay as they are."""
        return [Events(part, weight) for part, weight in zip(self._parts, self.weights(), strict=True)]

    def step(self, x: Tensor, line: Line) -> Tensor:
        """What arrives at this step (batch, outputs); the line takes x."""
        line.take(x)
        return self.due(lambda steps: line.past[steps] if steps < len(line.past) else None, x)

    def run(self, value: Tensor, line: Line) -> Tensor:
        """The same for all steps: (T, batch, inputs) to (T, batch, outputs); the line moves on."""
        steps, batch = value.shape[:2]
        length = min(self.longest, len(line.past) + steps - 1)
        past = [x.unsqueeze(0) for x in reversed(line.past[:length])]
        whole = torch.cat([value.new_zeros(length - len(past), *value.shape[1:]), *past, value])

        def ago(n: int) -> Tensor | None:
            return whole[length - n : length - n + steps].flatten(0, 1) if n <= length else None

        made = self.due(ago, value.flatten(0, 1)).view(steps, batch, self.outputs)
        known = min(len(line.past) + steps, self.longest + 1)
        line.past = [whole[-1 - n] if n < len(whole) else line.past[n - steps] for n in range(known)]
        return made

    def due(self, ago: Callable[[int], Tensor | None], like: Tensor) -> Tensor:
        """What arrives, if ``ago(n)`` (rows, inputs) was sent n steps before; None for nothing."""
        total: Tensor | None = None
        for part, weight in zip(self._parts, self.weights(), strict=True):
            sent = ago(part.steps)
            if sent is not None:
                made = part(sent, weight)
                total = made if total is None else total + made
        return like.new_zeros(len(like), self.outputs) if total is None else total
