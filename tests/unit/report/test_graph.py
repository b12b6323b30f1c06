"""The drawn graph: layers, feedback, names."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import nir
import numpy as np
import pytest

from hasn.ir.lower import lower
from hasn.report.graph import MOST_NODES, _short, graph_svg
from hasn.report.layout import Layout, _settle, layout
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


def test_a_graph_of_120_steps_is_drawn() -> None:
    nodes = [nir.Scale(np.ones(1)) for _ in range(MOST_NODES - 2)]
    assert "<svg" in graph_svg(lower(graphs.chain(*nodes, given=(1,), result=(1,)), dt=1e-3))
    nodes.append(nir.Scale(np.ones(1)))
    assert graph_svg(lower(graphs.chain(*nodes, given=(1,), result=(1,)), dt=1e-3)) == (
        "<p>The graph has 121 nodes, too many to be drawn here.</p>"
    )


def test_a_chain_lies_in_one_row_box_by_box_and_edge_by_edge() -> None:
    """Boxes of 126 x 54, a layer every 168, a margin of 8; an edge leaves at the middle of the right side."""
    graph = graphs.chain(graphs.Draw(1).linear(3, 4), given=(4,), result=(3,))
    drawing = _svg(graph_svg(lower(graph, dt=1e-3)))
    boxes = [{key: float(value) for key, value in box.attrib.items()} for box in drawing.iter("rect")]
    assert [(box["x"], box["y"], box["width"], box["height"]) for box in boxes] == [
        (8, 8, 126, 54), (176, 8, 126, 54), (344, 8, 126, 54),
    ]  # fmt: skip
    assert [box["rx"] for box in boxes] == [22, 7, 22]
    texts = [(float(text.get("x", "")), float(text.get("y", ""))) for text in drawing.iter("text")]
    assert texts == [(x, y) for x in (71, 239, 407) for y in (27, 42, 55)]
    edges = [group for group in drawing.iter("g") if group.get("class") == "edge"]
    paths = [path.get("d") for group in edges for path in group.iter("path")]
    assert paths == [
        "M134.0 35.0C155.0 35.0 155.0 35.0 176.0 35.0", "M302.0 35.0C323.0 35.0 323.0 35.0 344.0 35.0",
    ]  # fmt: skip
    assert [group.findtext("title") for group in edges] == ["input → n1", "n1 → output"]
    assert (drawing.get("width"), drawing.get("height"), drawing.get("viewBox")) == ("478", "90", "0 0 478 90")
    assert drawing.get("aria-label") == "Graph of 3 nodes and 2 edges, of which 0 feed back"


def test_the_feedback_edges_run_under_the_boxes_each_at_its_own_level() -> None:
    draw = graphs.Draw(1)
    nodes = {"i": graphs.inp(3), "a": draw.lif(3), "b": draw.lif(3), "o": graphs.out(3)}
    program = lower(graphs.graph(nodes, "i > a > b > o", "b > a", "a > a"), dt=1e-3)
    drawing = _svg(graph_svg(program))
    assert layout(program).backward == (("a", "a"), ("b", "a"))
    groups = [group for group in drawing.iter("g") if group.get("class") == "edge feedback"]
    rows = {rect.get("y") for rect in drawing.iter("rect")}
    assert rows == {"8.0"}
    # from 65 % of the lower side of the source to 35 % of the target's; rows end at 90, then one level every 30
    assert [group.find("path").get("d") for group in groups] == [  # type: ignore[union-attr]
        "M257.9 62.0V80.0Q257.9 90.0 247.9 90.0H230.1Q220.1 90.0 220.1 80.0V62.0",
        "M425.9 62.0V110.0Q425.9 120.0 415.9 120.0H230.1Q220.1 120.0 220.1 110.0V62.0",
    ]
    labels = [(t.get("x"), t.get("y")) for group in groups for t in group.iter("text")]
    assert labels == [("239.0", "85.0"), ("323.0", "115.0")]
    assert drawing.get("height") == "150"
    assert "of which 2 feed back" in drawing.get("aria-label", "")


def test_an_edge_past_other_layers_runs_straight_along_their_boxes() -> None:
    program = lower(_recurrent(), dt=1e-3)
    plan = layout(program)
    drawing = _svg(graph_svg(program))
    group = next(g for g in drawing.iter("g") if g.findtext("title") == "skip → output")
    path = group.find("path").get("d", "")  # type: ignore[union-attr]
    numbers = [float(n) for n in re.findall(r"[\d.]+", path)]
    assert re.sub(r"[\d. ]+", "", path) == "M" + "CH" * (len(plan.routes["skip", "output"]) - 2) + "C"
    (_, y0), (_, y1), *_ = [(x, 8 + 82 * y + 27) for x, y in plan.routes["skip", "output"]]
    left, bend = 8 + 168 + 126, 21  # skip is in layer 1
    assert numbers[:9] == pytest.approx(
        [left, y0, left + bend, y0, left + bend, y1, left + 42, y1, left + 42 + 126], abs=0.06
    )
    last = plan.routes["skip", "output"][-1]
    assert numbers[-2:] == pytest.approx([8 + 168 * last[0], 8 + 82 * last[1] + 27], abs=0.06)


@pytest.mark.parametrize(
    ("kind", "look"),
    [("I", "cell"), ("IF", "cell"), ("LI", "cell"), ("LIF", "cell"), ("CubaLI", "cell"), ("CubaLIF", "cell")],
)
def test_neurons_have_a_look_of_their_own(kind: str, look: str) -> None:
    graph = graphs.chain(graphs.Draw(1).neuron(kind, (3,)), given=(3,), result=(3,))
    assert _looks(graph) == {"input": "node end", "n1": f"node {look}", "output": "node end"}


def test_thresholds_look_like_neurons_and_maps_like_maps() -> None:
    graph = graphs.chain(graphs.Draw(1).linear(3, 3), nir.Threshold(np.ones(3)), given=(3,), result=(3,))
    assert list(_looks(graph).values()) == ["node end", "node map", "node cell", "node end"]


def _looks(graph: nir.NIRGraph) -> dict[str, str]:
    drawing = _svg(graph_svg(lower(graph, dt=1e-3)))
    return {
        text.text or "": group.get("class", "")
        for group in drawing.iter("g") if "node" in group.get("class", "")
        for text in group.iter("text") if text.get("class") == "name"
    }  # fmt: skip


def test_long_names_keep_their_beginning_and_more_of_their_end() -> None:
    assert _short("a" * 17, 17) == "a" * 17
    text = _short("abcdefghijklmnopqr", 17)  # 5 letters, an ellipsis, 11 letters
    assert text == "abcde…hijklmnopqr"
    graph = graphs.chain(graphs.Draw(1).linear(3, 4), given=(4,), result=(3,))
    nodes = {"layers.encoder.linear.1": graph.nodes["n1"], "i": graph.nodes["input"], "o": graph.nodes["output"]}
    named = nir.NIRGraph(nodes, [("i", "layers.encoder.linear.1"), ("layers.encoder.linear.1", "o")], type_check=False)
    drawing = _svg(graph_svg(lower(named, dt=1e-3)))
    names = [text.text for text in drawing.iter("text") if text.get("class") == "name"]
    assert "layer…er.linear.1" in names
    titles = [group.findtext("title") for group in drawing.iter("g") if "node" in group.get("class", "")]
    assert any((title or "").startswith("layers.encoder.linear.1\nLinear 3\n") for title in titles)


def test_a_node_stands_in_the_layer_after_its_latest_source_and_half_way_between_two_that_feed_it() -> None:
    draw = graphs.Draw(1)
    nodes = {"i": graphs.inp(3), "a": draw.linear(3, 3), "b": draw.linear(3, 3), "c": draw.lif(3), "o": graphs.out(3)}
    plan = layout(lower(graphs.graph(nodes, "i > a > c > o", "i > b > c"), dt=1e-3))
    assert {name: x for name, (x, _) in plan.places.items()} == {"i": 0, "a": 1, "b": 1, "c": 2, "o": 3}
    assert {name: y for name, (_, y) in plan.places.items()} == {"i": 0.5, "a": 0, "b": 1, "c": 0.5, "o": 0.5}
    assert (plan.layers, plan.rows) == (4, 2)


def test_edges_do_not_cross_where_they_need_not() -> None:
    """Two chains side by side, whose second members are named the other way round."""
    draw = graphs.Draw(1)
    nodes = {name: draw.linear(3, 3) for name in ("a1", "b1", "a2", "b2")}
    nodes |= {"a0": graphs.inp(3), "b0": graphs.inp(3), "ao": graphs.out(3), "bo": graphs.out(3)}
    plan = layout(lower(graphs.graph(nodes, "a0 > b1 > a2 > bo", "b0 > a1 > b2 > ao"), dt=1e-3))
    for chain in (("a0", "b1", "a2", "bo"), ("b0", "a1", "b2", "ao")):
        assert len({plan.places[name][1] for name in chain}) == 1
    assert plan.rows == 2


@pytest.mark.parametrize(
    ("edges", "apart"),
    [
        (("a > x", "c > x", "b > y"), "abc"),  # sources by what they feed: a and c beside each other
        (("x > a", "x > c", "y > b"), "abc"),  # targets by what feeds them
    ],
)
def test_a_node_lies_near_what_feeds_it_and_what_it_feeds(edges: tuple[str, ...], apart: str) -> None:
    """b does not stand between a and c, which share a neighbour."""
    draw = graphs.Draw(1)
    nodes: dict[str, nir.NIRNode] = {name: draw.linear(3, 3) for name in (*apart, "x", "y")}
    ends = {edge.split(" > ")[0] for edge in edges}, {edge.split(" > ")[1] for edge in edges}
    sources, sinks = sorted(ends[0]), sorted(ends[1])
    nodes |= {f"i{name}": graphs.inp(3) for name in sources} | {f"o{name}": graphs.out(3) for name in sinks}
    chains = [*edges, *[f"i{name} > {name}" for name in sources], *[f"{name} > o{name}" for name in sinks]]
    plan = layout(lower(graphs.graph(nodes, *chains), dt=1e-3))
    a, b, c = (plan.places[name][1] for name in apart)
    assert not min(a, c) < b < max(a, c)


@pytest.mark.parametrize(
    ("wish", "rows"),
    [
        ({"a": 0.0, "b": 2.0}, {"a": 0.0, "b": 2.0}),
        ({"a": 1.0, "b": 1.0}, {"a": 0.5, "b": 1.5}),
        ({"a": 1.0, "b": 1.5, "c": 4.0}, {"a": 1 - 1 / 6, "b": 2 - 1 / 6, "c": 4 - 1 / 6}),
    ],
)
def test_a_column_settles_at_a_distance_of_1_without_drifting(wish: dict[str, float], rows: dict[str, float]) -> None:
    found: dict[str, float] = {"z": 9.0}
    _settle(list(wish), wish, found)
    assert found == pytest.approx({"z": 9.0, **rows})


def test_an_empty_layout_has_no_layer() -> None:
    assert (Layout({}, {}, ()).layers, Layout({}, {}, ()).rows) == (0, 1)
    plan = Layout({"a": (0.0, 2.0), "b": (3.0, 4.0)}, {("a", "b"): [(0.0, 2.0), (1.0, 7.5), (3.0, 4.0)]}, ())
    assert (plan.layers, plan.rows) == (4, 6.5)


def _svg(text: str) -> ElementTree.Element:
    drawing = ElementTree.fromstring(text).find("svg")
    assert drawing is not None
    return drawing


def test_a_drawing_shrinks_a_little_before_it_scrolls() -> None:
    """By an eighth at most: names of 13 pixels stay above 11."""
    drawing = graph_svg(lower(graphs.small_net(), dt=1e-3))
    least, width = (
        int(re.search(pattern, drawing)[1])  # type: ignore[index]
        for pattern in (r"min-width: (\d+)px", r' width="(\d+)"')
    )
    assert 0.85 * width < least < 0.9 * width
    assert least < 944  # of the page's column: the usual network of six nodes fits
