"""The drawn graph: layers, feedback, names."""

from __future__ import annotations

from xml.etree import ElementTree

import nir
import numpy as np

from hasn.ir.lower import lower
from hasn.report.graph import MOST_NODES, graph_svg
from hasn.report.layout import layout
from tests import graphs


def _recurrent() -> nir.NIRGraph:
    draw = graphs.Draw(1)
    nodes = {"input": graphs.inp(4), "in": draw.linear(3, 4), "lif": draw.lif(3), "back": draw.linear(3, 3),
             "skip": draw.linear(3, 4), "output": graphs.out(3)}  # fmt: skip
    return graphs.graph(nodes, "input > in > lif > output", "lif > back > lif", "input > skip > output")


def test_signals_run_to_the_right_and_the_feedback_edge_to_the_left() -> None:
    plan = layout(lower(_recurrent(), dt=1e-3))
    assert plan.backward == (("back", "lif"),)
    assert all(plan.places[source][0] < plan.places[target][0] for source, target in plan.routes)
    assert plan.places["back"][0] > plan.places["lif"][0]


def test_boxes_and_passing_edges_keep_apart() -> None:
    plan = layout(lower(_recurrent(), dt=1e-3))
    stops = [*plan.places.values(), *[point for route in plan.routes.values() for point in route[1:-1]]]
    for k, (x, y) in enumerate(stops):
        assert all(x != other_x or abs(y - other_y) > 0.99 for other_x, other_y in stops[k + 1 :])


def test_an_edge_over_several_layers_has_a_stop_in_each() -> None:
    plan = layout(lower(_recurrent(), dt=1e-3))
    route = plan.routes["skip", "output"]
    assert [x for x, _ in route] == list(range(int(plan.places["skip"][0]), int(plan.places["output"][0]) + 1))


def test_feedback_is_dashed_and_labelled_with_its_delay() -> None:
    drawing = _svg(graph_svg(lower(_recurrent(), dt=1e-3)))
    groups = [group for group in drawing.iter("g") if "feedback" in group.get("class", "")]
    assert len(groups) == 1
    assert groups[0].findtext("title") == "back → lif, 1 step late"
    assert groups[0].findtext("text") == "1 step"


def test_hardware_timing_labels_every_connection_that_takes_a_step() -> None:
    program = lower(graphs.small_net(), dt=1e-3, timing="hardware")
    drawing = _svg(graph_svg(program))
    labels = [text for text in drawing.iter("text") if text.get("class") == "delay"]
    assert len(labels) == sum(edge.delay > 0 for edge in program.edges) == 2


def test_every_node_is_a_box_with_kind_and_shape_and_names_are_escaped() -> None:
    draw = graphs.Draw(1)
    nodes = {"in<put>": graphs.inp(2, 3, 3), 'c&"': draw.conv2d(4, 2, (2, 2)), "o": graphs.out(4, 2, 2)}
    graph = nir.NIRGraph(nodes, [("in<put>", 'c&"'), ('c&"', "o")], type_check=False)
    drawing = _svg(graph_svg(lower(graph, dt=1e-3)))
    boxes = [
        [text.text for text in group.iter("text")] for group in drawing.iter("g") if "node" in group.get("class", "")
    ]
    assert sorted(boxes, key=str) == sorted(
        [["in<put>", "Input", "2 × 3 × 3"], ['c&"', "Conv2d", "4 × 2 × 2"], ["o", "Output", "4 × 2 × 2"]], key=str
    )


def test_a_huge_graph_is_not_drawn_but_counted() -> None:
    nodes = [nir.Scale(np.ones(1)) for _ in range(MOST_NODES)]
    text = graph_svg(lower(graphs.chain(*nodes, given=(1,), result=(1,)), dt=1e-3))
    assert "<svg" not in text
    assert str(MOST_NODES + 2) in text


def _svg(text: str) -> ElementTree.Element:
    drawing = ElementTree.fromstring(text).find("svg")
    assert drawing is not None
    return drawing
