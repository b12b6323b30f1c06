"""A forward that loops over time, as tutorials write it: followed turn by turn, and its first turn taken as one step.

That the other turns do the same is not looked at here: the comparison with hasn runs the whole loop.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from torch import fx, nn

from hasn.conversions.refuse import refusal

#: What an argument of forward has in each place of its shape, as far as forward asks: the turns of a loop over it.
#: No number that anybody writes down as a batch.
TURNS = 17
#: How an argument lies: every step the same, (T, batch, ...) or (batch, T, ...).
Lies: TypeAlias = Literal["constant", "time first", "batch first"]

#: Methods that leave a tensor's values and the number of its axes as they are.
MOVING = ("transpose", "permute", "contiguous", "float", "to", "clone", "detach")

_FORM = """Hand over one step as a module of its own:
    class Step(nn.Module):
        def __init__(self, net): super().__init__(); self.net = net
        def forward(self, x{arguments}):
            spk1{one} = self.net.lif1(self.net.fc1(x){give_one})
            spk2{two} = self.net.lif2(self.net.fc2(spk1){give_two})
            return spk2{arguments}
and convert Step(net)."""


def form(state: str = "") -> str:
    """The step that is converted in place of a loop, for neurons that are passed ``state``, or keep theirs."""
    one, two = (f", {state}{i}" if state else "" for i in (1, 2))
    return _FORM.format(arguments=one + two, one=one, two=two, give_one=one, give_two=two)


class Given(fx.Proxy):
    """An argument of forward that knows a shape, where forward asks for one."""

    def size(self, axis: int | None = None) -> Any:
        """As a tensor's."""
        return self.shape if axis is None else TURNS

    @property
    def shape(self) -> tuple[int, ...]:
        """TURNS in every place."""
        return (TURNS,) * self.dim()

    @property
    def ndim(self) -> int:
        """As a tensor's."""
        return self.dim()

    def dim(self) -> int:
        """As a tensor's."""
        rank: int = self.tracer.rank  # type: ignore[attr-defined]
        return rank

    @property
    def device(self) -> torch.device:
        """Where zeros are made for states."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Of the zeros that are made for states."""
        return torch.float32

    def __len__(self) -> int:
        return TURNS

    def __iter__(self) -> Iterator[Any]:
        return (self.tracer.create_proxy("call_function", operator.getitem, (self, t), {}) for t in range(TURNS))


@dataclass
class Loop:
    """What forward's loop does.

    Attributes:
        steps: its turns.
        lies: argument -> how it lies.
        gives: what forward returns, in order: (kind, axis of the steps) of a stack, a list, or the last step's value.
        whole: modules that are called once for all steps of an input.
    """

    steps: int
    lies: dict[str, Lies] = field(default_factory=dict)
    gives: list[tuple[Literal["stack", "list", "last"], int]] = field(default_factory=list)
    whole: set[str] = field(default_factory=set)


def first_turn(
    traced: fx.Graph, modules: dict[str, nn.Module], is_neuron: Callable[[nn.Module], bool], form: str
) -> tuple[fx.Graph, Loop | None]:
    """The calls of one step, and the loop that they were taken from; the graph as it is where there is none.

    Args:
        traced: every call of forward.
        modules: by path.
        is_neuron: whether a module keeps something from step to step.
        form: what to write instead, for refusals.

    Raises:
        UnsupportedError: the neurons are not called equally often, or forward returns something over all steps.
    """
    neurons = [str(n.target) for n in traced.nodes if n.op == "call_module" and is_neuron(modules[str(n.target)])]
    turns = Counter(neurons)
    if not turns or max(turns.values()) == 1:
        return traced, None
    if len(set(turns.values())) > 1:
        counts = ", ".join(f"'{path}' {n} times" for path, n in turns.items())
        raise refusal("", "forward", "its neurons are not called equally often", got=counts, way_out=form)
    calls = [n for n in traced.nodes if n.op == "call_module" and str(n.target) in turns]
    fed: dict[str, set[str]] = {}
    for call in calls:
        if fed.setdefault(str(call.target), _fed_by(call)) != _fed_by(call):
            raise refusal(
                str(call.target),
                "forward",
                "the neuron is called more than once, and not with what the same layers give",
                wanted="a loop over time, or one call",
                way_out="Give every call a neuron of its own: each has its own membrane.",
            )
    return _Cut(traced, modules, is_neuron, form, next(iter(turns.values()))).made()


def _fed_by(call: fx.Node) -> set[str]:
    """The modules and arguments of forward that a neuron's input is made of, the nearest ones."""
    found: set[str] = set()
    left = [call.args[0]] if call.args else []
    while left:
        node = left.pop()
        if not isinstance(node, fx.Node):
            continue
        if node.op in ("call_module", "placeholder"):
            found.add(str(node.target))
        else:
            left += node.all_input_nodes
    return found


class _Cut:
    """One step out of the unrolled calls."""

    def __init__(
        self,
        traced: fx.Graph,
        modules: dict[str, nn.Module],
        is_neuron: Callable[[nn.Module], bool],
        form: str,
        steps: int,
    ) -> None:
        self._traced, self._modules, self._is_neuron, self._form = traced, modules, is_neuron, form
        self._loop = Loop(steps)
        self._calls: dict[str, list[fx.Node]] = {}
        for node in traced.nodes:
            if node.op == "call_module":
                self._calls.setdefault(str(node.target), []).append(node)

    def made(self) -> tuple[fx.Graph, Loop]:
        """The step's own graph."""
        (output,) = [node for node in self._traced.nodes if node.op == "output"]
        chosen = self._chosen(output.args[0])
        needed = set(chosen)
        for node in reversed(self._traced.nodes):
            if node in needed:
                needed.update(node.all_input_nodes)
        late = [path for path, calls in self._calls.items() if self._is_neuron(self._modules[path])
                and needed.intersection(calls[1:])]  # fmt: skip
        if late:
            raise refusal(
                "",
                "forward",
                "what it returns for the first step needs later steps too",
                got=", ".join(f"a later call of '{path}'" for path in late),
                wanted="the steps in order",
                way_out=self._form,
            )
        graph = fx.Graph()
        copies: dict[fx.Node, fx.Node] = {}
        for node in self._traced.nodes:
            if node.op == "placeholder" or node in needed:
                source = self._same(node)
                copies[node] = graph.node_copy(node, copies.__getitem__) if source is None else copies[source]
        graph.output(tuple(copies[node] for node in chosen))
        for node in self._traced.nodes:
            if node.op == "placeholder":
                self._loop.lies.setdefault(str(node.target), "constant")
        return graph, self._loop

    def _sequence(self, node: Any) -> bool:
        """Whether it is an input, or made of inputs without a neuron between: it may hold all steps."""
        if not isinstance(node, fx.Node) or node.op == "placeholder":
            return isinstance(node, fx.Node)
        if (
            node.op == "get_attr"
            or node.target in (getattr, "size")
            or (node.op == "call_module" and self._is_neuron(self._modules[str(node.target)]))
        ):
            return False
        return bool(node.all_input_nodes) and all(map(self._sequence, node.all_input_nodes))

    def _same(self, node: fx.Node) -> fx.Node | None:
        """The node that this one is at one step: an input's step, or its axes in another order, is the input."""
        source = node.args[0] if node.args else None
        if not isinstance(source, fx.Node) or not self._sequence(source):
            return None
        lies: Lies
        if node.op == "call_function" and node.target is operator.getitem:
            first, *rest = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
            if isinstance(first, int):
                lies = "time first"
            elif first == slice(None) and rest and isinstance(rest[0], int):
                lies = "batch first"
            else:
                return None
            return self._lying(source, lies)
        axes = node.args[1:] if len(node.args) > 2 else node.args[1] if len(node.args) == 2 else ()
        if node.op == "call_method" and node.target in ("transpose", "permute") and isinstance(axes, tuple):
            swapped = sorted(axes) == [0, 1] if node.target == "transpose" else axes[:2] == (1, 0)
            return self._lying(source, "batch first") if swapped else None
        return None

    def _lying(self, source: fx.Node, lies: Lies) -> fx.Node:
        for node in self._behind(source):
            if node.op == "placeholder":
                self._loop.lies.setdefault(str(node.target), lies)
            elif node.op == "call_module":
                self._loop.whole.add(str(node.target))
        return source

    def _behind(self, node: fx.Node) -> Iterator[fx.Node]:
        yield node
        for source in node.all_input_nodes:
            yield from self._behind(source)

    def _chosen(self, value: Any) -> list[fx.Node]:
        """The first turn's part of what forward returns."""
        if isinstance(value, dict):
            value = tuple(value.values())
        if isinstance(value, list) and len(value) == self._loop.steps:
            self._loop.gives.append(("list", 0))
            return [self._one(value[0])]
        if isinstance(value, tuple | list):
            return [node for item in value for node in self._chosen(item)]
        if not isinstance(value, fx.Node):
            return []
        axis: Any = value.args[1] if len(value.args) > 1 else value.kwargs.get("dim", 0)
        stacked = self._stacked(value, axis)
        if isinstance(stacked, list | tuple) and len(stacked) == self._loop.steps:
            self._loop.gives.append(("stack", int(axis)))
            return [self._one(stacked[0])]
        self._loop.gives.append(("last", 0))
        return [self._first_of(value)]

    def _stacked(self, node: fx.Node, axis: Any) -> Any:
        """The values that are stacked along an axis, by stack or by cat of what has that axis already."""
        parts = node.args[0] if node.args else None
        if node.target in (torch.cat, torch.concat) and isinstance(parts, list | tuple):
            made = [part.args for part in parts if isinstance(part, fx.Node) and part.target == "unsqueeze"]
            return [args[0] for args in made if args[1:] == (axis,)]
        return parts if node.target is torch.stack else None

    def _one(self, value: Any) -> fx.Node:
        if isinstance(value, fx.Node):
            return value
        raise refusal("", "forward", "returns lists of something else than tensors", way_out=self._form)

    def _first_of(self, node: fx.Node) -> fx.Node:
        """The same value in the first turn, for what the last turn gives."""
        path = str(node.target)
        if node.op == "call_module" and node is self._calls[path][-1]:
            return self._calls[path][0]
        source = node.args[0] if node.target is operator.getitem else None
        if isinstance(source, fx.Node) and source.op == "call_module" and source is self._calls[str(source.target)][-1]:
            first = self._calls[str(source.target)][0]
            found = [user for user in first.users if user.target is operator.getitem and user.args[1] == node.args[1]]
            if found:
                return found[0]
        if str(node.target).startswith("_tensor_constant"):  # fx follows no writing into a tensor
            raise refusal(
                "",
                "forward",
                "writes the steps into a tensor",
                wanted="a list that they are appended to, and torch.stack",
                way_out=f"Or: {self._form}",
            )
        raise refusal(
            "",
            "forward",
            f"returns {getattr(node.target, '__name__', node.target)} over all steps",
            wanted="the spikes of every step (torch.stack of a list, or the list), or of the last one",
            way_out=f"Return the list of spikes, and sum or average what hasn gives. Or: {self._form}",
        )


def arranged(x: torch.Tensor, lies: Lies) -> torch.Tensor:
    """(T, batch, *shape) as forward takes it; a constant is the first step's."""
    return x[0] if lies == "constant" else x if lies == "time first" else x.transpose(0, 1)


def collected(loop: Loop, found: list[torch.Tensor], place: int) -> torch.Tensor | None:
    """What forward has returned at ``place`` as (T, batch, *shape); None: it is not every step's."""
    widths = [loop.steps if kind == "list" else 1 for kind, _ in loop.gives]
    if sum(widths) != len(found) or loop.gives[place][0] == "last":
        return None
    at, (kind, axis) = sum(widths[:place]), loop.gives[place]
    return torch.stack(found[at : at + loop.steps]) if kind == "list" else found[at].movedim(axis, 0)
