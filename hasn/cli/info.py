"""`hasn info`: what is in a file."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hasn.cli.options import Dt, File, Json, Method, Reset, Timing

if TYPE_CHECKING:
    from hasn.ir.structure import FlatGraph

ShowProgram = Annotated[
    bool, typer.Option("--program", help="Show what a step computes: coefficients, delays, shifts on hardware.")
]


def info(
    file: File,
    program: ShowProgram = False,
    dt: Dt = None,
    method: Method = None,
    reset: Reset = None,
    timing: Timing = None,
    as_json: Json = False,
) -> None:
    """Show a file's nodes, shapes, parameters, edges and metadata.

    Example: hasn info model.nir --program --dt 1e-3
    """
    from hasn.cli.console import show, show_json, width
    from hasn.ir.load import load
    from hasn.ir.structure import flatten

    graph = load(file, dt=dt)
    flat = flatten(graph)
    text = ""
    if program:
        from hasn.ir.lower import lower
        from hasn.program.draw import program_text

        lowered = lower(graph, method=method, reset=reset, timing=timing)
        text = program_text(lowered, width=width())
    if as_json:
        show_json({**_data(flat), **({"program": _program_data(lowered)} if program else {})})
        return
    show(_heading(str(file), flat))
    show(_nodes(flat))
    show("Edges: " + (", ".join(f"{source} -> {target}" for source, target in flat.edges) or "none"))
    if text:
        show(text)


def _heading(name: str, flat: FlatGraph) -> str:
    from hasn.program.describe import counted

    from_file = flat.metadata.get("dt")
    dt = "dt is not in the file" if from_file is None else f"dt {float(from_file) * 1e3:g} ms"
    rest = {key: _plain(value) for key, value in flat.metadata.items() if key != "dt"}
    total = sum(_count(node) for node in flat.nodes.values())
    lines = [f"{name}: {counted(len(flat.nodes), 'node')}, {counted(len(flat.edges), 'edge')}, "
             f"{counted(total, 'parameter')}, {dt}"]  # fmt: skip
    return "\n".join([*lines, *(f"{key}: {value}" for key, value in rest.items())])


def _nodes(flat: FlatGraph) -> Any:
    from hasn.cli.console import add_row, table
    from hasn.nodes.lookup import kind_of
    from hasn.program.describe import shape_text, span

    made = table("node", "type", "in", "out", "parameters", "values", "metadata", numbers=("parameters",))
    for name, node in flat.nodes.items():
        given, result = _shapes(node)
        values = "\n".join(f"{key} {span(value)}" for key, value in _parameters(node).items())
        said = {key: _said(key, value) for key, value in (node.metadata or {}).items()}
        remark = kind_of(node).remark(node)
        notes = "\n".join([*([remark] if remark else []), *(f"{key}: {value}" for key, value in said.items())])
        add_row(made, name, type(node).__name__, *[shape_text(s) if s is not None else "?" for s in (given, result)],
                f"{_count(node):,}", values, notes)  # fmt: skip
    return made


def _said(key: str, value: Any) -> Any:
    """What a node's metadata say, for people: a learning rule as its formula."""
    from hasn.errors import OptionError
    from hasn.plasticity.rule import KEY, rule_of

    if key == KEY:
        with suppress(OptionError):
            return rule_of(value, key)
    return _plain(value)


def _count(node: Any) -> int:
    import numpy as np

    return sum(int(np.size(value)) for value in _parameters(node).values())


def _parameters(node: Any) -> dict[str, Any]:
    """What a node computes with, in numbers."""
    from hasn.nodes.lookup import kind_of

    return kind_of(node).values(node)


def _shapes(node: Any) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    import numpy as np

    found = []
    for group in (node.input_type, node.output_type):
        value = next(iter(group.values()), None)
        found.append(None if value is None else tuple(int(n) for n in np.asarray(value).reshape(-1)))
    return found[0], found[1]


def _plain(value: Any) -> Any:
    """A metadata value that JSON takes; long arrays by their shape."""
    import numpy as np

    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf8", errors="replace")
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        return str(value)
    return array.tolist() if array.size <= 16 else f"array {array.shape}"


def _data(flat: FlatGraph) -> dict[str, Any]:
    nodes = {
        name: {
            "type": type(node).__name__,
            "input_shape": _shapes(node)[0],
            "output_shape": _shapes(node)[1],
            "parameters": {key: list(_shape(value)) for key, value in _parameters(node).items()},
            "parameter_count": _count(node),
            "metadata": _plain(node.metadata or {}),
        }
        for name, node in flat.nodes.items()
    }
    return {
        "nodes": nodes,
        "edges": [list(edge) for edge in flat.edges],
        "inputs": list(flat.inputs),
        "outputs": list(flat.outputs),
        "dt": _plain(flat.metadata["dt"]) if flat.metadata.get("dt") is not None else None,
        "metadata": _plain(flat.metadata),
        "parameter_count": sum(_count(node) for node in flat.nodes.values()),
    }


def _shape(value: Any) -> tuple[int, ...]:
    import numpy as np

    return np.shape(value)


def _program_data(program: Any) -> dict[str, Any]:
    from hasn.program.describe import summaries

    return {
        "dt": program.dt,
        "method": program.method,
        "timing": program.timing,
        "steps": [
            {"name": s.name, "kind": s.kind, "shape": list(s.shape), "details": list(s.details)}
            for s in summaries(program)
        ],
        "edges": [{"source": e.source, "target": e.target, "delay": e.delay} for e in program.edges],
    }
