"""hasn.compare: who runs, with which options and in which precision, who is skipped and why; stand-ins run."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn import backend as finding
from hasn.errors import BackendUnavailable, InputError, OptionError, TimeStepError, UnsupportedError
from hasn.ir.lower import lower
from hasn.plasticity import STDP, attach
from hasn.testing.interpreter import ProgramInterpreter
from tests import graphs
from tests.unit.agreement.stand_ins import ALL

DT = graphs.DT


Stands = dict[str, Any]


@pytest.fixture
def stands(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stands]:
    """The stand-ins, as the only plug-ins installed."""
    made = {kind.name: kind() for kind in ALL}
    points = [SimpleNamespace(name=n, value=n, load=lambda found=found: found) for n, found in made.items()]
    monkeypatch.setattr(finding, "entry_points", lambda group: points)
    finding._entry_points.cache_clear()
    yield made
    finding._entry_points.cache_clear()


X = graphs.spikes((6,), 12, 2)


def compare(*backends: str, reference: str = "plain", x: Any = X, **options: Any) -> hasn.Comparison:
    given = {"dt": DT, **options}
    return hasn.compare(given.pop("graph", graphs.small_net()), x, backends=backends, reference=reference, **given)


def test_the_reference_runs_first_and_nobody_twice(stands: Stands) -> None:
    said: list[str] = []
    found = compare("other", "plain", "other", progress=said.append)
    assert said == list(found.recordings) == ["plain", "other"]
    assert found.reference == "plain"
    assert (found.ok, found.skipped) == (True, {})
    assert compare("other", reference="plain").differing == {"plain": 0, "other": 0}


def test_the_reference_may_be_anyone_with_any_precision(stands: Stands) -> None:
    found = compare("plain", "other", reference="plain:float32")
    assert list(found.recordings) == ["plain:float32", "plain", "other"]
    assert [r.precision for r in found.recordings.values()] == ["float32", "float64", "float64"]


def test_a_label_says_its_precision_and_the_call_that_of_the_others(stands: Stands) -> None:
    found = compare("plain:float64", "wrong", precision="float32")
    assert {label: r.precision for label, r in found.recordings.items()} == {
        "plain": "float32",
        "plain:float64": "float64",
        "wrong": "float32",
    }


def test_differences_are_found_whoever_is_the_reference(stands: Stands) -> None:
    for backends, reference in ((("wrong", "other"), "plain"), (("plain",), "wrong")):
        found = compare(*backends, reference=reference)
        first = found.first_divergence(backends[0])
        assert not found.ok
        assert first is not None
        assert (first.node, first.index, first.sample, first.step) == ("n2", (1,), 0, 7)
        assert (first.reference, first.backend) == (reference, backends[0])
        assert found.max_voltage_error[backends[0]] == pytest.approx(0.125)


# --- options


def test_meaning_and_options_go_to_each_that_has_them(stands: Stands) -> None:
    found = compare("other", method="exact", timing="hardware", dt=2 * DT, threads=3, alpha=0.5)
    assert stands["plain"].log[0] == (3, "exact", "hardware", 2 * DT, "float64")
    assert stands["other"].log[0] == (3, 0.5)
    assert (found.program.method, found.program.timing, found.program.dt) == ("exact", "hardware", 2 * DT)
    assert found.network.program is found.program


def test_the_reset_goes_to_all_of_them_and_to_the_judge(stands: Stands) -> None:
    found = compare("other", reset="subtract")
    assert {step.reset for step in found.program.nodes if hasattr(step, "reset")} == {"subtract"}
    wanted = ProgramInterpreter(lower(graphs.small_net(), dt=DT, reset="subtract")).run(X)
    plain = ProgramInterpreter(lower(graphs.small_net(), dt=DT)).run(X)
    assert not np.array_equal(wanted.spikes["n2"], plain.spikes["n2"])
    for recording in found.recordings.values():
        np.testing.assert_array_equal(recording.spikes["n2"], wanted.spikes["n2"])


def test_what_the_call_does_not_say_is_euler_zero_synchronous_float64(stands: Stands) -> None:
    net = graphs.small_net()
    net.metadata["dt"] = 3 * DT
    found = hasn.compare(net, X, backends=("other",), reference="plain")
    assert stands["plain"].log[0] == (1, "euler", "synchronous", 3 * DT, "float64")
    assert stands["other"].log[0] == (1, 0.0)
    assert {step.reset for step in found.program.nodes if hasattr(step, "reset")} == {"zero"}


def test_an_option_that_nobody_has_is_refused_before_anyone_runs(stands: Stands) -> None:
    with pytest.raises(OptionError) as caught:
        compare("other", speed=9, threads=2)
    assert str(caught.value) == "speed: none of the backends has such an option; got 9; wanted alpha, threads"
    assert stands["plain"].log == stands["other"].log == []
    with pytest.raises(OptionError, match="alpha: none of the backends has such an option; got 1; wanted threads"):
        compare("wrong", alpha=1)  # the other, who has it, does not take part


def test_unknown_backends_and_precisions_are_refused(stands: Stands) -> None:
    with pytest.raises(OptionError, match="unknown backend; got 'nest'; wanted absent, board, chip, faulty, other"):
        compare("nest")
    with pytest.raises(OptionError, match="unknown backend; got 'nest'"):
        compare("plain", reference="nest:float32")
    with pytest.raises(OptionError) as caught:
        compare("plain:float16")
    assert str(caught.value) == (
        "backends: unknown precision for plain; got 'plain:float16'; wanted plain:float64 or plain:float32"
    )
    assert stands["plain"].log == []


# --- who does not run


def test_who_does_not_run_is_listed_with_the_reason(stands: Stands) -> None:
    said: list[str] = []
    found = compare("other", "absent", "picky", progress=said.append)
    assert list(found.recordings) == ["plain", "other"]
    assert found.skipped == {
        "absent": "the backend absent cannot run here: nowhere; pip install nowhere",
        "picky": "node 'n2': cannot run it; got LIF",
    }
    assert said == ["plain", "other", "absent", "picky"]
    assert set(found.verdicts) == {"plain", "other"}


def test_who_does_not_compute_in_the_calls_precision_is_skipped(stands: Stands) -> None:
    said: list[str] = []
    found = compare("other", "wrong", precision="float32", progress=said.append)
    assert found.skipped == {"other": "other does not compute in float32"}
    assert said == list(found.recordings) == ["plain", "wrong"]


def test_a_reference_that_cannot_run_is_an_error(stands: Stands) -> None:
    with pytest.raises(BackendUnavailable, match="the backend absent cannot run here"):
        compare("plain", reference="absent")
    with pytest.raises(UnsupportedError, match="cannot run it"):
        compare("plain", reference="picky")
    with pytest.raises(OptionError, match="precision: unknown precision for other; got 'float32'"):
        compare("plain", reference="other", precision="float32")


def test_one_alone_is_nothing_to_compare(stands: Stands) -> None:
    with pytest.raises(OptionError) as caught:
        compare("absent", "other", precision="float32")
    assert str(caught.value) == (
        "backends: nothing to compare: only the reference could run; got plain, absent, other; "
        "wanted two backends that can run here. absent: the backend absent cannot run here: nowhere; "
        "pip install nowhere; other: other does not compute in float32"
    )
    with pytest.raises(OptionError, match="nothing to compare"):
        compare("plain")


def test_other_errors_are_no_reasons_to_skip(stands: Stands) -> None:
    with pytest.raises(OptionError, match="speed: no such thing"):
        compare("other", "faulty")
    with pytest.raises(TimeStepError):
        compare("other", dt=1.0)
    with pytest.raises(InputError):
        compare("other", x=X[..., :-1])


# --- runs


def test_everything_recordable_is_recorded_and_executables_are_closed(stands: Stands) -> None:
    compare("other")
    assert stands["plain"].log[1:] == [("run", 12, 2, frozenset({"spikes", "voltages"})), "closed"]
    assert stands["other"].log[-1] == "closed"


def test_integers_must_have_the_same_currents_too(stands: Stands) -> None:
    found = compare("board", reference="chip", precision="loihi")
    assert (found.differing["board"], found.max_voltage_error["board"], found.ok) == (0, 2.0, False)
    assert stands["chip"].log[0] == ("run", 12, 2, frozenset({"spikes", "voltages", "currents"}))
    stands["board"].u = 3.0
    assert compare("board", reference="chip", precision="loihi").ok


def test_currents_get_a_batch_axis_too(stands: Stands) -> None:
    for recording in compare(
        "board", reference="chip", precision="loihi", x=None, steps=5, graph=alone()
    ).recordings.values():
        assert recording.currents["n2"].shape == (5, 1, 3)


def alone() -> nir.NIRGraph:
    """Three LIF neurons that excite each other, and no Input."""
    draw = graphs.Draw(4)
    nodes = {"n1": draw.affine(3, 3, bias=0.4), "n2": draw.lif(3), "output": graphs.out(3)}
    return graphs.graph(nodes, "n1 > n2 > n1", "n2 > output")


def test_inputs_without_a_batch_get_one(stands: Stands) -> None:
    found = compare("wrong", x=X[:, 0])
    assert found.inputs["input"].shape == (12, 1, 6)
    for recording in found.recordings.values():
        assert recording.batched
        assert recording.spikes["n2"].shape == (12, 1, 5)
        assert recording.outputs["output"].shape == (12, 1, 3)
    first = found.first_divergence("wrong")
    assert first is not None
    assert (first.index, first.sample, first.step) == ((1,), 0, 7)


def test_a_graph_without_inputs_is_one_sample(stands: Stands) -> None:
    """Each neuron has a threshold and a place of its own, which are no samples."""
    net = alone()
    found = compare("wrong", graph=net, x=None, steps=20)
    for recording in found.recordings.values():
        assert (recording.batched, recording.steps) == (True, 20)
        shapes = {recording.spikes["n2"].shape, recording.voltages["n2"].shape, recording.outputs["output"].shape}
        assert shapes == {(20, 1, 3)}
    first = found.first_divergence("wrong")
    assert first is not None
    assert (first.index, first.sample, first.step) == ((1,), 0, 7)
    assert first.threshold == net.nodes["n2"].v_threshold[1]
    assert found.differing["wrong"] == 1


@pytest.mark.parametrize(("method", "other"), [("euler", "exact"), ("exact", "euler")])
def test_a_backend_that_steps_by_the_other_method_is_found_out(stands: Stands, method: str, other: str) -> None:
    x = graphs.spikes((6,), 60, 2)
    found = compare("stubborn", method=method, reset="subtract", timing="hardware", x=x)
    first = found.first_divergence("stubborn")
    assert first is not None
    assert first.kind == "discretisation"
    assert f"it steps by '{other}', the Program by '{method}'" in first.cause


def test_where_euler_steps_have_no_meaning_nobody_took_them(stands: Stands) -> None:
    """dt is over two tau: exact steps can be made, Euler's cannot."""
    net = graphs.small_net()
    with pytest.raises(TimeStepError):
        lower(net, dt=0.05)
    found = compare("wrong", graph=net, dt=0.05, method="exact")
    first = found.first_divergence("wrong")
    assert first is not None
    assert first.kind == "unknown"


def test_a_quantised_network_brings_dt_and_timing(stands: Stands, monkeypatch: pytest.MonkeyPatch) -> None:
    for stand in stands.values():
        monkeypatch.setattr(stand, "precisions", ("loihi",))
    quantised = SimpleNamespace(graph=graphs.small_net(), dt=2 * DT, timing="hardware")
    found = compare("other", graph=quantised, dt=None, precision=None)
    assert (found.program.dt, found.program.timing) == (2 * DT, "hardware")
    assert stands["plain"].log[0][2:4] == ("hardware", 2 * DT)


@pytest.mark.parametrize("label", ["plain:float64", "plain"])
def test_two_labels_of_one_run_are_no_comparison(label: str, stands: Stands) -> None:
    """A label that means the reference's own run could only agree with itself."""
    with pytest.raises(OptionError, match="only the reference could run") as caught:
        compare(label)
    assert "Name another than the reference, e.g. snntorch" in str(caught.value)


def test_who_does_not_learn_is_skipped_and_no_reference(stands: Stands) -> None:
    """A backend that knows nothing of learning would run the start's weights without a word."""
    graph = attach(graphs.small_net(), "n1", STDP())
    with pytest.raises(UnsupportedError, match=r"n1.*do not learn on plain.*onto 'n2'.*detach"):
        compare("other", graph=graph)
