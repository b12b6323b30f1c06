"""snnTorch modules out and back: the same spikes as the module itself, stepped by hand."""

from __future__ import annotations

import numpy as np
import pytest

import hasn
from hasn.conversions.snntorch import from_snntorch, to_snntorch
from tests.unit.conversions.snntorch_nets import CHAINS, DT, Net, by_hand, rested, snn, torch


@pytest.fixture(params=CHAINS, ids=lambda net: net.name)
def net(request: pytest.FixtureRequest) -> Net:
    chosen: Net = request.param
    return chosen


def test_fires_like_the_module_itself(net: Net) -> None:
    module, x = net.made(), net.input()
    wanted = by_hand(module, x)
    assert 0.02 < wanted.mean() < 0.98, "a silent or saturated net proves nothing"
    graph = from_snntorch(module, input_shape=net.shape, dt=DT)
    for precision in ("float32", "float64"):
        got = hasn.compile(graph, "snntorch", precision=precision).run(x).outputs["output"] > 0
        assert np.array_equal(got, wanted), f"{precision}: {np.sum(got != wanted)} spikes differ"


def test_comes_back_as_it_went(net: Net) -> None:
    module, x = net.made(), net.input()
    wanted = by_hand(module, x)
    back = to_snntorch(from_snntorch(module, input_shape=net.shape, dt=DT), sequential=True)
    assert np.array_equal(by_hand(back, x), wanted)
    again = to_snntorch(from_snntorch(back, input_shape=net.shape, dt=0.1), sequential=True)  # dt weighs nothing
    assert np.array_equal(by_hand(again, x), wanted)


# A Synaptic that never decays comes back as two neurons in a row, a current and a membrane, with the same spikes.
_ONE_FOR_ONE = [net for net in CHAINS if net.name not in ("synaptic-no-leak", "synaptic-kept-current")]


@pytest.mark.parametrize("net", _ONE_FOR_ONE, ids=lambda net: net.name)
def test_keeps_the_neurons_settings(net: Net) -> None:
    module = net.made()
    back = to_snntorch(from_snntorch(module, input_shape=net.shape, dt=DT), sequential=True)
    before, after = (
        [part for part in whole.modules() if isinstance(part, snn.SpikingNeuron)] for whole in (module, back)
    )
    assert [type(part) for part in before] == [type(part) for part in after]
    for old, new in zip(before, after, strict=True):
        assert old.reset_mechanism == new.reset_mechanism
        assert getattr(old, "reset_delay", None) == getattr(new, "reset_delay", None)
        for name in ("alpha", "beta", "threshold", "V", "R", "C", "time_step"):
            if getattr(old, name, None) is not None:
                kept = getattr(old, name).detach()
                kept = kept.clamp(0, 1) if name in ("alpha", "beta") else kept  # as forward does
                assert torch.equal(*torch.broadcast_tensors(kept, getattr(new, name).detach())), name


@pytest.mark.parametrize(
    "name",
    ["leaky-subtract-strong", "leaky-none", "synaptic-subtract", "per-neuron", "rsynaptic-subtract", "conv-recurrent"],
)
def test_fires_alike_on_brian2(name: str) -> None:
    pytest.importorskip("brian2", reason="the brian2 extra is not installed")
    net = next(net for net in CHAINS if net.name == name)
    module, x = net.made(), net.input()
    graph = from_snntorch(module, input_shape=net.shape, dt=DT)
    got = hasn.compile(graph, "brian2").run(x).outputs["output"] > 0
    assert np.array_equal(got, by_hand(module, x))


def test_survives_a_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for name in ("leaky-subtract", "lapicque-subtract", "rleaky-subtract", "conv-zero", "leaky-none"):
        net = next(net for net in CHAINS if net.name == name)
        module, x = net.made(), net.input()
        path = tmp_path / f"{name}.nir"
        hasn.save(from_snntorch(module, input_shape=net.shape, dt=DT), path)
        back = to_snntorch(hasn.load(path), sequential=True)
        assert np.array_equal(by_hand(back, x), by_hand(rested(module), x)), name


def test_the_strong_drive_does_leave_the_membrane_above_its_threshold() -> None:
    """What the subtract reset is proved on: mem[t] - threshold > threshold after a spike, not only now and then."""
    net = next(net for net in CHAINS if net.name == "leaky-subtract-strong")
    module, x = net.made(), net.input()
    above = 0
    with torch.no_grad():
        for sample in x:
            module(sample)
            above += int((module[1].mem > 2 * module[1].threshold).sum())
    assert above > 1000
