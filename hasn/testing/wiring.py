"""How a random graph grows: sources, chains of stateless nodes, populations, feedback, outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import nir
import numpy as np
from hypothesis import strategies as st

from hasn.testing.graphs import DT, Draw, Shape, inp, out

T = TypeVar("T")
#: NIR's own, never held after a spike; and all that there are.
PLAIN = ("LIF", "IF", "CubaLIF", "LI", "I", "CubaLI", "Threshold")
KINDS = (*PLAIN, "AdaptiveLIF", "ResonateFire")
#: What convolutions and pools take stands twice: few paths lead to them.
SHAPES: tuple[Shape, ...] = ((3,), (2, 4, 3), (1,), (4,), (2, 4, 3), (2, 3))


class DrawFn(Protocol):
    """What hypothesis hands to a composite strategy."""

    def __call__(self, strategy: st.SearchStrategy[T]) -> T: ...


@dataclass(frozen=True)
class Part:
    """Something that takes ``given`` and sends ``result``: an Input, a population, or a nested graph with one."""

    name: str
    given: Shape
    result: Shape


class Wiring:
    """A graph that grows; every choice is hypothesis', of these kinds of population."""

    def __init__(self, draw: DrawFn, kinds: tuple[str, ...] = KINDS) -> None:
        self.draw, self.kinds = draw, kinds
        self.numbers = Draw(draw(st.integers(0, 9999)))
        self.nodes: dict[str, nir.NIRNode] = {}
        self.edges: list[tuple[str, str]] = []
        self.sources: list[Part] = []
        self.parts: list[Part] = []

    def graph(self) -> nir.NIRGraph:
        """The graph so far."""
        return nir.NIRGraph(dict(self.nodes), list(self.edges), type_check=False)

    def choose(self, *options: Any) -> Any:
        """One of these; earlier ones are the simpler."""
        return options[self.draw(st.integers(0, len(options) - 1))]

    def add(self, node: nir.NIRNode) -> str:
        """Put a node in, under a name whose place in the alphabet is random: the order of a search depends on it."""
        name = f"{self.choose(*'mabyz')}{len(self.nodes)}"
        self.nodes[name] = node
        return name

    def join(self, source: str, target: str, shape: Shape) -> None:
        """An edge; where there is one already, a Scale goes between."""
        if (source, target) in self.edges:
            middle = self.add(nir.Scale(self.numbers.between(-0.5, 1, shape)))
            self.edges.append((source, middle))
            source = middle
        self.edges.append((source, target))

    # --- what a graph is made of

    def inputs(self, count: int) -> None:
        """Inputs of some shape."""
        for _ in range(count):
            shape = self.choose(*SHAPES)
            self.sources.append(Part(self.add(inp(*shape)), shape, shape))

    def population(self) -> None:
        """A population behind one or two paths; sometimes in a graph of its own, or in two."""
        source = self.choose(*reversed(self.sources))
        name, shape = self.path(source.name, source.result)
        depth = self.choose(0, 0, 0, 1, 2)
        node, result = self.neuron(shape), shape
        for _ in range(depth):
            node, result = self.nested(node, shape, result)
        part = Part(self.add(node), shape, result)
        self.join(name, part.name, shape)
        if self.choose(False, True):
            self.connect(self.choose(*self.sources), part)
        self.sources.append(part)
        self.parts.append(part)

    def feedback(self) -> None:
        """A path from a population to itself or to one before it."""
        target = self.choose(*self.parts)
        self.connect(self.choose(*self.parts[self.parts.index(target) :]), target)

    def outputs(self, count: int) -> None:
        """Outputs of the last population, and of anything else; some of a sum, one perhaps of nothing."""
        for i in range(count):
            source = self.sources[-1] if i == 0 else self.choose(*self.sources)
            name, shape = (
                self.path(source.name, source.result) if self.choose(False, True) else (source.name, source.result)
            )
            output = Part(self.add(out(*shape)), shape, shape)
            self.join(name, output.name, shape)
            if self.choose(False, False, True):
                self.connect(self.choose(*self.sources), output)
        if self.choose(False, False, False, True):
            self.add(out(2))

    # --- neurons

    def neuron(self, shape: Shape) -> nir.NIRNode:
        """A population of any kind, each neuron with parameters of its own."""
        kind = self.choose(*self.kinds)
        if kind == "Threshold":
            return nir.Threshold(self.numbers.between(0.1, 0.6, shape))
        metadata: dict[str, Any] = {}
        if self.choose(False, False, True):
            metadata["v_init"] = self.choose(0.37, self.numbers.between(-0.5, 1.6, shape))
        if self.choose(False, False, True) and "F" in kind and kind != "ResonateFire":
            metadata["reset"] = self.choose("zero", "subtract")
        if self.kinds != PLAIN and self.choose(False, False, True) and "F" in kind and kind != "ResonateFire":
            metadata["refractory"] = self.choose(1e-3, 4e-3, 1e-3 * self.numbers.rng.integers(0, 4, shape))
        if kind == "ResonateFire":
            metadata["reset"] = "zero"  # it has no other, whatever the call says
        return self.numbers.neuron(kind, shape, metadata=metadata)

    def nested(self, node: nir.NIRNode, given: Shape, result: Shape) -> tuple[nir.NIRNode, Shape]:
        """``node`` in a graph of its own, perhaps with a path behind it, perhaps fed back on itself."""
        inner = Wiring.__new__(Wiring)
        inner.__dict__.update(self.__dict__, nodes={}, edges=[], sources=[], parts=[])
        first, middle = inner.add(inp(*given)), inner.add(node)
        inner.join(first, middle, given)
        if inner.choose(False, True):
            inner.connect(Part(middle, given, result), Part(middle, given, result))
        name, shape = inner.path(middle, result)
        inner.join(name, inner.add(out(*shape)), shape)
        return inner.graph(), shape

    # --- paths

    def path(self, name: str, shape: Shape) -> tuple[str, Shape]:
        """Up to three stateless nodes behind ``name``, whatever shape comes out."""
        for _ in range(self.choose(1, 0, 2, 3)):
            node, after = self.stateless(shape)
            behind = self.add(node)
            self.join(name, behind, shape)
            name, shape = behind, after
        return name, shape

    def connect(self, source: Part, target: Part) -> None:
        """A path from one part to another's shape, if there is a simple one."""
        name, shape = source.name, source.result
        if shape == target.given and self.choose(False, True):
            return self.join(name, target.name, shape)
        if self.choose(False, False, True):
            delay = self.add(self.delay(shape))
            self.join(name, delay, shape)
            name = delay
        if len(target.given) > 1 and shape != target.given:
            return None if name == source.name else self.drop(name)
        if len(shape) > 1 and shape != target.given:
            flat = self.add(nir.Flatten({"input": np.array(shape)}, 0, -1))
            self.join(name, flat, shape)
            name, shape = flat, (int(np.prod(shape)),)
        last = self.add(self.matrix(target.given[-1], shape))
        self.join(name, last, shape)
        self.join(last, target.name, target.given)
        return None

    def drop(self, name: str) -> None:
        """Take back a node that leads nowhere."""
        del self.nodes[name]
        self.edges = [edge for edge in self.edges if name not in edge]

    def delay(self, shape: Shape) -> nir.NIRNode:
        """A delay for each element, or one for all."""
        steps = self.choose(np.full(shape, 2), self.numbers.rng.integers(0, 5, shape))
        return nir.Delay(steps * DT)

    def matrix(self, outputs: int, shape: Shape) -> nir.NIRNode:
        """Affine, Linear or SparseLinear over the last dimension; the leading ones are blocks."""
        if len(shape) == 1 and self.choose(False, False, True):
            how = {"mean": self.choose(0.25, 0.0, -0.1), "dtype": self.choose(None, "float32", "int8")}
            return self.numbers.sparse(outputs, *shape, longest=self.choose(0, 3), **how)
        weight = self.numbers.weight(*shape[:-1], outputs, shape[-1], mean=self.choose(0.25, 0.0, -0.1))
        if self.choose(True, False):
            return nir.Linear(weight)
        return nir.Affine(weight, self.numbers.between(-0.1, 0.4, weight.shape[:-1]))

    def stateless(self, shape: Shape) -> tuple[nir.NIRNode, Shape]:
        """A stateless node that takes ``shape``, and the shape that it gives."""
        kinds = ["matrix", "scale", "delay", "threshold"]
        kinds += ["flatten"] if len(shape) > 1 else []
        kinds += ["conv1d"] if len(shape) == 2 else []
        kinds += ["conv2d", "pool", "conv2d", "pool"] if len(shape) == 3 else []
        kind = self.choose(*kinds)
        if kind == "matrix":
            outputs = self.choose(3, 1, 5)
            return self.matrix(outputs, shape), (*shape[:-1], outputs)
        if kind == "flatten":
            start = self.choose(*range(len(shape)))
            return nir.Flatten({"input": np.array(shape)}, start, -1), (*shape[:start], int(np.prod(shape[start:])))
        if kind in ("conv1d", "conv2d", "pool"):
            return self.windows(kind, shape)
        if kind == "delay":
            return self.delay(shape), shape
        low, high = (0.1, 0.6) if kind == "threshold" else (-0.5, 1.5)
        values = self.numbers.between(low, high, shape)
        return (nir.Threshold(values) if kind == "threshold" else nir.Scale(values)), shape

    def windows(self, kind: str, shape: Shape) -> tuple[nir.NIRNode, Shape]:
        """A convolution or a pool whose windows fit."""
        sides = shape[1:]
        kernel = tuple(self.choose(*range(1, min(3, side) + 1)) for side in sides)
        stride = tuple(self.choose(1, 2) for _ in sides)
        padding = tuple(self.choose(*range(side // 2 + 1)) for side in kernel)
        if kind == "pool":
            pool = self.choose(nir.SumPool2d, nir.AvgPool2d)
            node = pool(np.array(kernel), np.array(stride), np.array(padding))
            return node, (shape[0], *_spans(sides, kernel, stride, padding, (1, 1)))
        groups = self.choose(*(g for g in range(1, shape[0] + 1) if shape[0] % g == 0))
        channels = groups * self.choose(1, 2)
        dilation = tuple(self.choose(1, 2) if (k - 1) * 2 < side else 1 for k, side in zip(kernel, sides, strict=True))
        how: dict[str, Any] = {"groups": groups, "dilation": dilation, "stride": stride, "padding": padding}
        after = (channels, *_spans(sides, kernel, stride, padding, dilation))
        if self.choose(False, False, True):
            how |= {"stride": 1, "padding": "same"}
            after = (channels, *sides)
        if kind == "conv1d":
            how = {key: value[0] if isinstance(value, tuple) else value for key, value in how.items()}
            return self.numbers.conv1d(channels, shape[0], kernel[0], **how), after
        return self.numbers.conv2d(channels, shape[0], kernel, **how), after


def _spans(sides: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape) -> Shape:
    """Torch's formula for how many windows fit."""
    steps = zip(sides, kernel, stride, padding, dilation, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in steps)
