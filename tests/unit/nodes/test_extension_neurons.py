"""AdaptiveLIF, ResonateFire and refractory periods: conditions, coefficients, files, and who refuses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from scipy.linalg import expm

import hasn
from hasn.errors import HasnError, ParameterError, TimeStepError, UnsupportedError
from hasn.nodes import AdaptiveLIF, ResonateFire
from hasn.nodes.lookup import neuron_kind
from hasn.program.model import Neurons
from tests.graphs import DT, Draw, chain

D = Draw(11)
N = 50


def population(node: nir.NIRNode, **options: Any) -> Neurons:
    found = hasn.lower(chain(node, given=(3,), result=(3,)), **{"dt": DT, **options}).node("n1")
    assert isinstance(found, Neurons)
    return found


def findings(node: nir.NIRNode, **options: Any) -> list[Any]:
    return hasn.check(chain(node, given=(3,), result=(3,)), **{"dt": DT, **options})


# --- refractory periods


@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF", "AdaptiveLIF"])
@pytest.mark.parametrize(("seconds", "steps"), [(3e-3, [3, 3, 3]), ([0.0, 1e-3, 4.4e-3], [0, 1, 4]), (4.6e-3, [5] * 3)])
def test_seconds_become_the_nearest_number_of_steps(kind: str, seconds: Any, steps: list[int]) -> None:
    held = population(D.neuron(kind, (3,), metadata={"refractory": seconds})).held
    assert held is not None
    assert held.tolist() == steps


@pytest.mark.parametrize("metadata", [{}, {"refractory": 0.0}, {"refractory": 4e-4}, {"refractory": np.zeros(3)}])
def test_nobody_is_held_for_less_than_half_a_step(metadata: dict[str, Any]) -> None:
    assert population(D.lif(3, metadata=metadata)).held is None


def test_a_period_that_is_rounded_is_a_note() -> None:
    (note,) = findings(D.lif(3, tau=0.01, metadata={"refractory": [1e-3, 2.4e-3, 0.0]}))
    assert (note.severity, note.node, note.parameter) == ("note", "n1", "metadata['refractory']")
    assert "is no whole number of steps and is rounded to the nearest; got 0.0024 s" in str(note)
    assert findings(D.lif(3, tau=0.01, metadata={"refractory": 2e-3})) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-1e-3, "has a value with no meaning; got -0.001; wanted finite numbers >= 0 s"),
        ([0.0, 0.0, np.nan], "wanted finite numbers >= 0 s"),
        ("long", "got 'long'; wanted finite numbers >= 0 s"),
        (np.zeros(2), r"does not fit the neurons; got (2,); wanted a number or shape (3,)"),
    ],
)
def test_a_period_without_meaning(value: Any, words: str) -> None:
    (wrong,) = [f for f in findings(D.lif(3, metadata={"refractory": value})) if f.severity == "error"]
    assert str(wrong).startswith("node 'n1' metadata['refractory']: ")
    assert words in str(wrong).replace("long", "'long'" if "'long'" not in str(wrong) else "long")


@pytest.mark.parametrize(("kind", "words"), [("LI", "that does not spike"), ("ResonateFire", "has no meaning for it")])
def test_who_is_never_held(kind: str, words: str) -> None:
    node = D.neuron(kind, (3,), metadata={"refractory": 1e-3})
    with pytest.raises(ParameterError, match=f"metadata\\['refractory'\\]: .*{words}.*Leave it out"):
        population(node, method="exact")


def test_more_steps_than_float32_counts_are_refused() -> None:
    longest = population(D.lif(3, metadata={"refractory": 2.0**24 * DT})).held
    assert longest is not None
    with pytest.raises(TimeStepError, match=r"more steps than can be counted.*wanted at most 16777216 steps"):
        population(D.lif(3, metadata={"refractory": (2.0**24 + 1) * DT}))
    delay = nir.Delay(np.full(3, 2.0**31 * DT))
    with pytest.raises(TimeStepError, match=r"delay: is more steps than can be counted.*wanted at most 2147483647"):
        hasn.lower(chain(delay, given=(3,), result=(3,)), dt=DT)


# --- resets


def test_a_resonator_resets_to_values_alone() -> None:
    node = D.neuron("ResonateFire", (3,))
    with pytest.raises(ParameterError, match=r"node 'n1' reset: ResonateFire has no such reset; got 'subtract'.*Say"):
        population(node, reset="subtract", method="exact")
    assert population(D.neuron("ResonateFire", (3,), metadata={"reset": "zero"}), reset="subtract").reset == "zero"
    wrong = D.neuron("ResonateFire", (3,), metadata={"reset": "subtract"})
    assert "unknown reset; got subtract; wanted zero" in str(findings(wrong, method="exact")[0])


def test_an_adaptive_neuron_resets_as_others_do_and_moves_two_states_more() -> None:
    node = D.neuron("AdaptiveLIF", (3,))
    zero, subtract = population(node), population(node, reset="subtract")
    assert [row.state for row in zero.resets] == ["v", "theta", "w"]
    np.testing.assert_array_equal(zero.resets[0].bias, node.v_reset)
    np.testing.assert_array_equal(subtract.resets[0].bias, node.v_reset - node.v_threshold)
    np.testing.assert_array_equal(zero.resets[1].bias, node.threshold_jump)
    np.testing.assert_array_equal(zero.resets[2].bias, node.b)
    assert (zero.states, zero.firing, zero.plain) == (("theta", "v", "w"), None, False)


# --- coefficients


def step_of(node: nir.NIRNode, dt: float, method: str, states: tuple[str, ...]) -> np.ndarray[Any, Any]:
    """(N, states, states + 2): the new states as a function of the old ones, the input and 1."""
    size = len(states) + 2
    old = {state: np.tile(np.eye(size)[i], (N, 1)) for i, state in enumerate(states)}
    now = dict(old)
    kind = neuron_kind(node)
    assert kind is not None
    for row in kind.rows(node, dt, method):
        reads = old if row.before else now
        value = sum((np.asarray(c)[:, None] * reads[state] for state, c in row.terms), np.zeros((N, size)))
        value[:, -2] += 0 if row.gain is None else row.gain
        value[:, -1] += 0 if row.bias is None else row.bias
        now[row.state] = value
    return np.stack([now[state] for state in states], axis=1)


@pytest.mark.parametrize("dt", [1e-6, 1e-3, 0.05])
def test_a_resonator_turns_as_the_matrix_exponential_does(dt: float) -> None:
    node = D.neuron("ResonateFire", (N,))
    m = np.zeros((N, 4, 4))
    m[:, 0] = np.stack([-1 / node.tau, -node.omega, node.r / node.tau, 0 * node.r], axis=-1)
    m[:, 1] = np.stack([node.omega, -1 / node.tau, 0 * node.r, 0 * node.r], axis=-1)
    wanted = expm(dt * m)[:, :2]
    np.testing.assert_allclose(step_of(node, dt, "exact", ("x", "v")), wanted, rtol=1e-11, atol=1e-15)


def test_an_euler_step_of_a_resonator_is_its_definition() -> None:
    node = D.neuron("ResonateFire", (N,))
    made = step_of(node, DT, "euler", ("x", "v"))
    np.testing.assert_allclose(made[:, 0, 0], 1 - DT / node.tau, rtol=1e-15)
    np.testing.assert_allclose(made[:, 0, 1], -DT * node.omega, rtol=1e-15)
    np.testing.assert_allclose(made[:, 0, 2], DT / node.tau * node.r, rtol=1e-15)
    np.testing.assert_allclose(made[:, 1, 0], DT * node.omega, rtol=1e-15)
    np.testing.assert_allclose(made[:, 1, 1], 1 - DT / node.tau, rtol=1e-15)
    assert not made[:, 1, 2].any()


@pytest.mark.parametrize("method", ["euler", "exact"])
def test_an_adaptive_neuron_moves_towards_where_it_would_rest(method: str) -> None:
    node = D.neuron("AdaptiveLIF", (N,))
    w, theta, v, x = np.random.default_rng(1).standard_normal((4, N))

    def share(tau: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return DT / tau if method == "euler" else 1 - np.exp(-DT / tau)

    new_w = w + share(node.tau_adaptation) * (node.a * (v - node.v_leak) - w)
    wanted = {"w": new_w, "theta": theta * (1 - share(node.tau_threshold)),
              "v": v + share(node.tau) * (node.v_leak + node.r * (x - new_w) - v)}  # fmt: skip
    made = np.einsum("nij,nj->ni", step_of(node, DT, method, ("w", "theta", "v")), np.stack([w, theta, v, x, x**0], 1))
    for i, state in enumerate(("w", "theta", "v")):
        np.testing.assert_allclose(made[:, i], wanted[state], rtol=1e-12, atol=1e-14)


def test_an_oscillation_that_euler_steps_would_blow_up_is_refused() -> None:
    node = D.neuron("ResonateFire", (3,), tau=0.01, omega=[100.0, 500.0, 100.0])
    with pytest.raises(TimeStepError, match=r"omega: is so fast .* grow; got 500 rad/s with tau = 0.01 s.*exact"):
        population(node)
    assert population(node, method="exact").spiking
    slow = D.neuron("ResonateFire", (3,), tau=0.01, omega=np.sqrt(1 - 0.9**2) / DT * 0.999)
    assert population(slow).spiking


@pytest.mark.parametrize("name", ["tau", "tau_adaptation", "tau_threshold"])
def test_every_time_constant_is_held_against_dt(name: str) -> None:
    node = D.neuron("AdaptiveLIF", (3,), **{name: 0.4e-3})
    with pytest.raises(TimeStepError, match=f"{name}: is under dt/2"):
        population(node)
    assert population(node, method="exact").spiking


# --- files


@pytest.mark.parametrize("kind", [AdaptiveLIF, ResonateFire])
def test_a_file_keeps_every_parameter(kind: type, tmp_path: Path) -> None:
    node = D.neuron(kind.__name__, (3,), metadata={"v_init": 0.25})
    hasn.save(chain(node, given=(3,), result=(3,)), tmp_path / "x.nir")
    again = hasn.load(tmp_path / "x.nir").nodes["n1"]
    assert type(again) is kind
    for parameter in neuron_kind(node).parameters:  # type: ignore[union-attr]
        np.testing.assert_array_equal(getattr(again, parameter.name), getattr(node, parameter.name))
    assert again.metadata["v_init"] == 0.25


def test_other_readers_refuse_the_file(tmp_path: Path) -> None:
    hasn.save(chain(D.neuron("AdaptiveLIF", (3,)), given=(3,), result=(3,)), tmp_path / "x.nir")
    with pytest.raises((AssertionError, ValueError)):  # nir 1.0.8 asserts that it knows the type
        nir.read(tmp_path / "x.nir")


def test_a_refractory_period_is_plain_nir_s_metadata(tmp_path: Path) -> None:
    hasn.save(chain(D.lif(3, metadata={"refractory": 2e-3}), given=(3,), result=(3,)), tmp_path / "x.nir")
    assert nir.read(tmp_path / "x.nir").nodes["n1"].metadata["refractory"] == 2e-3


# --- who has no such neuron


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (D.lif(3, v_leak=0.0, v_reset=0.0, metadata={"refractory": 2e-3}), "refractory"),
        (D.neuron("AdaptiveLIF", (3,), v_reset=0.0), "not the chip's LIF neuron"),
        (D.neuron("ResonateFire", (3,), v_reset=0.0), "not the chip's LIF neuron"),
    ],
)
def test_quantising_refuses_by_name(node: nir.NIRNode, words: str) -> None:
    net = chain(D.linear(3, 3), node, given=(3,), result=(3,))
    x = (np.random.default_rng(1).random((20, 2, 3)) < 0.5).astype(float)
    with pytest.raises(UnsupportedError, match=f"node 'n2'.*{words}"):
        hasn.quantise(net, calibrate=x, dt=DT)


@pytest.mark.parametrize("kind", ["AdaptiveLIF", "ResonateFire", "LIF"])
def test_the_chip_s_integers_refuse_by_name(kind: str) -> None:
    node = D.neuron(kind, (3,), metadata={"refractory": 2e-3} if kind == "LIF" else {})
    with pytest.raises(HasnError, match="node 'n1'") as refused:
        hasn.compile(chain(node, given=(3,), result=(3,)), "snntorch", dt=DT, precision="loihi")
    assert refused.value.way_out
