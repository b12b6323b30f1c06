"""What the kernel is told of a population, and what only its module knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.kernels import Reset, Rows, Slope
from hasn.kernels.scan import COEFFICIENTS
from tests.graphs import DT, Draw, chain

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
snntorch = pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch.equations import equations, slope_of  # noqa: E402
from hasn.backends.snntorch.neurons import Population  # noqa: E402


def population(kind: str, options: dict[str, Any] | None = None, **fixed: Any) -> Any:
    """The module of five neurons."""
    net = chain(Draw(1).linear(5, 4), Draw(1).neuron(kind, (5,), **fixed), given=(4,), result=(5,))
    return hasn.compile(net, "snntorch", dt=DT, **(options or {})).module.node("n2")


def full(value: float) -> Any:
    return np.full(5, value)


AT_ZERO = {"v_leak": full(0.0), "v_reset": full(0.0)}
LIF = {"tau": full(4e-3), "r": full(2.0), "v_threshold": full(0.75)}  # dt/tau = 1/4
CUBA = {"tau_syn": full(2e-3), "tau_mem": full(4e-3), "r": full(2.0), "w_in": full(3.0), "v_threshold": full(0.75)}
STOCK_CUBA = {"v": 0.75, "gain_c": 0.5 * 3 * 0.25 * 2, "keep_c": 0.5, "weight": 1.0}


@pytest.mark.parametrize(
    ("kind", "fixed", "options", "rows", "reset", "wanted"),
    [
        ("LIF", LIF | AT_ZERO, {}, Rows.ONE, Reset.ZERO, {"v": 0.75, "gain_v": 0.5, "threshold": 0.75}),
        ("LI", {"tau": full(4e-3), "r": full(2.0), "v_leak": full(0.0)}, {}, Rows.ONE, Reset.NONE,
         {"v": 0.75, "gain_v": 0.5, "threshold": 1.0}),
        ("LIF", LIF | {"v_leak": full(0.5), "v_reset": full(0.25)}, {}, Rows.ONE, Reset.ZERO,
         {"v": 0.75, "gain_v": 0.5, "bias": 0.125, "threshold": 0.75, "jump": 0.25}),
        ("LIF", LIF | {"v_leak": full(0.5), "v_reset": full(0.25)}, {"reset": "subtract"}, Rows.ONE, Reset.SUBTRACT,
         {"v": 0.75, "gain_v": 0.5, "bias": 0.125, "threshold": 0.75, "jump": 0.5}),
        ("CubaLIF", CUBA | AT_ZERO, {}, Rows.CURRENT_FIRST, Reset.ZERO, STOCK_CUBA | {"threshold": 0.75}),
        ("CubaLIF", CUBA | {"v_leak": full(0.5), "v_reset": full(0.25)}, {}, Rows.CURRENT_FIRST, Reset.ZERO,
         {"v": 0.75, "bias": 0.125, "keep_c": 0.5, "gain_c": 1.5, "weight": 0.5, "threshold": 0.75, "jump": 0.25}),
    ],
)  # fmt: skip
def test_the_coefficients_by_hand(
    kind: str, fixed: dict[str, Any], options: dict[str, Any], rows: Rows, reset: Reset, wanted: dict[str, float]
) -> None:
    found = equations(population(kind, options, **fixed))
    assert found is not None
    assert (found.rows, found.reset) == (rows, reset)
    assert found.slope == (None if reset is Reset.NONE else (Slope.ATAN, 2.0))
    assert found.trained == frozenset()
    values = dict.fromkeys(COEFFICIENTS, 0.0) | {"keep_v": wanted["v"]} | wanted
    for name, row in zip(COEFFICIENTS, found.values, strict=True):
        np.testing.assert_allclose(row.numpy(), values[name], rtol=1e-14, err_msg=name)
    repeated = found.repeated(3)
    assert repeated.shape == (8, 15)
    assert torch.equal(repeated.reshape(8, 3, 5)[:, 2], found.values)


@pytest.mark.parametrize(("kind", "gain"), [("LIF", "gain_v"), ("CubaLIF", "gain_c")])
def test_a_gain_of_1_is_no_gain_only_where_all_are(kind: str, gain: str) -> None:
    """dt/tau r = 1 for tau = r = 4 ms; the current's gain is 1 for tau_syn = 2 ms and w_in = 2."""
    r = np.array([4.0, 8.0, 4.0, 2.0, 4.0])
    parts = {"tau": full(4e-3)} if kind == "LIF" else {"tau_syn": full(2e-3), "tau_mem": full(4e-3), "w_in": full(2.0)}
    module = population(kind, r=r, **parts, **AT_ZERO)
    assert type(module.neuron) is {"LIF": snntorch.Leaky, "CubaLIF": snntorch.Synaptic}[kind]
    np.testing.assert_allclose(module.gain.numpy(), r / 4, rtol=1e-14)
    found = equations(module)
    assert found is not None
    np.testing.assert_allclose(found.values[COEFFICIENTS.index(gain)].numpy(), r / 4, rtol=1e-14)
    module = population(kind, r=full(4.0), **parts, **AT_ZERO)
    assert module.gain is None
    found = equations(module)
    assert found is not None
    assert found.values[COEFFICIENTS.index(gain)].tolist() == [1.0] * 5


def test_an_exact_current_comes_after_the_voltage() -> None:
    found = equations(population("CubaLIF", {"method": "exact"}, **CUBA, **AT_ZERO))
    assert found is not None
    assert found.rows is Rows.VOLTAGE_FIRST
    values = dict(zip(COEFFICIENTS, found.values[:, 0].tolist(), strict=True))
    assert values["keep_v"] == pytest.approx(np.exp(-0.25), rel=1e-14)
    assert values["keep_c"] == pytest.approx(np.exp(-0.5), rel=1e-14)
    assert values["gain_c"] == pytest.approx(3 * (1 - np.exp(-0.5)), rel=1e-14)
    # dv/dt = (-v + 2 c)/4, dc/dt = -c/2 from c = 1: v(1) = 2 (e^-1/4 - e^-1/2) * (1/4) / (1/2 - 1/4)
    assert values["weight"] == pytest.approx(2 * (np.exp(-0.25) - np.exp(-0.5)), rel=1e-12)


def attribute(name: str, value: Any) -> Callable[[Any], None]:
    return lambda module: setattr(module.neuron, name, value)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "quantised": attribute("state_quant", lambda state: state),
    "inhibition": attribute("inhibition", True),
    "hidden states": attribute("init_hidden", True),
    "output": attribute("output", True),
    "late reset": attribute("reset_delay", True),
    "no surrogate": attribute("surrogate_disable", True),
    "graded spikes": lambda module: module.neuron.graded_spikes_factor.fill_(2.0),
    "subtracts": lambda module: module.neuron.reset_mechanism_val.fill_(0),
    "threshold below 0": lambda module: module.neuron.threshold[2:3].fill_(-0.1),
    "a surrogate of its own": attribute("spike_grad", lambda u: u > 0),
    "trains": lambda module: module.neuron.beta.requires_grad_(),
    "gain trains": lambda module: module.gain.requires_grad_(),
    "another class": lambda module: setattr(module, "__class__", type("Own", (Population,), {})),
    "another neuron": lambda module: setattr(module, "neuron", torch.nn.Identity()),
    "half": lambda module: module.half(),
} | {
    f"{name} of the {part}": lambda module, name=name, part=part: getattr(
        module if part == "population" else module.neuron, name
    )(lambda *given: None)
    for name in (
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
    )
    for part in ("population", "neuron")
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("kind", "fixed"), [("LIF", LIF), ("CubaLIF", CUBA)])
def test_what_the_kernel_cannot_be_told(kind: str, fixed: dict[str, Any], change: str) -> None:
    module = population(kind, **fixed, **AT_ZERO)
    assert equations(module) is not None
    CHANGES[change](module)
    assert equations(module) is None


def test_a_threshold_of_0_is_none_below_0_and_a_readout_has_none() -> None:
    module = population("LIF", **LIF, **AT_ZERO)
    module.neuron.threshold.fill_(0.0)
    assert equations(module) is not None
    readout = population("LI", v_leak=full(0.0))
    readout.neuron.threshold.fill_(-1.0)
    assert equations(readout) is not None


def test_general_neurons_may_train_and_say_what() -> None:
    module = population("CubaLIF", {"reset": "subtract"}, **CUBA)
    for name in ("a1_c", "threshold", "gain0"):
        getattr(module.neuron, name).requires_grad_()
    found = equations(module)
    assert found is not None
    assert found.trained == {"weight", "threshold", "gain_c"}
    assert found.values.requires_grad


def test_surrogates_and_their_parameters() -> None:
    make = snntorch.surrogate
    for made, wanted in (
        (make.atan(alpha=3), (Slope.ATAN, 3.0)),
        (make.fast_sigmoid(slope=7.5), (Slope.FAST_SIGMOID, 7.5)),
        (make.sigmoid(slope=9), (Slope.SIGMOID, 9.0)),
        (make.triangular(threshold=0.5), (Slope.TRIANGULAR, 0.5)),
        (make.straight_through_estimator(), (Slope.STRAIGHT_THROUGH, 0.0)),
        (make.atan(alpha=torch.tensor(3.0)), None),
        (make.spike_rate_escape(), None),
        (lambda u: u, None),
        (torch.relu, None),
    ):
        assert slope_of(made) == wanted
