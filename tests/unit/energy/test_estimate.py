"""Runs priced, worked out by hand."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hasn.counts import Counts, Operations
from hasn.energy import estimate
from hasn.energy.profile import parsed
from hasn.errors import FileError, InputError, OptionError
from hasn.recording import Recording
from tests.unit.energy.runs import made, small

PJ = 1e-12
#: pytest's own absolute tolerance is a picojoule.
near = partial(pytest.approx, rel=1e-9, abs=0)


def test_loihi_1_by_hand() -> None:
    report = estimate(made(), "loihi1")
    assert report.by_term() == near(
        {"synaptic_operation": 40 * 23.6 * PJ, "active_update": 60 * 81 * PJ, "inactive_update": 40 * 52 * PJ}
    )
    assert report.by_node() == near({"w": 944 * PJ, "n": (4860 + 2080) * PJ})
    total = (944 + 4860 + 2080) * PJ
    assert report.joules == near(total)
    assert report.per_inference == near(total / 2)
    assert report.per_second == near(total / (2 * 10 * 1e-3))
    # simulated: twice, or half; but for the synaptic operation, which is a minimum
    assert report.band == near(((944 + 2430 + 1040) * PJ, 2 * total))
    assert report.grades == ("simulated",)
    assert {"a spike to one core", "a hop of a message along a row", "a second of the chip, whatever it does"} <= set(
        report.left_out
    )


def test_numbers_at_a_synapse_are_operations_too() -> None:
    connections = {"w": Operations(30, 0, 600, 600, 0, 600), "v": Operations(5, 10, 100, 4, 6, 10)}
    report = estimate(made(connections=connections), "loihi1")
    assert report.by_node()["w"] == near(600 * 23.6 * PJ)
    assert report.by_node()["v"] == near(10 * 23.6 * PJ)
    snn = estimate(made(connections=connections), "cmos45-snn-memory")
    assert snn.by_node()["v"] == near((4 * 4.6 + 6 * 0.9 + 10 * 5) * PJ)
    tissue = estimate(made(connections=connections), "howarth-2012")
    assert "numbers at synapses" in tissue.left_out
    assert tissue.by_node()["w"] == 0
    assert "numbers at synapses" not in estimate(made(), "howarth-2012").left_out


def test_learning_is_priced_or_named() -> None:
    recording = made(plastic_updates={"w": 300})
    assert estimate(recording, "loihi1").by_term()["plastic_update"] == near(300 * 120 * PJ)
    what = "updates of weights that learn"
    assert what in estimate(recording, "truenorth").left_out
    assert what not in estimate(made(), "truenorth").left_out
    assert what not in estimate(recording, "loihi1").left_out


def test_static_power_is_counted_where_it_is_asked_for() -> None:
    """29 mW for two samples of 10 ms; else it is named."""
    still, on = estimate(made(), "loihi1"), estimate(made(), "loihi1", static=True)
    what = "a second of the chip, whatever it does"
    assert still.left_out[what].startswith("29 mW, measured; counted where it is asked for")
    assert what not in on.left_out
    assert on.by_term()["static_power"] == near(29e-3 * 20e-3)
    assert "static_power" not in still.by_term()
    assert what in estimate(made(), "loihi2", static=True).left_out  # never another chip's


def test_an_all_in_figure_stands_alone() -> None:
    report = estimate(made(), "truenorth")
    assert report.by_term() == near({"synaptic_operation": 40 * 26 * PJ})
    assert set(report.left_out) == {"what enters or leaves the chip"}
    assert report.band == near((1040 * PJ / 1.2, 1040 * PJ * 1.2))


def test_what_is_not_published_is_unknown_and_never_0() -> None:
    report = estimate(made(), "loihi2")
    assert (report.joules, report.band, report.per_inference, report.per_second) == (None, None, None, None)
    assert (report.known, report.by_node(), report.by_term()) == (False, {}, {})
    assert "an event at a synapse, or a number at one" in report.left_out
    assert "Unknown: nothing that was done has a price." in report.table()
    data = json.loads(report.to_json())
    assert (data["joules"], data["low"], data["bound"]) == (None, None, None)
    bounded = estimate(made(), "loihi2", bound=True)
    assert bounded.joules == estimate(made(), "loihi1").joules
    assert (bounded.profile, bounded.bound) == ("loihi2", "loihi1")
    assert bounded.title == "Loihi 2, by loihi1's constants as a bound"
    assert estimate(made(), "loihi1", bound=True).bound == ""
    # what a file knows itself stays: 40 operations of 1 pJ, and Loihi 1's 60 active and 40 inactive updates
    known = {"condition": "x", "source": "lab book", "unit": "pJ"}
    own = parsed("mine", {"kind": "chip", "bounded_by": "loihi1", "constant": [
        {"term": "synaptic_operation", "value": 1, "grade": "measured", **known},
        {"term": "neuron_update", "grade": "unknown", **known},
    ]})  # fmt: skip
    assert estimate(made(), own, bound=True).by_term() == pytest.approx(
        {"synaptic_operation": 40e-12, "active_update": 60 * 81e-12, "inactive_update": 40 * 52e-12}, rel=1e-9, abs=0
    )
    for name in ("cpu", "gpu"):
        assert estimate(made(), name).joules is None
        assert estimate(made(), name, measured=3.0).per_inference == 1.5
        assert estimate(made(), name, measured=3.0).band == (3.0, 3.0)


def test_sources_that_disagree_are_accounts() -> None:
    report = estimate(made(), "spinnaker1")
    sharp = 40 * 43e-9 + 5 * 2 * 10 * 1e-3 * 100e-6  # synaptic events; 5 neurons for 2 x 10 ms
    hoeppner, albada = 40 * 13.3e-9 + 100 * 26e-9, 40 * 5.9e-6
    assert sum(report.by_term("Sharp 2012").values()) == near(sharp)
    assert sum(report.by_node("Hoeppner 2019").values()) == near(hoeppner)
    low, high = min(sharp, hoeppner, albada), max(sharp, hoeppner, albada)
    assert report.band == near((low, high))
    assert report.joules == near((low * high) ** 0.5)
    with pytest.raises(InputError, match="several accounts that disagree; wanted Sharp 2012, Hoeppner 2019, van Alb"):
        report.by_node()
    with pytest.raises(InputError, match="there is no such account; got 'nobody'"):
        report.by_term("nobody")


def test_an_ann_of_equal_shape_passes_once() -> None:
    assert estimate(made(), "cmos45-ann").joules == near(30 * 2 * 4.6 * PJ)
    assert estimate(made(), "cmos45-ann-memory").joules == near(30 * 2 * (4.6 + 5) * PJ)


def test_tissue_from_a_runs_spikes() -> None:
    atp = 50e3 / 6.02214076e23
    report = estimate(made(), "attwell-laughlin-2001")
    lived = 5 * 2 * 10e-3  # neurons times seconds
    assert report.by_term() == near({
        "action_potential": 7 * 3.84e8 * atp, "resting_neuron": lived * 3.42e8 * atp,
        "resting_glia": lived * 1.02e8 * atp, "postsynaptic": 10 * 1.4e5 * atp, "presynaptic_calcium": 10 * 1.2e4 * atp,
        "vesicle_cycling": 10 * 821 * atp, "glutamate_recycling": 10 * 1.1e4 * atp,
    })  # fmt: skip
    twice = estimate(made(), "attwell-laughlin-2001", release_probability=0.5, joules_per_mol=25e3)
    assert twice.by_term()["postsynaptic"] == near(report.by_term()["postsynaptic"])
    assert twice.by_term()["action_potential"] == near(report.by_term()["action_potential"] / 2)
    assert "network_synchrony" not in report.by_term()
    more = estimate(made(), "attwell-laughlin-2001", synchrony=1e8)
    assert more.by_term()["network_synchrony"] == near(lived * 1e8 * atp)
    with pytest.raises(OptionError, match="lennie-2003 has everything in one figure: nothing is added to it"):
        estimate(made(), "lennie-2003", synchrony=1e8)
    with pytest.raises(OptionError, match="synchrony: only tissue has it"):
        estimate(made(), "loihi1", synchrony=1e8)


def test_a_threshold_without_a_population_is_no_cell() -> None:
    assert estimate(made(spikes={"n": 7, "t": 9}), "lennie-2003").by_node().keys() == {"n"}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"release_probability": 1.5}, r"release_probability: makes no sense; got 1.5; wanted 0 to 1"),
        ({"release_probability": -0.1}, "release_probability"),
        ({"joules_per_mol": 0}, r"joules_per_mol: makes no sense; got 0; wanted a number > 0"),
        ({"joules_per_mol": float("inf")}, "joules_per_mol"),
        ({"synchrony": -1.0}, "synchrony: makes no sense; got -1.0; wanted a number >= 0"),
        ({"measured": -2.0}, "measured"),
        ({"measured": True}, "measured"),
        ({"release_probability": float("nan")}, "release_probability"),
        ({"profile": "loihi9"}, "there is no such profile"),
    ],
)
def test_numbers_that_make_no_sense(how: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        estimate(made(), **how)


def test_what_a_recording_did_not_keep() -> None:
    with pytest.raises(InputError, match=r"node 'n' counts: its active updates were not counted.*'counts': 'active'"):
        estimate(made(active_updates={}), "loihi1")
    assert estimate(made(active_updates={}), "truenorth").known
    for name in ("loihi1", "truenorth", "cmos45-ann"):
        with pytest.raises(InputError, match=r"node 'm' counts: its spikes were not recorded.*Record 'spikes'"):
            estimate(made(unknown=("m",)), name)
        with pytest.raises(InputError, match=r"nothing but spikes was counted.*Record 'counts' as well"):
            estimate(made(counted=False), name)


def test_a_range_of_steps() -> None:
    recording = small()
    whole, part = estimate(recording, "truenorth"), estimate(recording, "truenorth", steps=(1, 3))
    assert whole.joules == near(4 * 3 * 26 * PJ)
    assert (part.joules, part.steps) == (near(2 * 3 * 26 * PJ), 2)
    assert part.per_second == near(whole.per_second)


def placed(**sent: int) -> Any:
    """Two cores, 2 columns and 1 row apart; 6 messages from the first, 2 from the second, 4 that stay."""
    between = np.array([[0, 6], [2, 0]])
    numbers = {"messages": 8, "local": 4, "message_hops": 24, "spikes": 14, **sent}
    return SimpleNamespace(
        positions=np.array([[0, 0], [2, 1]]), between=between, message_hops=24,
        populations={"n": SimpleNamespace(**numbers)},
    )  # fmt: skip


def test_messages_and_hops_with_a_placement() -> None:
    """The calibration had 14 spikes and this run has 7: half of its messages and hops."""
    terms = estimate(made(), "loihi1", placed()).by_term()
    assert terms["message"] == near((8 + 4) / 2 * 1.7 * PJ)
    assert terms["hop_east_west"] == near(8 * 2 / 2 * 3.0 * PJ)
    assert terms["hop_north_south"] == near(8 * 1 / 2 * 4.0 * PJ)
    assert "a spike to one core" not in estimate(made(), "loihi1", placed()).left_out
    with pytest.raises(InputError, match="node 'n' placement: it was silent when the placement was made"):
        estimate(made(), "loihi1", placed(spikes=0))
    quiet = estimate(made(spikes={"n": 0}), "loihi1", placed(spikes=0))
    assert quiet.by_term()["message"] == 0
    with pytest.raises(InputError, match="node 'n' placement: the placement is of another network; wanted m"):
        estimate(made(neuron_updates={"m": 100}, active_updates={"m": 1}, spikes={"m": 1}), "loihi1", placed())


def test_the_report_as_text_picture_and_json(tmp_path: Path) -> None:
    report = estimate(made(), "loihi1")
    text = report.table()
    assert "n     active_update          60  4.86 nJ  simulated" in text
    assert "3.94 nJ an inference (2.21 nJ to 7.88 nJ); 394 nW of model time" in text
    assert "Not in it: a spike to one core: no placement was given (hasn place)" in text
    assert "Account: van Albada 2018" in estimate(made(), "spinnaker1").table()
    figure = report.plot(tmp_path / "bars.png")
    assert (tmp_path / "bars.png").read_bytes()[:4] == b"\x89PNG"
    (updates,) = [p for p in figure.axes[0].patches if p.get_height() == near(2080 * PJ)]
    assert (updates.get_x() + updates.get_width() / 2, updates.get_y()) == near((1, 4860 * PJ))  # on top
    heights = [patch.get_height() for patch in figure.axes[0].patches]
    assert sum(heights) == near(report.joules)
    data = json.loads(report.to_json())
    assert data["joules_per_inference"] == near(3.942e-9)
    assert data["prices"][0]["source"].startswith("Davies et al.")
    assert figure.axes[0].get_ylim() == near((0, 1.1 * 6940 * PJ))
    accounts = estimate(made(), "spinnaker1").plot().axes  # a panel each, on scales of their own
    assert [axes.get_title() for axes in accounts] == ["Sharp 2012", "Hoeppner 2019", "van Albada 2018"]
    assert [[label.get_text() for label in axes.get_xticklabels()] for axes in accounts] == [["w", "n"]] * 2 + [["w"]]
    assert max(patch.get_height() for patch in accounts[2].patches) == near(40 * 5.9e-6)
    unknown = estimate(made(), "loihi2").plot().axes[0]
    assert unknown.patches[:] == []
    assert [text.get_text() for text in unknown.texts] == ["unknown: nothing that was done has a price"]
    for place in (tmp_path / "none" / "bars.png", tmp_path / "bars.foo"):
        with pytest.raises(FileError, match=r"the picture cannot be written; got .*(No such file|not supported)"):
            report.plot(place)


def test_a_backends_recording_is_priced() -> None:
    report = estimate(small(real=True), "cmos45-snn")
    assert report.by_term()["mac"] == near(4 * 3 * 4.6 * PJ)
    assert report.by_term()["ac"] == 0
    assert isinstance(small(), Recording)
    assert isinstance(small().counts, Counts)
