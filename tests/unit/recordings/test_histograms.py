"""Histograms of weights that learn: bins by hand, and what a run keeps of them on its way."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import OptionError
from hasn.plasticity import Rule, attach
from hasn.recording import Recording
from hasn.recordings.asked import asked
from hasn.recordings.histograms import BINS, TIMES, Histograms, WeightHistogram
from hasn.recordings.room import row_bytes
from tests.unit.cli.conftest import need

INF = math.inf
T = 200


def of(made: Histograms) -> WeightHistogram:
    return WeightHistogram.of(made.table)


# --- bins


def test_between_two_bounds_bins_stay_where_they_are() -> None:
    made = Histograms(-1.0, 1.0, 7, np.array([-1.0, -1.0, 0.01, 1.0]))
    made.add(9, np.array([[-0.99, 0.02], [0.5, 1.0]]))
    found = of(made)
    assert found.step.tolist() == [7, 9]
    assert found.edges == pytest.approx(np.linspace(-1, 1, BINS + 1))
    first, last = found.counts
    assert {place: int(first[place]) for place in np.flatnonzero(first)} == {0: 2, BINS // 2: 1, BINS - 1: 1}
    assert {place: int(last[place]) for place in np.flatnonzero(last)} == {0: 1, 32: 1, 48: 1, 63: 1}  # 1/32 a bin
    assert found.mean == pytest.approx([-0.2475, 0.1325])
    assert found.sd == pytest.approx([np.std([-1, -1, 0.01, 1]), np.std([-0.99, 0.02, 0.5, 1])])
    assert found.at_low.tolist() == [0.5, 0.0]
    assert found.at_high.tolist() == [0.25, 0.25]
    assert found.figures() == {
        "start": {"mean": pytest.approx(-0.2475), "sd": found.sd[0], "at_low": 0.5, "at_high": 0.25},
        "end": {"mean": pytest.approx(0.1325), "sd": found.sd[1], "at_low": 0.0, "at_high": 0.25},
    }


@pytest.mark.parametrize("bounds", [(-INF, INF), (0.0, INF), (-INF, 4.0)])
def test_without_bounds_bins_reach_all_weights_of_all_times(bounds: tuple[float, float]) -> None:
    """Counts of earlier times are those of the final bins, counted anew."""
    rng = np.random.default_rng(1)
    courses = [rng.uniform(1, 2, 50), rng.uniform(0.2, 3.9, 50), rng.uniform(0.3, 2.5, 50)]
    if bounds[1] == INF:
        courses.append(rng.uniform(1, 900, 50))
    if bounds[0] == -INF:
        courses.append(rng.uniform(-70, 3, 50))
    made = Histograms(*bounds, 0, courses[0])
    for step, weights in enumerate(courses[1:], 1):
        made.add(step, weights)
    found = of(made)
    assert found.edges[0] <= min(map(np.min, courses))
    assert found.edges[-1] >= max(map(np.max, courses))
    for counts, weights in zip(found.counts, courses, strict=True):
        assert counts.tolist() == np.histogram(weights, found.edges)[0].tolist()
        assert counts.sum() == 50
    if math.isfinite(bounds[0]):
        assert found.edges[0] == bounds[0]
    if math.isfinite(bounds[1]):
        assert found.edges[-1] == bounds[1]


@pytest.mark.parametrize("start", [0.0, 5.0, -3e-5, 1e9])
def test_weights_that_are_all_alike_have_bins_too(start: float) -> None:
    made = Histograms(-INF, INF, 0, np.full(6, start))
    made.add(1, np.full(6, start))
    found = of(made)
    assert found.edges[0] < start < found.edges[-1]
    assert found.counts.max(axis=1).tolist() == [6, 6]
    assert found.sd.tolist() == [0.0, 0.0]


def test_bounds_are_met_in_the_weights_own_precision() -> None:
    """0.1 as float32 is more than 0.1, and 0.7 less than 0.7."""
    weights = np.array([0.1, 0.1, 0.4, 0.7], dtype=np.float32)
    found = of(Histograms(0.1, 0.7, 0, weights))
    assert (found.at_low[0], found.at_high[0]) == (0.5, 0.25)
    assert (found.edges[0], found.edges[-1]) == (0.1, 0.7)
    assert (found.counts[0, 0], found.counts[0, -1]) == (2, 1)


def test_a_rule_without_bounds_has_no_weight_at_them_and_what_is_not_finite_in_no_bin() -> None:
    made = Histograms(-INF, INF, 0, np.array([1.0, 2.0]))
    made.add(1, np.array([np.nan, 3.0]))
    found = of(made)
    assert found.at_low.tolist() == found.at_high.tolist() == [0.0, 0.0]
    assert found.counts.sum(axis=1).tolist() == [2, 1]
    assert found.mean[1] == 3.0


# --- in a run


def network(rule: Rule | None = None) -> nir.NIRGraph:
    """Three inputs on two cells that spike at every other step or so; every spike of a target moves its weights."""
    cells = nir.LIF(np.full(2, 20e-3), np.full(2, 20.0), np.zeros(2), np.full(2, 1.0), np.zeros(2))
    weight = np.array([[0.2, 0.4, 0.6], [0.5, 0.3, 0.1]])
    nodes = {"input": nir.Input(np.array([3])), "fc": nir.Linear(weight), "cells": cells}
    nodes["output"] = nir.Output(np.array([2]))
    chain = [("input", "fc"), ("fc", "cells"), ("cells", "output")]
    graph = nir.NIRGraph(nodes, chain, metadata={"dt": 1e-3}, type_check=False)
    moves = "0.01 * pre * post - 0.004 * post"
    return attach(graph, "fc", rule or Rule(moves, w_min=0.0, w_max=0.62))


def inputs(*batch: int) -> np.ndarray:
    return (np.random.default_rng(2).random((T, *batch, 3)) < 0.4).astype(float)


def recorded(backend: str = "snntorch", batch: tuple[int, ...] = (), **options: Any) -> tuple[Recording, Any]:
    """A run with histograms, and the course of all weights, (T + 1[, batch], 2, 3)."""
    need(backend)
    graph, x = network(), inputs(*batch)
    with hasn.compile(graph, backend, precision="float64") as executable:
        course = executable.run(x, record="weights").series["weights"]["fc"]
        found = executable.run(x, **{"record": ("spikes", "counts", "histograms"), **options})
    start = np.broadcast_to(graph.nodes["fc"].weight, course[:1].shape)
    return found, np.concatenate([start, course])


@pytest.mark.parametrize("backend", ["snntorch", "brian2"])
def test_a_run_keeps_histograms_of_the_weights_that_it_had(backend: str) -> None:
    found, course = recorded(backend)
    histogram = found.histograms["fc"]
    assert histogram.step[0] == 0
    assert histogram.step[-1] == T
    assert TIMES // 2 < len(histogram.step) <= TIMES + 1
    assert (np.diff(histogram.step) > 0).all()
    for step, counts, mean, low, high in zip(
        histogram.step, histogram.counts, histogram.mean, histogram.at_low, histogram.at_high, strict=True
    ):
        assert counts.tolist() == np.histogram(course[step], histogram.edges)[0].tolist()
        assert mean == pytest.approx(course[step].mean(), rel=1e-12)
        assert low == (course[step] == 0.0).mean()
        assert high == (course[step] == 0.62).mean()
    assert histogram.at_high[-1] > 0 or histogram.at_low[-1] > 0  # or they would show nothing
    assert found.counts.total_spikes == found.spikes["cells"].sum() > 0
    assert "weights" not in found.series
    assert found.steps == T


def test_each_step_of_a_short_run_and_all_samples_of_a_batch() -> None:
    need("snntorch")
    with hasn.compile(network()) as executable:
        executable.run(inputs(4)[:5], record="histograms")
        found = executable.run(inputs(4)[:5], record=["histograms"]).histograms["fc"]
    assert found.step.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.counts.sum(axis=1).tolist() == [24] * 6
    _, course = recorded(batch=(4,))
    assert found.mean == pytest.approx([course[t].mean() for t in range(6)], rel=1e-12)


def test_chosen_synapses() -> None:
    found, course = recorded(record={"histograms": {"fc": [(0, 2), (1, 0)]}})
    table = found.histograms["fc"]
    wanted = course[:, [0, 1], [2, 0]]
    assert table.counts.sum(axis=1).tolist() == [2] * len(table.step)
    assert table.mean == pytest.approx(wanted[table.step].mean(axis=1), rel=1e-12)
    assert found.neurons["histograms"]["fc"].tolist() == [2, 3]


def test_it_begins_with_the_weights_of_the_state() -> None:
    need("snntorch")
    with hasn.compile(network()) as executable:
        executable.run(inputs(), record="spikes", keep_state=True)
        weights = executable.weights("fc")
        found = executable.run(inputs(), record="histograms", state=executable.state()).histograms["fc"]
    assert (found.step[0], found.step[-1]) == (T, 2 * T)
    assert found.mean[0] == pytest.approx(weights.mean(), rel=1e-12)
    assert found.mean[0] != pytest.approx(network().nodes["fc"].weight.mean(), rel=1e-3)


def test_what_is_in_a_file_is_what_was_kept(tmp_path: Path) -> None:
    kept, _ = recorded()
    kept.save(tmp_path / "saved.npz")
    spooled, _ = recorded(to=tmp_path / "spooled.npz")
    for found in (Recording.load(tmp_path / "saved.npz"), spooled, Recording.load(tmp_path / "spooled.npz")):
        for name in ("step", "mean", "sd", "at_low", "at_high", "edges", "counts"):
            ours, theirs = getattr(found.histograms["fc"], name), getattr(kept.histograms["fc"], name)
            assert np.array_equal(ours, theirs)
    assert kept.histograms["fc"].counts.any()


def test_a_network_that_does_not_learn_has_none() -> None:
    need("snntorch")
    with hasn.compile(hasn.plasticity.detach(network(), "fc")) as executable:
        with pytest.raises(OptionError, match="histograms") as raised:
            executable.run(inputs(), record="histograms")
        assert "histograms" not in str(raised.value.wanted)
        assert executable.run(inputs()).histograms == {}
    with hasn.compile(network()) as executable, pytest.raises(OptionError) as raised:
        executable.run(inputs(), record="nothing")
    assert "histograms" in str(raised.value.wanted)


# --- the room that weights take


def test_a_recording_of_weights_is_as_large_as_there_are_synapses() -> None:
    program = hasn.lower(network())
    groups = ("spikes", "weights")

    def taken(record: Any, every: int = 1) -> dict[str, float]:
        return row_bytes(program, asked(record, program, groups, every))

    cells = {"cells": 2.0, "output": 16.0, "input": 24.0}
    assert taken(groups) == {**cells, "fc": 6 * 8}
    assert taken({"weights": True, "outputs": False}, every=4) == {"fc": 6 * 8 / 4}
    assert taken({"weights": {"fc": [1, 5]}, "outputs": False}) == {"fc": 2 * 8}
    assert taken({"histograms": True, "outputs": False}) == {}


def test_a_piece_of_a_run_holds_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """All nodes have 3 + 2 + 2 + 2 numbers a step, and the weights 6 more: 30 hold two steps, or three without."""
    need("snntorch")
    seen: list[int] = []
    with hasn.compile(network()) as executable:
        pieces = type(executable)._run_pieces

        def watched(self: Any, given: Any, record: Any) -> Any:
            for part, raw in pieces(self, given, record):
                seen.append(part.steps)
                yield part, raw

        monkeypatch.setattr(type(executable), "_run_pieces", watched)
        monkeypatch.setattr(type(executable), "_piece", 30)
        thinned = executable.run(inputs()[:6], record={"weights": True}, every=4)
        assert seen == [2, 2, 2]
        assert len(thinned.series["weights"]["fc"]) == 2
        seen.clear()
        executable.run(inputs()[:6], record={"spikes": True})
        assert seen == [3, 3]
