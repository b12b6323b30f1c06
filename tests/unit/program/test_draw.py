"""A Program as text: what `hasn info --program` prints."""

from __future__ import annotations

import nir
import numpy as np

from hasn.ir.lower import lower
from hasn.program.describe import details_of, kind_of, span, summaries
from hasn.program.draw import program_text
from tests import graphs

ONES = np.ones(2)
ZEROS = np.zeros(2)


def _cell(text: str, name: str, column: int) -> str:
    """A cell of the row that has ``name`` as its node (later lines of the cell are left out)."""
    rows = [[cell.strip() for cell in line.split("│")] for line in text.splitlines() if line.startswith("│")]
    return next(row for row in rows if row[2] == name)[column]


def test_every_neuron_keeps_its_name_in_nir() -> None:
    draw = graphs.Draw(1)
    for kind in ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF"):
        program = lower(graphs.chain(draw.neuron(kind, (2,)), given=(2,), result=(2,)), dt=1e-3)
        assert kind_of(program.node("n1")) == kind


def test_coefficients_are_the_discretised_ones() -> None:
    lif = nir.LIF(tau=ONES * 0.02, r=ONES * 2, v_leak=ONES * 0.1, v_threshold=np.array([1.0, 1.5]), v_reset=ONES * -0.2)
    zero, subtract = (
        lower(graphs.chain(lif, given=(2,), result=(2,)), dt=1e-3, reset=how) for how in ("zero", "subtract")
    )
    assert details_of(zero.node("n1"), 1e-3) == (
        "v ← 0.95 v + 0.1 I + 0.005",
        "spike where v > 1 .. 1.5",
        "then v ← -0.2",
    )
    assert details_of(subtract.node("n1"), 1e-3)[-1] == "then v ← v − [1.2 .. 1.7]"


def test_maps_tell_their_geometry_and_delays_their_steps() -> None:
    draw = graphs.Draw(2)
    nodes = [
        draw.conv2d(4, 2, (3, 2), stride=(2, 1), padding=(1, 0), groups=2),
        nir.AvgPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
        nir.Flatten({"input": np.array([4, 2, 3])}, 0, -1),
        nir.Delay(np.full(24, 3e-3)),
        nir.Scale(np.linspace(0.5, 2.0, 24)),
    ]
    program = lower(graphs.chain(*nodes, given=(2, 7, 7), result=(24,)), dt=1e-3)
    found = {summary.name: summary for summary in summaries(program)}
    assert [found[f"n{k}"].kind for k in range(1, 6)] == ["Conv2d", "AvgPool2d", "Reshape", "Delay", "Scale"]
    assert "stride 2 × 1, padding 1, 0, 2 groups" in found["n1"].details
    assert found["n2"].details == ("mean over 2 × 2, stride 2 × 2",)
    assert found["n4"].details == ("delay 3 steps = 3 ms",)
    assert found["n5"].details == ("times 0.5 .. 2",)
    assert found["n1"].shape == (4, 4, 6)


def test_text_marks_feedback_and_tells_the_shifts_of_hardware() -> None:
    draw = graphs.Draw(3)
    nodes = {"input": graphs.inp(2), "lif": draw.lif(2), "back": draw.linear(2, 2), "output": graphs.out(2)}
    text = program_text(lower(graphs.graph(nodes, "input > lif > output", "lif > back > lif"), dt=1e-4))
    assert "4 nodes in the order of evaluation (dt 0.1 ms, euler, synchronous timing)" in text
    assert "back (1 step late)" in text
    assert "1 step = 0.1 ms" in text  # the projection lif -> lif
    assert text.splitlines()[-1].endswith("that it runs late: lif +1")


def test_text_names_a_cycle_that_hardware_cannot_run() -> None:
    draw = graphs.Draw(3)
    nodes = {"input": graphs.inp(2), "a": draw.lif(2), "ab": draw.linear(2, 2), "b": draw.lif(2),
             "ba": draw.linear(2, 2), "output": graphs.out(2)}  # fmt: skip
    text = program_text(lower(graphs.graph(nodes, "input > a > ab > b > ba > a", "b > output"), dt=1e-3))
    last = text.splitlines()[-1]
    assert "cannot be retimed" in last
    assert "has 1 step(s) of delay and its connections take 2" in last


def test_text_keeps_to_its_width_and_names_every_node() -> None:
    program = lower(graphs.small_net(), dt=1e-3)
    text = program_text(program, width=90)
    assert max(len(line) for line in text.splitlines() if line[:1] in "│╭╰├") <= 90
    assert _cell(text, "n1", 3) == "Affine"
    assert _cell(text, "n1", 4) == "5"
    assert _cell(text, "n4", 3) == "LIF"


def test_spans() -> None:
    assert (span(np.full(3, 0.1)), span([1, 2.5]), span(np.zeros(0))) == ("0.1", "1 .. 2.5", "none")
