"""A torch module as a NIR graph: torch.fx follows its forward, and every call becomes nodes and edges."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import nir
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy

from hasn.conversions.flow import Flow
from hasn.conversions.lost import joined
from hasn.conversions.refuse import refusal
from hasn.conversions.running import looped
from hasn.conversions.signals import reframed
from hasn.conversions.tool import BATCH, Frame, Tool, frame_text
from hasn.conversions.unroll import MOVING, Given, Loop, first_turn
from hasn.conversions.verify import Source, copied, pruned, require_plain, settled, verified
from hasn.errors import HasnError, InputError, OptionError
from hasn.finding import raise_errors
from hasn.ir.check import check
from hasn.ir.pruned import mark
from hasn.ir.timestep import check_dt
from hasn.ir.typed import with_types
from hasn.program.model import Shape

#: The input's frame, and which module says so -> the shape of each argument by name; None stands for the only one.
Shapes: TypeAlias = Callable[[Frame, str], dict[str | None, Shape]]

_LYING: dict[str, Frame] = {"constant": BATCH, "time first": ("time", "batch"), "batch first": ("batch", "time")}
_UNPROVED = "a loop over time is taken from its first turn, and only a run proves that the others do the same"


def from_traced(
    module: nn.Module, tool: Tool, dt: float, shapes: Shapes, ranks: tuple[int, int], verify: bool
) -> nir.NIRGraph:
    """A network of ``tool``'s as a checked graph with ``metadata["dt"]``.

    Args:
        module: the network; not changed.
        tool: how to read it.
        dt: seconds a step.
        shapes: of the arguments.
        ranks: dimensions that an argument has, where forward asks; the second where forward cannot do with the first.
        verify: compare it with the module (:mod:`hasn.conversions.verify`).

    Raises:
        UnsupportedError: a module, a setting or an operation that NIR cannot say, by its path, with the way out.
        OptionError: not a torch module, or the input's shape is not known.
        TimeStepError: dt is not a finite number > 0.
    """
    if not isinstance(module, nn.Module):
        raise OptionError("not a torch module", parameter="module", got=type(module).__name__, wanted="torch.nn.Module")
    step = check_dt(dt)
    require_plain(module, verify)
    _refuse_weights(module)
    whole = _whole(module, tool)
    root = settled(copied(whole))
    every = _trace(root, tool, ranks)
    unknown = _unknown(root, every, tool)
    try:
        flow, loop = _followed(root, every, tool, step, shapes, verify)
    except HasnError as error:
        if not unknown:
            raise
        raise joined(unknown) from error  # whatever else: it can never be converted
    if flow.refused:
        raise joined(flow.refused) from flow.refused[0]
    flow.drop_unread_thresholds()
    for name in flow.unused_shapes:
        raise OptionError(
            "forward has no such input", parameter="input_shape", got=name, wanted=str(sorted(flow.inputs.values()))
        )
    _mark_pruned(flow, pruned(whole))
    graph = nir.NIRGraph(flow.nodes, flow.edges, metadata={"dt": step, **_for_chips(flow.nodes)}, type_check=False)
    typed = with_types(graph)
    raise_errors(check(typed))
    return verified(typed, _source(copied(whole), flow, loop)) if verify else typed


def _mark_pruned(flow: Flow, paths: Sequence[str]) -> None:
    """Have the graph say which connections are pruned, so that training holds their zeros."""
    for name, path in flow.layers.items():
        if path in paths:
            mark(flow.nodes[name])
    others = [path for path in paths if path not in flow.layers.values()]
    if others:
        warnings.warn(
            f"the pruned weights of {', '.join(others)} are zeros of the graph that hasn.train moves, unless it is "
            "given masks='zeros'",
            RuntimeWarning,
            stacklevel=4,
        )


def _for_chips(nodes: Mapping[str, nir.NIRNode]) -> dict[str, str]:
    """What a graph says of neurons that Loihi has not, before anything has been trained."""
    names = [name for name, node in nodes.items() if (node.metadata or {}).get("reset") == "subtract"]
    if not names:
        return {}
    return {
        "loihi": f"{', '.join(names)} reset by subtraction, and the chip to zero: hasn.quantise refuses them. "
        "Train with a reset to zero, or see hasn.conversions.loihi.zero_reset for what one costs."
    }


def from_sample(module: nn.Module, tool: Tool, dt: float, sample: Any, verify: bool) -> nir.NIRGraph:
    """:func:`from_traced` where a sample says the input's shape, as the module takes it."""

    def shapes(frame: Frame, why: str) -> dict[str | None, Shape]:
        given = getattr(sample, "shape", None)
        if given is None or len(given) <= len(frame):
            raise InputError(
                f"is no input of this network, which takes {frame_text((frame,))}",
                parameter="sample",
                got=type(sample).__name__ if given is None else tuple(given),
                wanted=f"a tensor of {len(frame) + 1} dimensions or more",
                way_out=why,
            )
        return {None: tuple(int(n) for n in given[len(frame) :])}

    rank = len(getattr(sample, "shape", ()))
    return from_traced(module, tool, dt, shapes, (rank, rank + 1), verify)


def _followed(
    root: nn.Module, every: fx.Graph, tool: Tool, dt: float, shapes: Shapes, verify: bool
) -> tuple[Flow, Loop | None]:
    """The walk over all calls of one step, and the loop over time around them."""
    calls, loop = first_turn(every, dict(root.named_modules()), tool.is_neuron, tool.form)
    frame, why = _frame(root, calls, tool)
    if loop is not None:
        why = _looping(frame, tool, verify)
    taken = frame if loop is None else _LYING[next(iter(loop.lies.values()))]
    flow = Flow(root, tool, dt, shapes(taken, why), frame)
    for node in calls.nodes:
        flow.take(node)
    return flow, loop


def _looping(frame: Frame, tool: Tool, verify: bool) -> str:
    """Refuse a loop over whole sequences, or that nothing would prove; why an input is what it is."""
    if not verify:
        raise refusal("", "verify", _UNPROVED, got=False, wanted="True", way_out=tool.form)
    if frame != BATCH:
        raise refusal(
            "",
            "forward",
            "loops over neurons that take whole sequences",
            got=frame_text((frame,)),
            wanted=frame_text((BATCH,)),
            way_out=tool.form,
        )
    return "Its forward loops over time."


def _source(root: nn.Module, flow: Flow, loop: Loop | None) -> Source:
    """The module that ``flow`` followed, ready to run: a copy."""
    tool, written = flow.tool, flow.written

    def run(inputs: dict[str, Tensor]) -> Mapping[str, Tensor]:
        tool.rest(root)
        return tool.run(root, flow, inputs) if loop is None else looped(root, flow, loop, inputs)

    if loop is None:
        return Source(tool.label, root, run, flow.places, steps=written.get("time"), batch=written.get("batch"))
    places = {name: place for name, place in flow.places.items() if place.path not in loop.whole}
    same = frozenset(name for name, argument in flow.inputs.items() if loop.lies[argument] == "constant")
    return Source(tool.label, root, run, places, steps=loop.steps, constant=same, batch=written.get("batch"))


class Steps:
    """What stands in for a loop over time, or for time and batch put together: another frame, and back."""

    def __init__(self, tracer: fx.Tracer, path: str) -> None:
        self._tracer = tracer
        self.path = path

    def frame(self, value: Any, wanted: Frame, given: Frame) -> Any:
        """``value``, which must have the frame ``wanted``, with the frame ``given``."""
        return self._tracer.create_proxy("call_function", reframed, (value, self.path, wanted, given), {})


class _Tracer(fx.Tracer):
    """Goes into every module but those that become nodes, and the tool's that are stood in for; turn by turn of a loop.

    Attributes:
        rank: dimensions that an argument of forward says it has.
    """

    def __init__(self, tool: Tool, prefix: str, rank: int = 2) -> None:
        super().__init__()
        self._tool = tool
        self._prefix = prefix
        self.rank = rank
        self._given: set[fx.Node] = set()

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """An argument may be asked for its shape, in another order of its axes too."""
        moved = node.op == "call_method" and node.target in MOVING and node.args and node.args[0] in self._given
        if node.op != "placeholder" and not moved:
            return super().proxy(node)
        self._given.add(node)
        return Given(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return self._tool.is_leaf(m) or super().is_leaf_module(m, module_qualified_name)

    def path_of_module(self, mod: nn.Module) -> str:
        return f"{super().path_of_module(mod)}.".removeprefix(self._prefix)[:-1]

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        inside = self._tool.stand_in(m)
        if inside is None:
            return super().call_module(m, m.forward, args, kwargs)  # hooks are no part of the network
        return inside(m, Steps(self, self.path_of_module(m)), *args, **kwargs)


class _Outside(nn.Module):
    """Calls a module that is stood in for, so that it is no root."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input: Tensor) -> Any:  # named as nn.Sequential has it
        return self.module(input)


def _refuse_weights(module: nn.Module) -> None:
    """Refuse weights that are not there yet, and half precision: no backend rounds as it does."""
    for path, part in module.named_modules():
        for name, values in part.named_parameters(recurse=False):
            if is_lazy(values):
                raise refusal(
                    path,
                    name,
                    f"{type(part).__name__} has no weights yet",
                    wanted="a module that has run once",
                    way_out="Call the network on a sample first.",
                )
            if values.is_floating_point() and values.element_size() < 4:
                raise refusal(
                    path,
                    name,
                    "computes in a precision that hasn has not",
                    got=str(values.dtype).removeprefix("torch."),
                    wanted="float32 or float64",
                    way_out="Hand over module.float(), and check that it still does what you trained it for.",
                )


def _whole(module: nn.Module, tool: Tool) -> nn.Module:
    """The module; a lone layer or neuron in a Sequential, as "0"."""
    followed = tool.stand_in(module) is not None or not _Tracer(tool, "").is_leaf_module(module, "")
    return module if followed else nn.Sequential(module)


def _trace(root: nn.Module, tool: Tool, ranks: tuple[int, int]) -> fx.Graph:
    """The calls of one forward."""
    stood_in = tool.stand_in(root) is not None
    prefix, followed = ("module.", _Outside(root)) if stood_in else ("", root)
    try:
        try:
            return _Tracer(tool, prefix, ranks[0]).trace(followed)
        except ValueError:  # it takes the shape apart, and has an axis of time
            return _Tracer(tool, prefix, ranks[1]).trace(followed)
    except Exception as error:  # fx raises whatever the forward raises when it meets a symbolic value
        raise refusal(
            "",
            "forward",
            f"torch.fx cannot follow it: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            wanted="one time step, or a loop over them, without decisions on values",
            way_out=tool.form,
        ) from error


def _unknown(root: nn.Module, calls: fx.Graph, tool: Tool) -> list[HasnError]:
    """The refusals of the modules that are in no table."""
    modules = dict(root.named_modules())
    paths = dict.fromkeys(str(node.target) for node in calls.nodes if node.op == "call_module")
    return [tool.refused(modules[path], path) for path in paths if not tool.knows(modules[path])]


def _frame(root: nn.Module, calls: fx.Graph, tool: Tool) -> tuple[Frame, str]:
    """(the input's frame: what the modules up to the first change of frame take; which of them says so)."""
    modules = dict(root.named_modules())
    left, why = tool.frames, ""
    for node in calls.nodes:
        wanted: tuple[Any, ...] = ()
        changes = node.op == "call_function" and node.target is reframed
        if changes:
            path, wanted = str(node.args[1]), (node.args[2],)
        elif node.op == "call_module":
            path = str(node.target)
            wanted = tool.frames_of(modules[path])
        both = tuple(frame for frame in left if not wanted or frame in wanted)
        if not both:
            break  # the walk refuses this module, by its path
        if both != left:
            left, why = both, f"'{path}' ({type(modules[path]).__name__}) takes that. {tool.reframe}"
        if changes or len(left) == 1:
            break
    return left[0], why
