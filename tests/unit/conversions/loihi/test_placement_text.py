"""A placement's figures, text, data and map from one made by hand: three cores on a chip of eight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hasn.conversions.loihi import Placement
from hasn.conversions.loihi.placement import Baseline, Sent, text
from hasn.conversions.loihi.placement.drawing import fill_map, talk_map
from hasn.conversions.loihi.placement.mesh import arranged, distances, slots
from hasn.conversions.loihi.placement.page import limit_text, page_html, placement_sections
from hasn.conversions.loihi.placement.problem import RESOURCES
from hasn.conversions.loihi.profiles import LOIHI2
from tests.unit.conversions.loihi.placing import SMALL
from tests.unit.report.drawn import Attributes, Page

KIB = 8 * 1024
#: Messages from row to column; the diagonal stays on its core.
FLOW = np.array([[100, 4000, 0], [500, 7, 0], [60, 1, 9]])


def made(**changes: Any) -> Placement:
    """Slots 0, 5 and 3 of a 2 x 2 mesh with two cores a router: routers (0, 0), (0, 1) and (1, 0)."""
    where = np.array([0, 5, 3])
    positions = slots(SMALL)[where]
    given: dict[str, Any] = {
        "profile": replace(SMALL, memory_bits=4 * KIB),
        "neurons": {"a": np.array([[0, 0], [1, 2]]), "b": np.array([1, 1, 1])},
        "positions": positions,
        "slots": where,
        "resources": {
            "compartments": np.array([2, 4, 1]), "in_axons": np.array([6, 30, 3]), "out_axons": np.array([1, 4, 38]),
            "memory_bits": np.array([KIB, 2 * KIB, KIB // 4]), "decay_groups": np.array([1, 2, 1]),
            "threshold_groups": np.array([1, 1, 1]),
        },
        "traffic_matrix": FLOW.copy(),
        "hops": distances(positions),
        "input_messages": np.array([5, 1000, 7]),
        "populations": {"a": Sent(4061, 5000, 109, 2000), "b": Sent(500, 500, 7, 300)},
        "baseline": Baseline(4, 9122, 12000, True),
        "method": "by hand",
        "steps": 20,
        "samples": 2,
    }  # fmt: skip
    return Placement(**{**given, **changes})


def test_what_travels_and_how_far() -> None:
    placement = made()
    assert placement.positions.tolist() == [[0, 0], [0, 1], [1, 0]]
    assert placement.cores == 3
    assert placement.between.tolist() == [[0, 4000, 0], [500, 0, 0], [60, 1, 0]]
    assert placement.traffic_matrix[0, 0] == 100  # as it was
    assert placement.traffic == 4561
    assert placement.message_hops == 4000 + 500 + 60 + 2
    assert placement.saving == 0.5


def test_the_fullest_core_is_so_by_its_share() -> None:
    placement = made()
    assert placement.fullest == (2, "out_axons", 38 / 40)
    assert {name: values.tolist() for name, values in placement.shares.items()}["memory_bits"] == [0.25, 0.5, 1 / 16]
    unlimited = made(profile=replace(SMALL, out_axons=None, memory_bits=4 * KIB))
    assert set(unlimited.shares) == set(RESOURCES) - {"out_axons"}
    assert unlimited.fullest == (1, "in_axons", 0.5)


@pytest.mark.parametrize(
    ("baseline", "saving", "words"),
    [
        (Baseline(4, 9122, 12000, True), 0.5,
         "Filling cores greedily in node order: 9,122 on 4 cores, so 50.0 % fewer."),
        (Baseline(1, 0, 0, True), None, "Filling cores greedily in node order: 0 on 1 core."),
        (Baseline(9, 9122, None, False), None,
         "Filling cores greedily in node order would need 9 cores: it does not fit."),
        (None, None, "Filling cores greedily in node order finds no assignment."),
    ],
)  # fmt: skip
def test_the_greedy_mapper_in_words(baseline: Baseline | None, saving: float | None, words: str) -> None:
    placement = made(baseline=baseline)
    assert placement.saving == saving
    assert text.baseline_text(placement) == words
    far = ""
    if baseline is not None and baseline.message_hops is not None:
        far = f" (greedy, in rows: {baseline.message_hops:,})"
    assert text.hops_text(placement) == (
        f"Hops on the 2 x 2 mesh of routers: 4,562 message hops, 1 a message{far}"
    )  # fmt: skip
    data = placement.to_dict()
    assert data["saving"] == saving
    assert (data["greedy"] is None) == (baseline is None)


def test_the_summary() -> None:
    assert text.summary_lines(made()) == [
        "a small chip: 3 cores of 8 in use (by hand)",
        "Fullest: core 2 at (1, 0), 38 of 40 out-axons (95.0 %)",
        "Spike messages between cores: 4,561 over 2 samples of 20 steps (114.0 a step). "
        "Filling cores greedily in node order: 9,122 on 4 cores, so 50.0 % fewer.",
        "Hops on the 2 x 2 mesh of routers: 4,562 message hops, 1 a message (greedy, in rows: 12,000)",
        "Messages from Inputs, counted apart: 1,012",
    ]
    silent = made(traffic_matrix=np.diag([1, 2, 3]), input_messages=None, baseline=None, steps=0)
    lines = text.summary_lines(silent)
    assert lines[2].startswith("Spike messages between cores: 0 over 2 samples of 0 steps (0.0 a step).")
    assert lines[3] == "Hops on the 2 x 2 mesh of routers: 0 message hops, 0 a message"
    assert lines[4] == "Messages from Inputs: not known (a recording does not hold them)"
    memory = made(profile=replace(SMALL, memory_bits=2 * KIB))
    assert text.fullest_text(memory) == "Fullest: core 1 at (0, 1), 2.0 of 2.0 memory (KiB) (100.0 %)"


def test_a_row_for_each_core() -> None:
    headings, rows = text.core_rows(made())
    assert headings == (
        "core", "router", "neurons of", "compartments", "in-axons", "out-axons", "memory (KiB)", "decays", "thresholds",
        "sends", "gets", "fullest",
    )  # fmt: skip
    assert rows == [
        ("0", "(0, 0)", "a 2", "2", "6", "1", "1.0", "1", "1", "4,000", "560", "25 % memory"),
        ("1", "(0, 1)", "a 1, b 3", "4", "30", "4", "2.0", "2", "1", "500", "4,001", "50 % in-axons"),
        ("2", "(1, 0)", "a 1", "1", "3", "38", "0.2", "1", "1", "61", "0", "95 % out-axons"),
    ]
    lines = made().table().splitlines()
    table = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert [tuple(row) for row in table] == [headings, *rows]
    assert lines[-5:] == text.summary_lines(made())
    first = next(line for line in lines if line.startswith("│") and "(0, 0)" in line)
    assert "│ (0, 0) │ a 2  " in first  # words to the left
    assert "│            2 │" in first  # numbers to the right
    assert max(map(len, made().table(width=60).splitlines()[:-5])) <= 60


def test_a_table_is_not_folded_up_to_400_columns() -> None:
    def widest(name: str) -> tuple[int, int]:
        lines = [line for line in made(neurons={name: np.array([0, 1, 2])}).table().splitlines() if line[0] in "│╭"]
        return max(map(len, lines)), len(lines)

    wide, rows = widest("n" * 50)
    assert widest("n" * (50 + 400 - wide)) == (400, rows)
    assert widest("n" * (51 + 400 - wide))[1] > rows


def test_plain_data() -> None:
    data = made().to_dict()
    assert data["target"] == "small"
    assert (data["method"], data["steps"], data["samples"]) == ("by hand", 20, 2)
    assert (data["cores"], data["cores_available"]) == (3, 8)
    assert data["fullest"] == {"core": 2, "resource": "out_axons", "share": 0.95}
    assert (data["traffic"], data["message_hops"], data["input_messages"]) == (4561, 4562, 1012)
    assert data["greedy"] == {"cores": 4, "traffic": 9122, "message_hops": 12000, "fits": True}
    assert data["limits"]["memory_bits"] == 4 * KIB
    assert data["resources"]["in_axons"] == [6, 30, 3]
    assert data["positions"] == [[0, 0], [0, 1], [1, 0]]
    assert data["slots"] == [0, 5, 3]
    assert data["pairs"] == [
        {"from": 0, "to": 1, "messages": 4000, "hops": 1},
        {"from": 1, "to": 0, "messages": 500, "hops": 1},
        {"from": 2, "to": 0, "messages": 60, "hops": 1},
        {"from": 2, "to": 1, "messages": 1, "hops": 2},
    ]
    assert data["populations"]["a"] == {"messages": 4061, "message_hops": 5000, "local": 109, "spikes": 2000}
    assert data["neurons"] == {"a": [0, 0, 1, 2], "b": [1, 1, 1]}
    assert made(input_messages=None).to_dict()["input_messages"] is None


# --- the page


def _numbers(page: Page) -> dict[str, tuple[float, float]]:
    """Number of a core -> where it is written."""
    named = [(given, text) for given, text in page.texts if given.get("class") == "name"]
    return {text: (float(given["x"] or 0), float(given["y"] or 0)) for given, text in named}


def test_the_map_places_cores_by_router_and_slot() -> None:
    """Two cores a router side by side, 50 pixels; routers a block and a gap of 16 apart; the first row on top."""
    page = Page(fill_map(made(), "alt"))
    found = _numbers(page)
    x, y = found["0"]
    assert {name: (a - x, b - y) for name, (a, b) in found.items()} == {"0": (0, 0), "1": (50, 66), "2": (166, 0)}
    assert [text for _, text in page.texts] == ["0", "25 %", "2", "95 %", "1", "50 %"]  # slot by slot
    assert [text for _, text in Page(talk_map(made(), "alt")).texts][::2] == ["0", "2", "1"]
    (drawing,) = page.all("svg")
    assert (drawing["width"], drawing["height"]) == ("232", "132")  # 2 x (2 x 50 + 16) by 2 x (50 + 16)
    assert drawing["viewbox"] == "0 0 232 132"
    four = made(profile=replace(SMALL, cores=16, cores_per_router=4, memory_bits=4 * KIB), slots=np.array([0, 1, 2]))
    places = _numbers(Page(fill_map(four, "alt")))
    assert [(a - x, b - y) for a, b in places.values()] == [(0, 0), (50, 0), (0, 50)]  # a block of 2 x 2


def test_a_router_is_a_box_around_its_cores() -> None:
    page = Page(fill_map(made(), "alt"))
    boxes, cores = page.all("rect", "router"), [*page.all("rect", "used"), *page.all("rect", "free")]
    assert (len(boxes), len(cores)) == (4, 8)

    def edges(rect: Attributes) -> tuple[float, ...]:
        x, y, width, height = (float(rect[key] or 0) for key in ("x", "y", "width", "height"))
        return x, y, x + width, y + height

    def inside(core: Attributes, box: Attributes) -> bool:
        (a, b, c, d), (e, f, g, h) = edges(core), edges(box)
        return e < a < c < g and f < b < d < h

    assert [[inside(core, box) for box in boxes].count(True) for core in cores] == [1] * 8
    assert [[inside(core, box) for core in cores].count(True) for box in boxes] == [2] * 4


def test_lines_join_the_pairs_with_most_messages_of_both_directions() -> None:
    lines = Page(talk_map(made(), "alt")).all("line", "messages")
    width = {line["data-cores"]: float(line["stroke-width"] or 0) for line in lines}
    assert set(width) == {"0 1", "0 2", "1 2"}
    assert width["0 1"] == pytest.approx(4.5)  # all of the most there is
    assert width["0 2"] == pytest.approx(0.5 + 4 * 60 / 4500, abs=0.005)
    assert lines[-1]["data-cores"] == "0 1"  # on top


def test_the_scale_names_its_end_and_is_not_there_without_messages() -> None:
    """Core 0 sends 4,000 messages and gets 500 and 60."""
    page = Page(talk_map(made(), "alt"))
    assert page.words[:2] == ["0", "4,560 messages"]
    assert [given["class"] for given in page.all("i")] == ["swatch scale"]
    assert Page(fill_map(made(), "alt")).words[:2] == ["0", "100 %"]
    alone = made(traffic_matrix=np.diag([5, 5, 5]))
    assert talk_map(alone, "alt") == "<p>No message travels between cores.</p>"


def test_the_map_says_what_it_shows_and_scrolls_by_itself() -> None:
    page = Page(fill_map(made(), "a < b"))
    (drawing,), (around,) = page.all("svg"), page.all("div")
    assert (drawing["role"], drawing["aria-label"]) == ("img", "a < b")
    assert (around["class"], around["tabindex"]) == ("scroll", "0")


def test_only_the_80_strongest_pairs_are_drawn() -> None:
    n = 14  # 91 pairs
    flow = np.triu(np.arange(1, n * n + 1).reshape(n, n), 1)
    where = np.arange(n)
    wide = replace(LOIHI2, in_axons=100)
    many = made(
        profile=wide, slots=where, positions=slots(wide)[where], hops=distances(slots(wide)[where]),
        traffic_matrix=flow, resources={name: np.ones(n, dtype=int) for name in RESOURCES}, neurons={"a": where},
    )  # fmt: skip
    drawn = {line["data-cores"] for line in Page(talk_map(many, "alt")).all("line", "messages")}
    order = sorted(((flow[a, b], a, b) for a in range(n) for b in range(a + 1, n)), reverse=True)
    assert drawn == {f"{a} {b}" for _, a, b in order[:80]}


def test_the_page_says_what_the_table_says() -> None:
    placement = made()
    page = page_html(placement)
    assert "<title>3 of 8 cores: Placement on a small chip</title>" in page
    assert '<p class="asked">Placement on a small chip</p><h1 class="good">3 of 8 cores</h1>' in page
    assert "nothing was measured on a chip" in page
    assert text.fullest_text(placement) in page
    assert text.traffic_text(placement) in page
    assert [section.title for section in placement_sections(placement)] == [
        "How full the cores are", "Which cores talk", "Who sends", "Cores",
        "The chip's limits, and where they are from"]  # fmt: skip
    full, mesh, who, cores, limits = (section.html for section in placement_sections(placement))
    assert "All 8 cores on 2 x 2 routers, 2 cores each" in full
    for part in (text.hops_text(placement), text.inputs_text(placement),
                 text.baseline_text(placement)):  # fmt: skip
        assert part in mesh
    assert "4,061" in who
    assert "109" in who
    for heading in ("population", "messages", "message hops", "stay on a core"):
        assert f">{heading}<" in who
    assert "a 1, b 3" in cores
    assert "in_axons" in limits
    assert SMALL.sources["in_axons"] in limits


# --- the mesh


def test_the_busiest_core_goes_to_the_middle_and_ties_to_the_first() -> None:
    """A star: its centre where the four others are one hop away."""
    chip = replace(SMALL, cores=9, mesh=(3, 3), cores_per_router=1)
    flow = np.zeros((5, 5), dtype=int)
    flow[3, [0, 1, 2, 4]] = 10
    where = arranged(flow, chip, seed=0)
    assert where[3] == 4
    assert sorted(where[[0, 1, 2, 4]].tolist()) == [1, 3, 5, 7]
    assert np.array_equal(where, arranged(flow.T.copy(), chip, seed=0))  # who sends does not matter
    own = flow + np.diag([1000, 0, 0, 0, 0])
    assert arranged(own, chip, seed=0)[3] == 4  # what stays on a core pulls nothing
    assert own[0, 0] == 1000


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (Sent(0, 0, 0, 0), "no spikes on this input"),
        (Sent(0, 0, 0, 9), "no neuron that spiked leads to another"),
        (Sent(0, 0, 1, 1), ""),
        (Sent(1, 0, 0, 1), ""),
    ],
)
def test_why_nothing_was_counted(sent: Sent, said: str) -> None:
    placement = made(populations={"a": Sent(0, 0, 0, 0), "b": sent})
    wanted = f"Nothing was counted: {said}, so every placement has no traffic." if said else ""
    assert placement.counted is not bool(said)
    assert text.nothing_text(placement) == wanted
    assert ("Nothing was counted" in page_html(placement)) is bool(said)


def test_limits_are_in_words_not_in_python() -> None:
    values = (None, True, False, (8, 4), 1572864, 4, "LIF")
    assert [limit_text(v) for v in values] == ["no limit", "yes", "no", "8 x 4", "1,572,864", "4", "LIF"]
    shown = page_html(made(profile=LOIHI2))
    assert "<td>None</td>" not in shown
    assert "<td>no limit</td>" in shown
