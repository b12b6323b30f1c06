"""What each call of a traced forward does to a NIR graph that is being built."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import torch
from torch import fx, nn

from hasn.conversions.layers import FUNCTIONS, check_features, flatten, fused
from hasn.conversions.lost import lost
from hasn.conversions.refuse import refusal
from hasn.conversions.signals import Lost, Signal, Size, State, Unfollowed, leaves, reframed
from hasn.conversions.tool import Frame, Tool, frame_text
from hasn.conversions.unroll import TURNS
from hasn.conversions.verify import Place
from hasn.errors import HasnError, OptionError, ShapeError, UnsupportedError
from hasn.nodes.lookup import kind_of
from hasn.program.model import Shape

_ADDING = {operator.add, operator.iadd, torch.add}
_KEEPING = {"detach", "clone", "contiguous", "float", "double", "to", "cpu", "cuda"}


class Flow:
    """Takes fx nodes one by one, in order; every module that they call is one that the tool knows.

    Attributes:
        nodes, edges: the graph so far.
        inputs: arguments of forward that are inputs, by the name of their Input.
        arguments: all arguments of forward, in order.
        states: argument of forward -> (neuron's path, name, shape) of the state that it is.
        places: node -> the module whose values it has.
        returned: Output -> (which of the values that forward returns, its frame).
        layers: node -> the path of the layer of torch that it is.
        written: "time" or "batch" -> the number that forward is written for, where it is.
        refused: what cannot be converted.
        tool: whose modules they are.
        frame: of the inputs.
    """

    def __init__(self, root: nn.Module, tool: Tool, dt: float, shapes: dict[str | None, Shape], frame: Frame) -> None:
        self.nodes: dict[str, nir.NIRNode] = {}
        self.edges: list[tuple[str, str]] = []
        self.inputs: dict[str, str] = {}
        self.arguments: list[str] = []
        self.states: dict[str, tuple[str, str, Shape]] = {}
        self.places: dict[str, Place] = {}
        self.layers: dict[str, str] = {}
        self.returned: dict[str, tuple[int, Frame]] = {}
        self.written: dict[str, int] = {}
        self.refused: list[HasnError] = []
        self._modules = dict(root.named_modules())
        self._root = root
        self.tool = tool
        self._known = f"layers of torch.nn, {tool.name} neurons, +, flatten"
        self._dt = dt
        self._shapes = shapes
        self.frame = frame
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
        """Add what this call does, or note why it cannot be added."""
        try:
            self._values[node] = self._take[node.op](node)
        except Unfollowed:
            self._values[node] = Lost()
        except UnsupportedError as error:
            self.refused.append(error)
            self._values[node] = self._lost(node, error)

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
        name = self.tool.input_name if self.tool.input_name and not self.inputs else argument
        name = name if name not in self._modules else f"{name}_in"
        shape = self._shapes.get(argument, self._shapes.get(None)) or self._guessed(node)
        self.inputs[name] = argument
        self.nodes[name] = nir.Input(input_type=np.array(shape))
        return Signal((name,), shape, self.frame)

    def _is_state_of(self, user: fx.Node, node: fx.Node) -> bool:
        if user.op == "call_function" and user.target is operator.getitem:  # one of several states
            return bool(user.users) and all(self._is_state_of(other, user) for other in user.users)
        module = self._modules.get(str(user.target)) if user.op == "call_module" else None
        return module is not None and self.tool.is_neuron(module) and bool(user.args) and user.args[0] is not node

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
            raise refusal("", str(node.target), "a tensor that takes part in forward", wanted=self._known)
        if isinstance(value, torch.Tensor) and value.detach().any():
            raise refusal("", str(node.target), "a state that does not start at 0", way_out="Start at reset_mem().")
        return State()

    # --- layers and neurons

    def _module(self, node: fx.Node) -> Any:
        path, module = str(node.target), self._modules[str(node.target)]
        if not self.tool.knows(module):
            raise self.tool.refused(module, path)
        if self.tool.is_neuron(module):
            return self._neuron(node, path, module)
        signal = self._signal(node.args[0] if node.args else None, path)
        ahead = self._ahead(module, path, signal)
        if type(module) in self.tool.norms:
            return self._norm(node, path, module, signal)
        try:
            made = self.tool.layers[type(module)](module, path, signal.shape, ahead)
            if made is None:
                return signal
            name = self._free(path)
            self.places[name] = self._place(path, signal.frame, self._call(path))
            self.layers[name] = path
            return self._add(name, made, signal)
        except (ShapeError, UnsupportedError) as error:
            seen = self._seen(signal) if error.got == signal.shape else ""
            way_out = " ".join(filter(None, (error.way_out, seen)))
            raise refusal(
                path, error.parameter, error.message, got=error.got, wanted=error.wanted, way_out=way_out
            ) from error

    def _ahead(self, module: nn.Module, path: str, signal: Signal) -> int:
        """How many dimensions before a sample's the module counts."""
        wanted = self.tool.frames_of(module)
        if wanted and signal.frame not in wanted:
            raise refusal(
                path,
                None,
                f"{type(module).__name__} gets another tensor than it takes",
                got=frame_text((signal.frame,)),
                wanted=frame_text(wanted),
                way_out=self.tool.reframe,
            )
        return 1 if wanted else len(signal.frame)

    def _place(self, path: str, frame: Frame, call: int = 0, part: int = 0) -> Place:
        return Place(path, call, part, self.tool.layout(frame))

    def _call(self, path: str) -> int:
        """How many times the module has been called before."""
        self._calls[path] = self._calls.get(path, -1) + 1
        return self._calls[path]

    def _neuron(self, node: fx.Node, path: str, module: Any) -> Any:
        if self._call(path):
            raise refusal(
                path,
                "forward",
                "the neuron is called more than once in a step",
                way_out="Give every call a neuron of its own: each has its own membrane.",
            )
        takes, gives = self.tool.states(module)
        for name, given in [*zip(takes, node.args[1:], strict=False), *node.kwargs.items()]:
            self._check_state(path, name, given)
        signal = self._signal(node.args[0], path)
        for name, given in [*zip(takes, node.args[1:], strict=False), *node.kwargs.items()]:
            if isinstance(given, fx.Node) and given.op == "placeholder":
                self.states[str(given.target)] = (path, name, signal.shape)
        self._ahead(module, path, signal)
        piece = self.tool.neurons[type(module)](module, path, signal.shape, self._dt)
        self.nodes |= piece.nodes
        self.edges += piece.edges
        for inlet in piece.inlet:
            self._connect(signal, inlet, path)
        self.places[piece.spikes] = self._place(path, signal.frame)
        shape = piece.shape or signal.shape
        spikes = Signal((piece.spikes,), shape, signal.frame)
        if not gives:
            return spikes
        membrane = Signal((piece.membrane,), shape, signal.frame) if piece.membrane else None
        if piece.membrane:
            self.places[piece.membrane] = self._place(path, signal.frame, part=-1)
        states = [State(path, name, membrane if name == "mem" else None) for name in gives[1:]]
        return (spikes, *states)

    def _check_state(self, path: str, name: str, given: Any) -> None:
        value = self._values.get(given) if isinstance(given, fx.Node) else given
        if value is not None and not isinstance(value, Lost) and not (isinstance(value, State) and not value.path):
            raise refusal(
                path,
                name,
                "the state is computed in forward",
                wanted="an argument of forward, reset_mem(), or a hidden state",
                way_out="Give the neuron back the state it gave in the last step, unchanged.",
            )

    def _norm(self, node: fx.Node, path: str, module: Any, signal: Signal) -> Signal:
        check_features(module, signal.shape, path)
        if not signal.sources:
            raise Unfollowed
        if len(signal.sources) != 1 or not self._is_alone(node):
            raise refusal(
                path,
                None,
                "batch normalisation of a sum, or of what feeds another layer too, cannot be folded into weights",
                wanted="a Linear or a convolution before it, which feeds nothing else",
                way_out="Train without it, or put it behind the weights.",
            )
        source = signal.sources[0]
        self.nodes[source] = fused(module, self.nodes[source], path)
        self.places[source] = self._place(path, signal.frame, self._call(path))
        return signal

    def _is_alone(self, node: fx.Node) -> bool:
        """Whether nothing but this call reads what its first argument's node gives, layers without a node included."""
        before: Any = node.args[0]
        sources = self._values[before].sources
        while isinstance(before, fx.Node) and isinstance(value := self._values[before], Signal):
            if value.sources != sources:
                break
            if len(before.users) != 1:
                return False
            before = before.args[0] if before.args else None
        return True

    # --- operations

    def _function(self, node: fx.Node) -> Any:
        first = self._values.get(node.args[0]) if isinstance(node.args[0], fx.Node) else None
        if node.target is operator.getitem and isinstance(first, tuple) and isinstance(node.args[1], int):
            return first[node.args[1]]
        if node.target is operator.getitem and isinstance(first, Lost):
            return first
        if node.target is operator.getitem and isinstance(first, State) and not first.path:
            return first  # one of several states that forward takes
        if node.target is reframed:
            return self._reframed(node)
        if (node.target is getattr and node.args[1] in ("shape", "device", "dtype")) or isinstance(first, Size):
            return Size()
        if node.target in _ADDING and len(node.args) == 2 and not node.kwargs:
            return self._sum(node)
        if node.target is torch.flatten:
            return self._flatten(node)
        name = getattr(node.target, "__name__", str(node.target))
        if "dropout" in name and self._idle(node):
            return first
        raise refusal(
            "", "forward", f"{name} is no NIR node", wanted=self._known, way_out=FUNCTIONS.get(name.strip("_"), "")
        )

    def _idle(self, node: fx.Node) -> bool:
        """Whether a dropout that is called as a function does nothing."""
        training = node.args[2] if len(node.args) > 2 else node.kwargs.get("training", True)
        return training is False

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
        way_out = FUNCTIONS.get(str(node.target).strip("_"), "")
        raise refusal("", "forward", f".{node.target}() is no NIR node", wanted=self._known, way_out=way_out)

    def _reframed(self, node: fx.Node) -> Signal:
        arguments: Any = node.args
        value, path, wanted, given = arguments
        signal = self._signal(value, path)
        if signal.frame != wanted:
            raise refusal(
                path,
                None,
                "gets another tensor than it takes",
                got=frame_text((signal.frame,)),
                wanted=frame_text((wanted,)),
                way_out=self.tool.reframe,
            )
        return replace(signal, frame=given)

    def _sum(self, node: fx.Node) -> Signal:
        left, right = (self._signal(arg, "") for arg in node.args)
        if left.shape != right.shape or left.frame != right.frame:
            texts = [f"{(*signal.frame, *signal.shape)}".replace("'", "") for signal in (left, right)]
            raise refusal("", "forward", "a sum of two shapes", got=" and ".join(texts))
        return replace(left, sources=(*left.sources, *right.sources))

    def _flatten(self, node: fx.Node) -> Signal:
        signal = self._signal(node.args[0], "")
        given: dict[str, Any] = dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)) | dict(node.kwargs)
        start, end = int(given.get("start_dim", 0)), int(given.get("end_dim", -1))
        made = flatten(start, end, "", signal.shape, len(signal.frame))
        return self._add(self._free(node.name), made, signal)

    def _view(self, node: fx.Node) -> Signal:
        """``x.view(batch, -1)``, the usual way to write a flatten; ``x.view(time, batch, -1)`` in a sequence."""
        signal = self._signal(node.args[0], "")
        given: Any = node.args[1] if len(node.args) == 2 and isinstance(node.args[1], tuple | list) else node.args[1:]
        *ahead, last = given or (None,)
        size = int(np.prod(signal.shape))
        all_of_it = len(ahead) == 1 and ahead[0] == -1 and last == size
        same = len(ahead) == len(signal.frame) and all(map(self._is_size, ahead, signal.frame))
        if not (all_of_it and len(signal.frame) == 1) and not (same and last in (-1, size)):
            wanted = f"({', '.join(signal.frame)}, -1), or flatten"
            raise refusal("", "forward", f".{node.target}() is no NIR node", got=given, wanted=wanted)
        numbers = [(axis, n) for axis, n in zip(signal.frame, ahead, strict=True) if type(n) is int]
        self.written |= {axis: n for axis, n in numbers if n not in (-1, TURNS)}
        if len(signal.shape) == 1:
            return signal
        made = flatten(len(signal.frame), -1, "", signal.shape, len(signal.frame))
        return self._add(self._free(node.name), made, signal)

    def _is_size(self, given: Any, axis: str) -> bool:
        """Whether it is the size of an axis, as forward asks for it or has it written down."""
        if isinstance(given, fx.Node):
            return isinstance(self._values[given], Size)
        return given == TURNS or (given != -1 and axis in ("time", "batch"))

    # --- what goes out

    def _output(self, node: fx.Node) -> None:
        found = [self._values[given] for given in leaves(node.args[0])]
        flat = [value for item in found for value in (item if isinstance(item, tuple) else (item,))]
        if any(isinstance(value, Lost) for value in flat):
            raise Unfollowed
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
            self.returned[name] = (place, signal.frame)
            self.nodes[name] = nir.Output(output_type=np.array(signal.shape))
            self._connect(signal, name, name)

    # --- helpers

    def _signal(self, argument: Any, path: str) -> Signal:
        value = self._values.get(argument) if isinstance(argument, fx.Node) else argument
        if isinstance(value, State) and value.signal is not None:
            return value.signal
        if isinstance(value, Lost) and value.signal is None:
            raise Unfollowed
        value = value.signal if isinstance(value, Lost) else value
        if isinstance(value, Signal):
            return value
        raise refusal(
            path,
            None,
            "takes a neuron's states, not its spikes" if isinstance(value, tuple | State) else "takes no signal",
            got=repr(value) if not isinstance(value, tuple | State) else None,
            way_out="Take the spikes out of what it gives.",
        )

    def _lost(self, node: fx.Node, error: UnsupportedError) -> Lost:
        """What stands for the value of a call that was refused."""
        given = self._values.get(node.args[0]) if node.args and isinstance(node.args[0], fx.Node) else None
        signal = given if isinstance(given, Signal) else getattr(given, "signal", None)
        if not isinstance(signal, Signal) or error.got in (signal.shape, frame_text((signal.frame,))):
            return Lost()  # what does not fit gives rise to more that does not fit
        module = self._modules[str(node.target)] if node.op == "call_module" else None
        alike = module is not None and self.tool.is_neuron(module)
        return lost(node, module, signal, Lost(replace(signal, sources=()) if alike else None))

    def _add(self, name: str, node: nir.NIRNode, signal: Signal) -> Signal:
        self.nodes[name] = node
        self._connect(signal, name, name)
        return Signal((name,), kind_of(node).output_shape(node, signal.shape), signal.frame)

    def _seen(self, signal: Signal) -> str:
        """How the caller's sample is read, where the layer gets it as it is."""
        fed = bool(signal.sources) and all(isinstance(self.nodes[source], nir.Input) for source in signal.sources)
        shape = f"({', '.join((*signal.frame, *map(str, signal.shape)))})"
        return f"The network's input is read as {shape}. {self.tool.reframe}" if fed and self.tool.reframe else ""

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
