"""Every kind by its table: parameters, units, shapes, and what broadcasts."""

from __future__ import annotations

import dataclasses

import nir
import numpy as np
import pytest

from hasn.nodes.kind import NodeKind
from hasn.nodes.lookup import kinds
from hasn.nodes.neuron import NeuronKind
from hasn.nodes.ports import OutputKind

EVERY = list(kinds().values())
NEURONS = [kind for kind in EVERY if isinstance(kind, NeuronKind)]
#: By the equations of NIR's table and of docs/semantics.md.
UNITS = {
    "tau": "s", "tau_syn": "s", "tau_mem": "s", "tau_adaptation": "s", "tau_threshold": "s", "r": "ohm", "v_leak": "V",
    "v_threshold": "V", "v_reset": "V", "threshold_jump": "V", "a": "S", "b": "A", "w_in": "1", "omega": "rad/s",
    "rate": "Hz",
}  # fmt: skip


@pytest.mark.parametrize("kind", NEURONS, ids=lambda kind: kind.name)
def test_a_neuron_has_a_condition_for_each_of_its_fields(kind: NeuronKind) -> None:
    own = {field.name for field in dataclasses.fields(kind.type)} - {"input_type", "output_type", "metadata"}
    assert {parameter.name for parameter in kind.parameters} == own
    assert {parameter.name: parameter.unit for parameter in kind.parameters} == {name: UNITS[name] for name in own}
    assert set(kind.taus) == {name for name in own if name.startswith("tau")}
    assert kind.spikes is ("v_threshold" in own)
    assert kind.elementwise


@pytest.mark.parametrize("kind", NEURONS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_parameter_is_anything_but_finite(kind: NeuronKind, bad: float) -> None:
    for parameter in kind.parameters:
        assert np.asarray(parameter.holds(np.array([1.0, bad]))).tolist() == [True, False], parameter.name


def test_which_values_have_no_meaning() -> None:
    conditions = {parameter.name: parameter.holds for kind in NEURONS for parameter in kind.parameters}
    for name, holds in conditions.items():
        positive = name.startswith("tau")
        assert bool(holds(np.array(-1.0))) is not (positive or name == "rate"), name
        assert bool(holds(np.array(0.0))) is (not positive and name != "r"), name


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.name)
def test_a_kind_is_known_by_its_type(kind: NodeKind) -> None:
    assert kind.name == kind.type.__name__
    assert (kind.__doc__ or "").strip()
    assert len({parameter.name for parameter in kind.parameters}) == len(kind.parameters)


def test_an_output_keeps_a_shape_of_another_size() -> None:
    node, kind = nir.Output({"output": np.array([2, 6])}), OutputKind()
    (mending,) = kind.fitted(node, (3, 4))
    assert mending.values["output_type"]["output"].tolist() == [3, 4]
    assert (mending.parameter, mending.got) == ("shape", (2, 6))
    assert kind.fitted(node, (3, 5)) == []
