"""The graph as an SVG drawing: boxes with kind and shape, edges, feedback edges dashed."""

from __future__ import annotations

from html import escape
from itertools import pairwise

from hasn.program.describe import NodeSummary, counted, shape_text, summaries
from hasn.program.model import Program
from hasn.report.layout import Layout, Point, layout
from hasn.report.section import scroll

_BOX = (126.0, 54.0)
_STEP = (168.0, 82.0)
_EDGE = 8.0
#: A drawing shrinks by so much to fit the page before it scrolls; its type stays readable.
_SHRINK = 0.88
#: Larger graphs would be a wall of boxes.
MOST_NODES = 120
#: Kind -> class, which the page colours.
_CLASSES = {"Input": "end", "Output": "end", "Threshold": "cell"}
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" class="tip"/></marker></defs>'
)
_CELLS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Neurons")


def graph_svg(program: Program) -> str:
    """Draw a Program's steps and edges; a sentence instead if there are too many."""
    if len(program.nodes) > MOST_NODES:
        return f"<p>The graph has {len(program.nodes)} nodes, too many to be drawn here.</p>"
    plan = layout(program)
    shapes = summaries(program)
    bottom = _EDGE + plan.rows * _STEP[1]
    width = 2 * _EDGE + (plan.layers - 1) * _STEP[0] + _BOX[0]
    height = bottom + 30.0 * len(plan.backward)
    delays = {(edge.source, edge.target): edge.delay for edge in program.edges}
    parts = [_forward(plan, pair, delays[pair]) for pair in plan.routes]
    parts += [_backward(plan, pair, delays[pair], bottom + 30.0 * k) for k, pair in enumerate(plan.backward)]
    parts += [_box(plan, summary) for summary in shapes]
    alt = f"Graph of {len(shapes)} nodes and {len(program.edges)} edges, of which {len(plan.backward)} feed back"
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    style = f"min-width: {_SHRINK * width:.0f}px"
    opening = f'<svg class="graph" style="{style}" role="img" aria-label="{alt}" {size}>'
    drawing = f"{opening}{_TIP}{''.join(parts)}</svg>"
    return scroll(drawing, "The graph")


def _at(place: Point) -> Point:
    """Top left corner of the box at a place."""
    return _EDGE + place[0] * _STEP[0], _EDGE + place[1] * _STEP[1]


def _box(plan: Layout, summary: NodeSummary) -> str:
    x, y = _at(plan.places[summary.name])
    kind = _CLASSES.get(summary.kind, "cell" if summary.kind in _CELLS else "map")
    middle = x + _BOX[0] / 2
    tip = "\n".join([summary.name, f"{summary.kind} {shape_text(summary.shape)}", *summary.details])
    return (
        f'<g class="node {kind}"><title>{escape(tip)}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{_BOX[0]}" height="{_BOX[1]}" rx="{22 if kind == "end" else 7}"/>'
        f'<text class="name" x="{middle:.1f}" y="{y + 19:.1f}">{escape(_short(summary.name, 17))}</text>'
        f'<text class="kind" x="{middle:.1f}" y="{y + 34:.1f}">{escape(summary.kind)}</text>'
        f'<text class="shape" x="{middle:.1f}" y="{y + 47:.1f}">{escape(_short(shape_text(summary.shape), 20))}</text>'
        "</g>"
    )


def _short(text: str, most: int) -> str:
    """The beginning and, more telling of names, the end."""
    return text if len(text) <= most else f"{text[: most // 3]}…{text[-(most - most // 3 - 1) :]}"


def _forward(plan: Layout, pair: tuple[str, str], delay: int) -> str:
    points = [(x + (0 if k else _BOX[0]), y + _BOX[1] / 2) for k, (x, y) in enumerate(map(_at, plan.routes[pair]))]
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for k, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        bend = (x1 - x0) / 2
        path += f"C{x0 + bend:.1f} {y0:.1f} {x1 - bend:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
        if k < len(points) - 2:  # straight along the boxes of the layer between
            path += f"H{x1 + _BOX[0]:.1f}"
            points[k + 1] = (x1 + _BOX[0], y1)
    middle = ((points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2)
    return _edge(pair, path, delay, middle, "edge")


def _backward(plan: Layout, pair: tuple[str, str], delay: int, level: float) -> str:
    x0, y0 = _at(plan.places[pair[0]])
    x1, y1 = _at(plan.places[pair[1]])
    x0, x1, y0, y1 = x0 + _BOX[0] * 0.65, x1 + _BOX[0] * 0.35, y0 + _BOX[1], y1 + _BOX[1]
    turn = 10.0 if x0 > x1 else -10.0
    path = (
        f"M{x0:.1f} {y0:.1f}V{level - 10:.1f}Q{x0:.1f} {level:.1f} {x0 - turn:.1f} {level:.1f}"
        f"H{x1 + turn:.1f}Q{x1:.1f} {level:.1f} {x1:.1f} {level - 10:.1f}V{y1:.1f}"
    )
    return _edge(pair, path, delay, ((x0 + x1) / 2, level), "edge feedback")


def _edge(pair: tuple[str, str], path: str, delay: int, middle: Point, kind: str) -> str:
    label = (
        f'<text class="delay" x="{middle[0]:.1f}" y="{middle[1] - 5:.1f}">{counted(delay, "step")}</text>'
        if delay
        else ""
    )
    tip = escape(f"{pair[0]} → {pair[1]}" + (f", {counted(delay, 'step')} late" if delay else ""))
    return f'<g class="{kind}"><title>{tip}</title><path d="{path}" marker-end="url(#tip)"/>{label}</g>'
