"""Streams by the plan against whole runs and the step loop: the same bits; and whatever changes underway is noticed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hasn
from hasn.kernels.events import events_available
from tests.graphs import spikes
from tests.unit.backends.snntorch.engine_nets import NETS, net

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
snntorch = pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch import stream as streams  # noqa: E402

STEPS = 24


def compiled(name: str, **more: Any) -> Any:
    g, options, _ = net(name)
    return hasn.compile(g, "snntorch", **options, **more)


def streamed(executable: Any, x: Any) -> dict[str, Any]:
    """{Output: (T, batch, *shape)} of a stream from its start."""
    executable.reset()
    steps = [executable.step(now) for now in x]
    return {name: np.stack([step[name] for step in steps]) for name in steps[0]}


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every plan that is made."""
    made: list[Any] = []

    class Seen(streams.Plan):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(streams, "Plan", Seen)
    return made


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 3, 6])  # 6: one product for all samples
@pytest.mark.parametrize("name", NETS)
def test_a_stream_gives_the_bits_of_a_run(name: str, batch: int, precision: str) -> None:
    x = spikes(net(name)[2], STEPS, batch)
    fused, steps = (compiled(name, engine=engine, precision=precision) for engine in ("fused", "steps"))
    run = fused.run(x).outputs
    assert any(array.any() for array in run.values())
    same(streamed(fused, x), run)
    same(streamed(steps, x), run)
    same(streamed(fused, x), run)  # the same memory, from the start again


def test_the_plan_is_made_once_for_many_streams(planned: list[Any]) -> None:
    executable = compiled("snnTorch's own neurons")
    x = spikes((12,), STEPS, 1)
    for _ in range(3):
        streamed(executable, x)
        executable.run(x)
    assert len(planned) == (1 if hasn.kernels.available() else 0)


@pytest.mark.skipif(not events_available(), reason="the kernels were not built here")
def test_dense_connections_read_active_inputs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(streams, "event_product", lambda sizes, *at: lambda: calls.append(sizes))
    for batch in (1, 4, 5):  # for more samples than four, one product that reads all weights once is faster
        compiled("snnTorch's own neurons").step(spikes((12,), 1, batch)[0])
        assert [(sizes.inputs, sizes.outputs) for sizes in calls] == ([(12, 20), (20, 8), (8, 3)] if batch < 5 else [])
        assert all((sizes.batch, sizes.double) == (batch, True) for sizes in calls)
        calls.clear()
    compiled("snnTorch's own neurons", precision="float32", matmul="bf16").step(spikes((12,), 1, 1)[0])
    assert not calls
    hooked = compiled("snnTorch's own neurons")
    hooked.module.node("n1").register_forward_hook(lambda *_: None)
    hooked.step(spikes((12,), 1, 1)[0])
    assert [(sizes.inputs, sizes.outputs) for sizes in calls] == [(20, 8), (8, 3)]


def test_weights_thresholds_neurons_and_hooks_that_change_underway_are_noticed() -> None:
    x = spikes((12,), STEPS, 2)
    fused, steps = (compiled("two states", engine=engine) for engine in ("fused", "steps"))

    def both(change: Any) -> Any:
        for executable in (fused, steps):
            with torch.no_grad():
                change(executable.module)
        found = [np.stack([np.asarray(e.step(now)) for now in x]) for e in (fused, steps)]
        np.testing.assert_array_equal(*found)
        return found[0]

    names = [
        step.name for step in fused.program.nodes if fused.module._key(step.name) and step.name in fused.module.nodes
    ]
    first, population = (
        next(n for n in names if kind in type(fused.module.node(n)).__name__) for kind in ("Linear", "Population")
    )
    before = both(lambda module: None)
    half = both(lambda module: module.node(first).weight.mul_(0.5))
    assert (half != before).any()
    new = both(lambda module: setattr(module.node(first), "weight", torch.nn.Parameter(module.node(first).weight * 3)))
    assert (new != half).any()
    low = both(lambda module: module.node(population).neuron.threshold.mul_(0.25))
    assert (low != new).any()
    state = {name: value.clone() for name, value in fused.module.state_dict().items()}
    both(lambda module: module.load_state_dict({name: value * 0.5 for name, value in state.items()}))
    silent = both(lambda module: module.node(population).register_forward_hook(lambda m, i, o: (o[0] * 0, o[1])))
    assert not silent.any()


def test_what_is_written_past_torchs_count_is_noticed_when_the_stream_starts_again() -> None:
    x = spikes((12,), STEPS, 1)
    fused, steps = (compiled("snnTorch's own neurons", engine=engine) for engine in ("fused", "steps"))
    found = [streamed(fused, x)["output"]]
    changes = (
        lambda module: module.node("n2").neuron.beta.data.mul_(0.5),
        lambda module: module.node("n1").weight.data.mul_(2),
        lambda module: module.node("n1").bias.data.add_(0.25),
    )
    for change in changes:
        for executable in (fused, steps):
            change(executable.module)
        found.append(streamed(fused, x)["output"])
        assert (found[-1] != found[-2]).any()
        np.testing.assert_array_equal(found[-1], streamed(steps, x)["output"])


@pytest.mark.parametrize("name", ["delays", "recurrent", "snnTorch's own neurons", "two states, exact"])
def test_a_stream_goes_on_from_a_state_and_in_another_engine(name: str) -> None:
    x = spikes(net(name)[2], STEPS, 1)
    executable, other = compiled(name), compiled(name)
    whole = executable.run(x).outputs
    executable.reset()
    first = [executable.step(now) for now in x[:5]]
    kept = executable.state()
    for now in x[5:]:
        executable.step(now)
    for goes_on in (executable, other):
        goes_on.load_state(kept)
        second = [goes_on.step(now) for now in x[5:9]]
        goes_on.module.engine = "steps"
        third = [goes_on.step(now) for now in x[9:12]]
        goes_on.module.engine = "fused"
        last = [goes_on.step(now) for now in x[12:]]
        for output, array in whole.items():
            steps = (*first, *second, *third, *last)
            np.testing.assert_array_equal(np.stack([s[output] for s in steps]), array)


def test_results_are_the_callers_own() -> None:
    executable = compiled("shared")
    x = spikes((12,), STEPS, 1)
    executable.reset()
    results = [executable.step(now) for now in x]
    kept = [{name: value.copy() for name, value in result.items()} for result in results]
    for now in x:
        executable.step(1 - now)
    for result, before in zip(results, kept, strict=True):
        same(dict(result), before)
