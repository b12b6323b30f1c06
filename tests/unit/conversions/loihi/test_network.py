"""QuantisedNetwork: what a file keeps, data in and volts out, and what is not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.conversions.loihi.network import KEY, QuantisedNetwork, Scale
from hasn.errors import FileError, InputError, OptionError, TimeStepError
from hasn.program.integers.encode import chip_neuron
from tests.graphs import graph, inp, out
from tests.unit.conversions.loihi.nets import DT


def pair(**metadata: Any) -> nir.NIRGraph:
    """Two Inputs, two populations: a (2) and b (3), which does not spike."""
    nodes = {
        "x": inp(2), "y": inp(3), "w": nir.Scale(np.array([4.0, 6.0])), "v": nir.Linear(2.0 * np.ones((3, 3))),
        "a": chip_neuron((2,), dt=DT, dv=9, vth=40), "b": chip_neuron((3,), dt=DT, dv=9), "oa": out(2), "ob": out(3),
    }  # fmt: skip
    return graph(nodes, "x > w > a > oa", "y > v > b > ob", **metadata)


SCALES = {
    "a": Scale(np.array([128.0, 256.0]), np.array([0.5, -1.0])),
    "b": Scale(np.full(3, 64.0), np.zeros(3)),
}


def made(**changes: Any) -> QuantisedNetwork:
    given = {
        "graph": pair(dt=DT),
        "target": "loihi1",
        "dt": DT,
        "scales": SCALES,
        "input_scales": {"x": 10.0, "y": 1.0},
    }
    return QuantisedNetwork(**{**given, **changes})


def test_a_copy_with_metadata_says_all_that_a_file_keeps() -> None:
    network = made(timing="hardware")
    copy = network.with_metadata()
    assert KEY not in network.graph.metadata
    assert {key: copy.metadata[key] for key in ("dt", "timing")} == {"dt": DT, "timing": "hardware"}
    assert json.loads(copy.metadata[KEY]) == {
        "target": "loihi1",
        "scales": {
            "a": {"scale": [128.0, 256.0], "offset": [0.5, -1.0]},
            "b": {"scale": [64.0] * 3, "offset": [0.0] * 3},
        },
        "input_scales": {"x": 10.0, "y": 1.0},
    }
    assert made(graph=pair(), dt=2 * DT).with_metadata().metadata["dt"] == 2 * DT
    read = QuantisedNetwork.of_graph(copy)
    assert (read.target, read.timing, read.dt, read.input_scales) == ("loihi1", "hardware", DT, {"x": 10.0, "y": 1.0})
    for name, scale in SCALES.items():
        np.testing.assert_array_equal(read.scales[name].scale, scale.scale)
        np.testing.assert_array_equal(read.scales[name].offset, scale.offset)
    assert {p.delay for p in read.integers.projections} == {1}  # hardware: every connection takes a step
    # What the call says wins over what the file says.
    chosen = QuantisedNetwork.of_graph(copy, target="loihi2", timing="synchronous", dt=DT)
    assert (chosen.target, chosen.timing) == ("loihi2", "synchronous")
    assert {p.delay for p in chosen.integers.projections} == {0}


@pytest.mark.parametrize("kept", [None, "no JSON", "[1, 2]", "{}", 7.5])
def test_a_graph_that_hasn_did_not_write_has_the_defaults(kept: Any) -> None:
    read = QuantisedNetwork.of_graph(pair(dt=DT, **({} if kept is None else {KEY: kept})))
    assert (read.target, read.timing, read.dt, read.scales, read.input_scales) == ("loihi2", "synchronous", DT, {}, {})


def test_its_repr_leaves_out_graphs_scales_and_report() -> None:
    assert repr(made(floating=pair())) == (
        "QuantisedNetwork(target='loihi1', dt=0.001, timing='synchronous', input_scales={'x': 10.0, 'y': 1.0})"
    )


def test_dt_is_asked_for_where_the_graph_has_none() -> None:
    with pytest.raises(TimeStepError, match="the time step is not known"):
        QuantisedNetwork.of_graph(pair())
    assert QuantisedNetwork.of_graph(pair(), dt=DT).dt == DT


def test_a_file_is_kept_unless_force_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "a.nir"
    made().save(path)
    before = path.read_bytes()
    with pytest.raises(FileError, match="exists and is kept"):
        made(target="loihi2").save(path)
    assert path.read_bytes() == before
    made(target="loihi2").save(path, force=True)
    assert QuantisedNetwork.of_graph(hasn.load(path)).target == "loihi2"


def test_data_are_scaled_and_rounded_by_input() -> None:
    network = made()
    found = network.inputs({"x": [[0.04, -0.06]], "y": [[1, 0, 2]]})
    assert {name: value.tolist() for name, value in found.items()} == {"x": [[0, -1]], "y": [[1, 0, 2]]}
    assert made(input_scales={}).inputs({"x": [[0.4, 1.6]]})["x"].tolist() == [[0, 2]]
    with pytest.raises(InputError, match="several Inputs: one array is not enough; wanted x, y") as error:
        network.inputs(np.ones((4, 2)))
    assert error.value.parameter == "data"
    with pytest.raises(InputError, match="there is no such Input; wanted x, y") as error:
        network.inputs({"z": [[1.0]]})
    assert error.value.node == "z"
    one = graph({"x": inp(2), "a": pair().nodes["a"], "w": pair().nodes["w"], "o": out(2)}, "x > w > a > o", dt=DT)
    assert made(graph=one).inputs([[0.25, 0.31]]).tolist() == [[2, 3]]
    assert made(graph=one).inputs(np.array([[True, False]])).dtype == np.float64


@pytest.mark.parametrize("given", [np.array([[1 + 1j, 0]]), np.array([["1", "0"]]), [[1], [1, 2]]])
def test_data_that_are_no_real_numbers_are_refused_not_cut(given: Any) -> None:
    with pytest.raises(InputError, match="node 'x' inputs: not an array of real numbers"):
        made().inputs({"x": given})


def test_voltages_in_volts() -> None:
    assert made().volts("a", [[64, 64], [0, -256]]).tolist() == [[1.0, -0.75], [0.5, -2.0]]
    with pytest.raises(OptionError, match="its scale is not known; wanted a, b") as error:
        made().volts("c", 0)
    assert (error.value.node, error.value.parameter) == ("c", "population")
    with pytest.raises(OptionError) as error:
        made(scales={}).volts("a", 0)
    assert error.value.wanted is None


def test_what_the_integers_stand_for_without_the_float_graph() -> None:
    """v = v_chip / scale + offset; a unit of input is a 10th in volts' own units."""
    found = made().dequantised()
    a, b = found.nodes["a"], found.nodes["b"]
    tau = 4096 / 9
    np.testing.assert_allclose(a.tau, tau * DT)
    np.testing.assert_allclose(a.r, 64 * tau / np.array([128.0, 256.0]))
    np.testing.assert_allclose(a.v_threshold, 40 * 64 / np.array([128.0, 256.0]) + [0.5, -1.0])
    np.testing.assert_allclose(a.v_reset, [0.5, -1.0])
    np.testing.assert_allclose(a.v_leak, [0.5, -1.0])
    np.testing.assert_allclose(a.metadata["v_init"], [0.5, -1.0])
    np.testing.assert_allclose(b.r, np.full(3, tau))
    assert "v_init" not in b.metadata
    assert "v_init" not in made().graph.nodes["a"].metadata
    np.testing.assert_array_equal(found.nodes["x_scale"].scale, [10.0, 10.0])
    assert set(found.nodes) == {*made().graph.nodes, "x_scale"}
    assert set(found.edges) == {
        ("x", "x_scale"), ("x_scale", "w"), ("w", "a"), ("a", "oa"), ("y", "v"), ("v", "b"), ("b", "ob")
    }  # fmt: skip
    started = pair(dt=DT)
    started.nodes["a"].metadata["v_init"] = np.array([128.0, 256.0])
    again = made(graph=started).dequantised().nodes["a"]
    assert again.metadata["v_init"].tolist() == [1.5, 0.0]


def test_only_scaled_inputs_get_a_scale_and_only_for_what_weighs_them() -> None:
    """Under a name that is free; an Output that shows the Input shows its data as they came."""
    shown = pair(dt=DT)
    shown.nodes |= {"x_scale": nir.Scale(np.ones(2)), "ox": out(2)}
    shown.edges += [("x", "x_scale"), ("x_scale", "a"), ("x", "ox")]
    found = made(graph=shown).dequantised()
    assert found.nodes["x_scale_"].scale.tolist() == [10.0, 10.0]
    assert set(found.edges) == {
        ("x", "x_scale_"), ("x_scale_", "w"), ("x_scale_", "x_scale"), ("x_scale", "a"), ("w", "a"), ("x", "ox"),
        ("a", "oa"), ("y", "v"), ("v", "b"), ("b", "ob"),
    }  # fmt: skip
    assert set(made(input_scales={"x": 1.0}).dequantised().nodes) == set(pair().nodes)


def test_a_float_graph_that_is_known_is_given_as_a_copy() -> None:
    floating = pair(dt=0.5)
    found = made(floating=floating).dequantised()
    assert found.metadata["dt"] == 0.5
    found.nodes.clear()
    assert set(floating.nodes) == set(pair().nodes)


def test_integers_alone_have_no_volts_and_no_report() -> None:
    with pytest.raises(OptionError, match="a volt has no meaning in it") as error:
        made(scales={"a": SCALES["a"]}).dequantised()
    assert (error.value.node, error.value.parameter) == ("b", "scales")
    assert "hasn.quantise" in str(error.value.way_out)
    with pytest.raises(OptionError, match="no calibration to report on"):
        made().report()


def test_it_compiles_with_its_own_dt_timing_and_precision() -> None:
    executable = made(graph=pair(dt=2 * DT), timing="hardware").compile()
    given = {"x": np.ones((3, 2)), "y": np.ones((3, 3))}
    # dt is the network's: a tau of 4096/9 * DT on the grid of DT. Hardware: what is given at 0 arrives at 1.
    voltages = executable.run(given, record="voltages").voltages["b"]
    assert voltages[:2, 0].tolist() == [0, 6 * 64]
    assert executable.run(given).dt == DT
