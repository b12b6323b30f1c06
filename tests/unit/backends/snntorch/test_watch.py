"""Whatever a module holds and may change is noticed, and what snnTorch keeps of a run is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
snntorch = pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch.watch import Watch  # noqa: E402


def modules() -> tuple[Any, Any]:
    outer = torch.nn.Module()
    outer.inner, outer.linear = torch.nn.Linear(2, 2), torch.nn.Linear(3, 2, bias=False)
    outer.register_buffer("none", None)
    return outer, snntorch.Leaky(0.5, reset_delay=False)


def new(parameter: Any) -> Any:
    return torch.nn.Parameter(parameter.detach().clone())


CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "a buffer in place": lambda outer, leaky: leaky.beta.mul_(2),
    "another buffer": lambda outer, leaky: setattr(leaky, "beta", leaky.beta.clone()),
    "a buffer where none was": lambda outer, leaky: setattr(outer, "none", torch.ones(1)),
    "a buffer's other memory": lambda outer, leaky: setattr(leaky, "threshold", leaky.threshold.clone()),
    "another submodule": lambda outer, leaky: setattr(outer, "inner", torch.nn.Linear(2, 2)),
    "a hook": lambda outer, leaky: leaky.register_forward_hook(print),
    "a hook before": lambda outer, leaky: outer.register_forward_pre_hook(print),
    "a hook on the way back": lambda outer, leaky: outer.register_full_backward_hook(print),
    "a hook before the way back": lambda outer, leaky: leaky.register_full_backward_pre_hook(print),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(change: str) -> None:
    outer, leaky = modules()
    watch = Watch()
    watch.add(outer)
    watch.add(leaky)
    assert watch.unchanged()
    CHANGES[change](outer, leaky)
    assert not watch.unchanged()


PARAMETERS: dict[str, Callable[[Any], Any]] = {
    "in place": lambda linear: linear.weight.mul_(2),
    "another": lambda linear: setattr(linear, "weight", new(linear.weight)),
    "in other memory": lambda linear: setattr(linear.weight, "data", linear.weight.data.clone()),
    "a bias gone": lambda linear: setattr(linear, "bias", None),
    "a bias in place": lambda linear: linear.bias.add_(1),
}


@pytest.mark.parametrize("change", PARAMETERS)
def test_a_parameters_change_is_noticed(change: str) -> None:
    linear, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2, bias=False)
    watch = Watch()
    watch.add(other, linear)
    assert watch.unchanged()
    with torch.no_grad():
        PARAMETERS[change](linear)
    assert not watch.unchanged()


def test_what_a_run_leaves_in_a_neuron_is_no_change() -> None:
    outer, leaky = modules()
    watch = Watch()
    watch.add(outer, leaky)
    leaky.mem, leaky.reset = torch.ones(2), torch.ones(2)
    outer.inner.weight.data.mul_(2)  # not watched, and past torch's count
    assert watch.unchanged()


def test_values_are_compared_with_what_they_were() -> None:
    value, watch = torch.zeros(3), Watch()
    watch.add_value(lambda: value)
    watch.add_value(lambda: value[:1])
    assert watch.same_values()
    value[2] = 1.0
    assert not watch.same_values()
    value[2] = 0.0
    assert watch.same_values()
    value[0] = 1.0
    assert not watch.same_values()
