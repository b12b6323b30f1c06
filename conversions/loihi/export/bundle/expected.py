"""What an exported network must answer: inputs, and spikes and voltages by an executor that is not Lava."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.errors import InputError
from hasn.signals import Signals, signals

#: As much as a self-test can run in some seconds.
STEPS, SAMPLES = 100, 2
#: Chances of a spike that are tried until every population spikes.
RATES = (0.1, 0.3, 0.6, 0.9)


@dataclass(frozen=True)
class Expected:
    """Inputs and answers.

    Attributes:
        arrays: ``inputs/NAME`` int32 (T, batch, *shape), ``spikes/NAME`` bool, ``voltages/NAME`` int32 (populations
            that do not spike).
        spikes: population -> number of spikes.
        judged_by: who computed them.
    """

    arrays: dict[str, NDArray[Any]]
    spikes: dict[str, int]
    judged_by: str

    @property
    def tested(self) -> bool:
        """Whether there is more than zeros to answer."""
        return any(array.any() for key, array in self.arrays.items() if not key.startswith("inputs/"))


def largest(values: NDArray[Any]) -> int:
    """The largest absolute value."""
    return int(np.abs(values).max(initial=0))


def expected_of(network: QuantisedNetwork, inputs: Any, seed: int, limit: int) -> Expected:
    """Answers to ``inputs``, or to random spikes (integers within ``limit`` where Inputs are scaled).

    Raises:
        InputError: the inputs do not fit the network, or it has none.
    """
    if not network.integers.inputs:
        raise InputError("a network without Inputs has nothing to be tested with", parameter="inputs")
    program = network.integers.network.program
    if inputs is not None:
        return _answers(network, signals(program, network.inputs(inputs)))
    for rate in RATES:
        found = _answers(network, signals(program, _random(network, rate, seed, limit)))
        if all(found.spikes.values()):
            break
    return found


def _random(network: QuantisedNetwork, rate: float, seed: int, limit: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    found = {}
    for name, given in network.integers.inputs.items():
        shape = (STEPS, SAMPLES, *given.shape)
        scale = network.input_scales.get(name, 1.0)  # of data within +-1, say
        strength = min(max(1, round(scale)), limit)
        high = rng.integers(-strength, strength + 1, shape) if scale != 1.0 else 1
        found[name] = (rng.random(shape) < rate) * high
    return found


def _answers(network: QuantisedNetwork, given: Signals) -> Expected:
    values = {name: x[:STEPS, :SAMPLES] for name, x in given.values.items()}
    spikes, voltages, judge = _judged(network, values)
    arrays: dict[str, NDArray[Any]] = {f"inputs/{name}": x.astype(np.int32) for name, x in values.items()}
    counts = {}
    for name, p in network.integers.populations.items():
        if p.spiking:
            arrays[f"spikes/{name}"] = spikes[name].astype(bool)
            counts[name] = int(spikes[name].sum())
        else:
            arrays[f"voltages/{name}"] = voltages[name].astype(np.int32)
    return Expected(arrays, counts, judge)


def _judged(network: QuantisedNetwork, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], str]:
    """(spikes, voltages, by whom): the torch executor where it can run, else the plain interpreter."""
    if _torch_runs():
        with network.compile("snntorch") as executable:
            recording = executable.run(values, record=("spikes", "voltages"))
        return dict(recording.spikes), recording.voltages, "hasn on snnTorch, precision loihi"
    from hasn.testing.integers import interpret

    traces = interpret(network.graph, values, dt=network.dt, timing=network.timing)
    return traces.spikes, traces.v, "hasn.testing.integers"


def _torch_runs() -> bool:
    from hasn.backend import get_backend

    torch = get_backend("snntorch")
    return not torch.why_not() and "loihi" in torch.precisions
