"""Another tool's NIR export, made whole: its nodes with the neurons rebuilt from the modules they came from.

A tool's exporter knows the shape of its networks; what it writes into the neurons is often another neuron. So the
edges and the weights are taken from the export, and every neuron from the module itself, by a table. What differs from
the export is listed, a line each, in ``graph.metadata["repairs"]``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypeAlias

import nir
import numpy as np

from hasn.conversions.refuse import refusal
from hasn.conversions.update import Piece
from hasn.errors import ShapeError, UnsupportedError
from hasn.finding import raise_errors
from hasn.ir.check import check
from hasn.ir.typed import with_types
from hasn.nodes.lookup import kind_of, neuron_kind
from hasn.program.feedback import evaluation_order, feedback_edges
from hasn.program.model import Shape

if TYPE_CHECKING:
    from hasn.conversions.verify import Layout

#: Module, its path, the shape of its population, dt in seconds -> its NIR nodes.
Builder: TypeAlias = Callable[[Any, str, Shape, float], Piece]
_NOTHING = ("Identity", "Dropout", "Dropout2d")


@dataclass(frozen=True)
class Tool:
    """How to read a tool's exports.

    Attributes:
        name: the tool's.
        table: its neurons.
        node_name: module path -> the name that its exporter gives the node.
    """

    name: str
    table: Mapping[type, Builder]
    node_name: Callable[[str], str] = str

    @property
    def label(self) -> str:
        """Name and version."""
        try:
            return f"{self.name} {version(self.name.lower())}"
        except PackageNotFoundError:
            return self.name


def export(tool: Tool, call: Callable[[], Any]) -> nir.NIRGraph:
    """What the tool's exporter gives, or a refusal with its own words.

    Raises:
        UnsupportedError: the exporter fails.
    """
    try:
        graph: nir.NIRGraph = call()
    except Exception as error:  # exporters raise whatever they meet
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise refusal(
            "", None, f"{tool.name}'s exporter fails: {words}", way_out="Hand over the part of the network it knows."
        ) from error
    return graph


def rebuilt(exported: nir.NIRGraph, module: Any, tool: Tool, input_shape: Shape, dt: float) -> nir.NIRGraph:
    """The export with the tool's neurons as they are, shapes and dt.

    Args:
        exported: what the tool's exporter gave.
        module: what it was given.
        tool: how to read it.
        input_shape: one sample of one step.
        dt: seconds a step.

    Raises:
        UnsupportedError: a neuron that is not in the table, or a module that the exporter left out.
    """
    modules = {tool.node_name(path): (path, part) for path, part in module.named_modules() if path}
    _refuse_left_out(exported, modules, tool)
    edges = list(dict.fromkeys((str(source), str(target)) for source, target in exported.edges))
    inputs = [name for name, node in exported.nodes.items() if isinstance(node, nir.Input)]
    instant = set(edges) - feedback_edges(exported.nodes, edges, inputs)
    shapes: dict[str, Shape] = {}
    pieces: dict[str, Piece] = {}
    changes: list[str] = []
    for name in evaluation_order(exported.nodes, instant):
        given = next((shapes[source] for source, target in edges if target == name and source in shapes), input_shape)
        node = exported.nodes[name]
        if neuron_kind(node) is not None:
            path, part = modules.get(name, (name, None))
            if type(part) not in tool.table:
                raise refusal(path, None, f"{type(part).__name__} is no neuron of {tool.name}'s that hasn knows")
            pieces[name] = tool.table[type(part)](part, path, given, dt)
            changes += _changes(node, pieces[name].nodes[pieces[name].spikes], name)
        else:
            pieces[name] = Piece(name, [name], nodes={name: _placed(node, given)})
        shapes[name] = _shape_behind(pieces[name], name, given)
    nodes = {key: node for piece in pieces.values() for key, node in piece.nodes.items()}
    joined = [(pieces[source].spikes, inlet) for source, target in edges for inlet in pieces[target].inlet]
    joined += [edge for piece in pieces.values() for edge in piece.edges]
    metadata = {"dt": dt, **({"repairs": "\n".join(changes)} if changes else {})}
    graph = with_types(nir.NIRGraph(nodes, joined, metadata=metadata, type_check=False))
    raise_errors(check(graph))
    return graph


def proved(
    graph: nir.NIRGraph, module: Any, tool: Tool, run: Callable[[Any, Any], Any], layout: Layout = "steps"
) -> nir.NIRGraph:
    """The graph, once the module and hasn agree on random steps (:mod:`hasn.conversions.verify`).

    Args:
        graph: what :func:`rebuilt` made.
        module: what was converted; a copy of it runs.
        tool: whose it is.
        run: (module, {Input: (T, batch, *shape)} as one tensor) -> (T, batch, *shape), from rest.
        layout: how the values of the module's parts lie.
    """
    from hasn.conversions.verify import Place, Source, copied, verified

    whole = copied(module)
    (given,) = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    (gives,) = [name for name, node in graph.nodes.items() if isinstance(node, nir.Output)]
    heard = {
        tool.node_name(path): Place(path)
        for path, part in whole.named_modules()
        if type(part) in tool.table or not list(part.children())
    }

    def steps(inputs: dict[str, Any]) -> dict[str, Any]:
        like = next(iter(whole.parameters()), inputs[given])
        return {gives: run(whole, inputs[given].to(device=like.device, dtype=like.dtype))}

    places = {name: place for name, place in heard.items() if name in graph.nodes}
    return verified(graph, Source(tool.label, whole, steps, places, layout))


def _refuse_left_out(exported: nir.NIRGraph, modules: Mapping[str, tuple[str, Any]], tool: Tool) -> None:
    """Exporters drop what they do not know without a word."""
    for name, (path, part) in modules.items():
        leaf = type(part) in tool.table or not list(part.children())
        inside = any(path.startswith(f"{outer}.") for outer, other in modules.values() if type(other) in tool.table)
        nothing = type(part).__name__ in _NOTHING and not part.training
        if leaf and not inside and not nothing and exported.nodes.get(name) is None:
            raise refusal(
                path,
                None,
                f"{tool.name}'s exporter leaves {type(part).__name__} out",
                wanted=", ".join(sorted(kind.__name__ for kind in tool.table)) + ", and layers it knows",
                way_out="Call module.eval() first." if type(part).__name__ in _NOTHING else "",
            )


def _placed(node: nir.NIRNode, given: Shape) -> nir.NIRNode:
    """A copy with arrays for tensors and the shapes that the exporter left open, or counted the batch into."""
    if isinstance(node, nir.Input):
        return nir.Input(input_type=np.array(given))
    if isinstance(node, nir.Output):
        return nir.Output(output_type=np.array(given))
    placed = copy.copy(node)
    for key, value in vars(node).items():
        if hasattr(value, "detach"):
            setattr(placed, key, value.detach().cpu().numpy().copy())
    if isinstance(node, nir.Flatten):
        placed.input_type = {"input": np.array(given)}
    elif isinstance(node, nir.Conv1d | nir.Conv2d):
        placed.input_shape = given[-1] if isinstance(node, nir.Conv1d) else given[-2:]
    placed.metadata = dict(node.metadata) if isinstance(node.metadata, dict) else {}
    return placed


def _shape_behind(piece: Piece, name: str, given: Shape) -> Shape:
    try:
        node = piece.nodes[piece.spikes]
        return kind_of(node).output_shape(node, given)
    except ShapeError as error:
        raise UnsupportedError(error.message, node=name, got=error.got, wanted=error.wanted) from error


def _changes(old: nir.NIRNode, new: nir.NIRNode, name: str) -> list[str]:
    """A line for each parameter whose value the exporter had otherwise, and for what NIR has no place for."""
    lines = [] if type(old) is type(new) else [f"node '{name}': {type(old).__name__} is now {type(new).__name__}"]
    for parameter in (p.name for p in kind_of(new).parameters if hasattr(old, p.name)):
        before, after = (np.asarray(getattr(node, parameter), dtype=np.float64) for node in (old, new))
        if not np.allclose(before, after, rtol=1e-5, atol=0):  # float32 in the exporter
            lines.append(f"node '{name}' {parameter}: {_text(before)} is now {_text(after)}")
    for key in ("reset", "v_init"):
        if key in new.metadata:
            lines.append(
                f"node '{name}' metadata['{key}']: {_text(np.asarray(new.metadata[key]))}, which NIR leaves open"
            )
    return lines


def _text(values: np.ndarray[Any, Any]) -> str:
    distinct = np.unique(values)
    if distinct.dtype.kind not in "if":
        return str(distinct[0])
    return f"{distinct[0]:.6g}" if distinct.size == 1 else f"{distinct[0]:.6g} .. {distinct[-1]:.6g}"


def spread(value: Any, parameter: str, path: str, shape: Shape) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A tensor or a number as one float64 for each neuron."""
    array = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    try:
        values: np.ndarray[Any, np.dtype[np.float64]] = np.broadcast_to(array.astype(np.float64), shape).copy()
    except ValueError:
        raise refusal(
            path, parameter, "is not one value for each neuron", got=array.shape, wanted=f"a number or shape {shape}"
        ) from None
    return values


def just_below(threshold: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The threshold of ``v > ...`` that is ``v >= threshold`` for the float32 voltages these tools have."""
    below: np.ndarray[Any, np.dtype[np.float32]] = np.nextafter(threshold.astype(np.float32), np.float32(-np.inf))
    return below.astype(np.float64)
