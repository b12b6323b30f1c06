"""What each call of a traced forward does to a NIR graph that is being built."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import torch
from torch import fx, nn

from hasn.conversions.refuse import refusal
from hasn.conversions.snntorch.layers import BATCH_NORMS, LAYERS, WAYS_OUT, Shape, flatten, fused
from hasn.conversions.snntorch.neurons import is_neuron, neuron_piece
from hasn.conversions.snntorch.settings import FORMS, unknown_neuron
from hasn.conversions.snntorch.unroll import TURNS
from hasn.conversions.verify import Place
from hasn.errors import OptionError
from hasn.nodes.lookup import kind_of


@dataclass(frozen=True)
class Signal:
    """The sum of what some nodes give."""

    sources: tuple[str, ...]
    shape: Shape


@dataclass(frozen=True)
class State:
    """A neuron's state: an argument of forward (``path`` empty), a tensor of zeros, or what a neuron gives."""

    path: str = ""
    name: str = ""
    signal: Signal | None = None  # where NIR has it as a signal


class Size:
    """Something of a tensor's shape: only ``x.view(x.size(0), -1)`` asks for it."""


_ADDING = {operator.add, operator.iadd, torch.add}
_KEEPING = {"detach", "clone", "contiguous", "float", "double", "to", "cpu", "cuda"}
_KNOWN = "layers of torch.nn, snnTorch neurons, +, flatten"


class Flow:
    """Takes fx nodes one by one, in order.

    Attributes:
        nodes, edges: the graph so far.
        inputs: arguments of forward that are inputs, by the name of their Input.
        arguments: all arguments of forward, in order.
        states: argument of forward -> (neuron's path, name, shape) of the state that it is.
        places: node -> the module whose values it has.
        returned: Output -> which of the tensors that forward returns.
        batch: the number of samples that forward is written for, where it is.
    """

    def __init__(self, root: nn.Module, dt: float, shapes: dict[str | None, Shape]) -> None:
        self.nodes: dict[str, nir.NIRNode] = {}
        self.edges: list[tuple[str, str]] = []
        self.inputs: dict[str, str] = {}
        self.arguments: list[str] = []
        self.states: dict[str, tuple[str, str, Shape]] = {}
        self.places: dict[str, Place] = {}
        self.returned: dict[str, int] = {}
        self.batch: int | None = None
        self._modules = dict(root.named_modules())
        self._root = root
        self._dt = dt
        self._shapes = shapes
        self._values: dict[fx.Node, Any] = {}
        self._calls: dict[str, int] = {}
        self._take: dict[str, Callable[[fx.Node], Any]] = {
            "placeholder": self._argument,
            "get_attr": self._attribute,
            "call_module": self._module,
            "call_function": self._function,
            "call_method": self._method,
            "output": self._output,
        }

    def take(self, node: fx.Node) -> None:
        """Add what this call does."""
        self._values[node] = self._take[node.op](node)

    @property
    def unused_shapes(self) -> list[str]:
        """Names for which a shape was given and that forward does not take as inputs."""
        return sorted(name for name in self._shapes if name is not None and name not in self.inputs.values())

    def drop_unread_thresholds(self) -> None:
        """Take out the spikes of neurons whose membrane alone is read (``reset_mechanism="none"``)."""
        read = {source for source, _ in self.edges}
        unread = {name for name, node in self.nodes.items() if isinstance(node, nir.Threshold) and name not in read}
        self.nodes = {name: node for name, node in self.nodes.items() if name not in unread}
        self.edges = [edge for edge in self.edges if edge[1] not in unread]

    # --- what comes in

    def _argument(self, node: fx.Node) -> Any:
        argument = str(node.target)
        self.arguments.append(argument)
        as_state = [self._is_state_of(user, node) for user in node.users]
        if all(as_state):  # also where it is not used at all
            return State()
        if any(as_state):
            raise refusal("", str(node.target), "is both a state and an input", wanted="one of them")
        name = argument if argument not in self._modules else f"{argument}_in"
        shape = self._shapes.get(argument, self._shapes.get(None)) or self._guessed(node)
        self.inputs[name] = argument
        self.nodes[name] = nir.Input(input_type=np.array(shape))
        return Signal((name,), shape)

    def _is_state_of(self, user: fx.Node, node: fx.Node) -> bool:
        module = self._modules.get(str(user.target)) if user.op == "call_module" else None
        return module is not None and is_neuron(module) and bool(user.args) and user.args[0] is not node

    def _guessed(self, node: fx.Node) -> Shape:
        """The input's shape where a Linear takes it."""
        for user in node.users:
            module = self._modules.get(str(user.target)) if user.op == "call_module" else None
            if isinstance(module, nn.Linear):
                return (module.in_features,)
        raise OptionError(
            f"the shape of the input '{node.target}' is not known",
            parameter="input_shape",
            wanted="integers, without time and batch",
            way_out="Pass input_shape=(channels, height, width), or whatever one sample of one step is.",
        )

    def _attribute(self, node: fx.Node) -> State:
        value: Any = self._root
        for part in str(node.target).split("."):
            value = getattr(value, part)
        if not all(self._is_state_of(user, node) for user in node.users):
            raise refusal("", str(node.target), "a tensor that takes part in forward", wanted=_KNOWN)
        if isinstance(value, torch.Tensor) and value.detach().any():
            raise refusal("", str(node.target), "a state that does not start at 0", way_out="Start at reset_mem().")
        return State()

    # --- layers and neurons

    def _module(self, node: fx.Node) -> Any:
        path, module = str(node.target), self._modules[str(node.target)]
        if is_neuron(module):
            return self._neuron(node, path, module)
        signal = self._signal(node.args[0], path)
        if isinstance(module, BATCH_NORMS):
            return self._norm(node, path, module, signal)
        if type(module) not in LAYERS:
            raise refusal(
                path,
                None,
                f"{type(module).__name__} cannot be said in NIR",
                wanted=f"one of {', '.join(kind.__name__ for kind in LAYERS)}, BatchNorm behind weights",
                way_out=WAYS_OUT.get(type(module).__name__, ""),
            )
        made = LAYERS[type(module)](module, path, signal.shape)
        if made is None:
            return signal
        name = self._free(path)
        self.places[name] = Place(path, self._call(path))
        return self._add(name, made, signal)

    def _call(self, path: str) -> int:
        """How many times the module has been called before."""
        self._calls[path] = self._calls.get(path, -1) + 1
        return self._calls[path]

    def _neuron(self, node: fx.Node, path: str, module: Any) -> Any:
        if type(module) not in FORMS:
            raise unknown_neuron(module, path)
        if self._call(path):
            raise refusal(
                path,
                "forward",
                "the neuron is called more than once in a step",
                way_out="Give every call a neuron of its own: each has its own membrane.",
            )
        form = FORMS[type(module)]
        for name, given in [*zip(form.takes, node.args[1:], strict=False), *node.kwargs.items()]:
            self._check_state(path, name, given)
        signal = self._signal(node.args[0], path)
        for name, given in [*zip(form.takes, node.args[1:], strict=False), *node.kwargs.items()]:
            if isinstance(given, fx.Node) and given.op == "placeholder":
                self.states[str(given.target)] = (path, name, signal.shape)
        piece = neuron_piece(module, path, signal.shape, self._dt)
        self.nodes |= piece.nodes
        self.edges += piece.edges
        for inlet in piece.inlet:
            self._connect(signal, inlet, path)
        self.places[piece.spikes] = Place(path)
        spikes = Signal((piece.spikes,), signal.shape)
        if module.init_hidden and not module.output:
            return spikes
        membrane = Signal((piece.membrane,), signal.shape) if piece.membrane else None
        if piece.membrane:
            self.places[piece.membrane] = Place(path, part=-1)
        states = [State(path, name, membrane if name == "mem" else None) for name in form.gives[1:]]
        return (spikes, *states)

    def _check_state(self, path: str, name: str, given: Any) -> None:
        value = self._values.get(given) if isinstance(given, fx.Node) else given
        if value is not None and not (isinstance(value, State) and not value.path):
            raise refusal(
                path,
                name,
                "the state is computed in forward",
                wanted="an argument of forward, reset_mem(), or a hidden state",
                way_out="Give the neuron back the state it gave in the last step, unchanged.",
            )

    def _norm(self, node: fx.Node, path: str, module: Any, signal: Signal) -> Signal:
        before = node.args[0]
        alone = isinstance(before, fx.Node) and len(before.users) == 1 and len(signal.sources) == 1
        source = signal.sources[0]
        self.nodes[source] = fused(module, self.nodes[source] if alone else nir.Input(np.array([1])), path)
        self.places[source] = Place(path, self._call(path))
        return signal

    # --- operations

    def _function(self, node: fx.Node) -> Any:
        first = self._values.get(node.args[0]) if isinstance(node.args[0], fx.Node) else None
        if node.target is operator.getitem and isinstance(first, tuple) and isinstance(node.args[1], int):
            return first[node.args[1]]
        if (node.target is getattr and node.args[1] == "shape") or isinstance(first, Size):
            return Size()
        if node.target in _ADDING and len(node.args) == 2 and not node.kwargs:
            return self._sum(node)
        if node.target is torch.flatten:
            return self._flatten(node)
        raise refusal("", "forward", f"{getattr(node.target, '__name__', node.target)} is no NIR node", wanted=_KNOWN)

    def _method(self, node: fx.Node) -> Any:
        if node.target in _KEEPING and isinstance(node.args[0], fx.Node):
            return self._values[node.args[0]]
        if node.target == "flatten":
            return self._flatten(node)
        if node.target == "size":
            return Size()
        if node.target in ("view", "reshape"):
            return self._view(node)
        if node.target in ("add", "add_") and len(node.args) == 2 and not node.kwargs:
            return self._sum(node)
        raise refusal("", "forward", f".{node.target}() is no NIR node", wanted=_KNOWN)

    def _sum(self, node: fx.Node) -> Signal:
        left, right = (self._signal(arg, "") for arg in node.args)
        if left.shape != right.shape:
            raise refusal("", "forward", "a sum of two shapes", got=f"{left.shape} and {right.shape}")
        return Signal((*left.sources, *right.sources), left.shape)

    def _flatten(self, node: fx.Node) -> Signal:
        signal = self._signal(node.args[0], "")
        given: dict[str, Any] = dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)) | dict(node.kwargs)
        made = flatten(int(given.get("start_dim", 0)), int(given.get("end_dim", -1)), "", signal.shape)
        return self._add(self._free(node.name), made, signal)

    def _view(self, node: fx.Node) -> Signal:
        """``x.view(batch, -1)``, the usual way to write a flatten."""
        sizes = node.args[1] if len(node.args) == 2 and isinstance(node.args[1], tuple | list) else node.args[1:]
        whole = len(sizes) == 2 and sizes[1] == -1  # type: ignore[arg-type]
        if not whole or not (isinstance(sizes[0], fx.Node) or sizes[0] != -1):
            raise refusal(
                "", "forward", f".{node.target}() is no NIR node", got=sizes, wanted="(batch, -1), or flatten"
            )
        signal = self._signal(node.args[0], "")
        if isinstance(sizes[0], int) and sizes[0] != TURNS:
            self.batch = sizes[0]
        if len(signal.shape) == 1:
            return signal
        return self._add(self._free(node.name), flatten(1, -1, "", signal.shape), signal)

    # --- what goes out

    def _output(self, node: fx.Node) -> None:
        found = [self._values[given] for given in _leaves(node.args[0])]
        flat = [value for item in found for value in (item if isinstance(item, tuple) else (item,))]
        signals = [(i, value) for i, value in enumerate(flat) if isinstance(value, Signal)]
        if not signals:  # no spikes: perhaps the membrane of a neuron that never resets
            signals = [(i, v.signal) for i, v in enumerate(flat) if isinstance(v, State) and v.signal is not None]
        if not signals:
            raise refusal(
                "",
                "forward",
                "returns no spikes, and the membrane of a neuron that resets is no NIR signal",
                way_out="Return the spikes: a Recording has the voltages.",
            )
        for i, (place, signal) in enumerate(signals):
            name = self._free("output" if i == 0 else f"output_{i}")
            self.returned[name] = place
            self.nodes[name] = nir.Output(output_type=np.array(signal.shape))
            self._connect(signal, name, name)

    # --- helpers

    def _signal(self, argument: Any, path: str) -> Signal:
        value = self._values.get(argument) if isinstance(argument, fx.Node) else argument
        if isinstance(value, State) and value.signal is not None:
            return value.signal
        if isinstance(value, Signal):
            return value
        raise refusal(
            path,
            None,
            "takes a neuron's states, not its spikes" if isinstance(value, tuple | State) else "takes no signal",
            got=repr(value) if not isinstance(value, tuple | State) else None,
            way_out="Take the spikes out of what the neuron gives, or set init_hidden=True and output=False.",
        )

    def _add(self, name: str, node: nir.NIRNode, signal: Signal) -> Signal:
        self.nodes[name] = node
        self._connect(signal, name, name)
        return Signal((name,), kind_of(node).output_shape(node, signal.shape))

    def _connect(self, signal: Signal, target: str, path: str) -> None:
        for source in signal.sources:
            if (source, target) in self.edges:
                raise refusal(path, None, f"adds '{source}' to itself", way_out="Double the weights instead.")
            self.edges.append((source, target))

    def _free(self, name: str) -> str:
        """``name``, or with a number behind it where a layer is used twice."""
        count, free = 1, name
        while free in self.nodes:
            count += 1
            free = f"{name}_{count}"
        return free


def _leaves(value: Any) -> list[fx.Node]:
    """The calls in what forward returns."""
    if isinstance(value, fx.Node):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list | tuple) else []
