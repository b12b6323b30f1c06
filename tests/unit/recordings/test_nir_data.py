"""Recordings as NIR data: names, axes, padding, and the step of an event."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest

from hasn.counts import Counts
from hasn.errors import InputError, OptionError
from hasn.recording import Recording
from tests.unit.recordings.test_travel import recording


def test_every_signal_has_its_name_in_nir_data() -> None:
    """Samples first, neurons flat in C order; "v", "u", "spikes" and "output" as NIR and Lava call them."""
    grid = np.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)  # T, batch, 2 x 2
    one = replace(recording(dt=0.5), outputs={"o": grid}, spikes={"n": grid % 3 == 0}, voltages={"n": grid + 0.5},
                  currents={"n": grid - 0.5}, batched=True)  # fmt: skip
    data = one.to_nir()
    assert {node: set(entry.observables) for node, entry in data.nodes.items()} == {
        "o": {"output"},
        "n": {"spikes", "v", "u"},
    }
    for node, name, array in [
        ("o", "output", grid),
        ("n", "spikes", grid % 3 == 0),
        ("n", "v", grid + 0.5),
        ("n", "u", grid - 0.5),
    ]:
        found = data.nodes[node].observables[name]
        assert (found.dt, found.data.dtype) == (0.5, array.dtype)
        assert found.data.tolist() == [[array[t, b].reshape(-1).tolist() for t in range(2)] for b in range(3)]
    back = Recording.from_nir(data, shapes={"n": (2, 2)})
    for group in ("spikes", "voltages", "currents"):
        np.testing.assert_array_equal(getattr(back, group)["n"], getattr(one, group)["n"])
    assert (back.outputs["o"].shape, back.dt, back.batched, back.shifts) == ((2, 3, 4), 0.5, True, {})
    assert back.counts == Counts({"n": int((grid % 3 == 0).sum())}, {})
    events = one.to_nir("event")
    assert (
        type(events.nodes["n"].observables["v"]) is type(events.nodes["o"].observables["output"]) is nir.TimeGriddedData
    )
    assert type(events.nodes["n"].observables["spikes"]) is nir.EventData
    with pytest.raises(OptionError, match="form: unknown form; got 'grid'; wanted gridded or event"):
        one.to_nir("grid")  # type: ignore[arg-type]


def test_events_are_padded_as_nir_has_it_and_in_the_order_of_time() -> None:
    spikes = np.zeros((4, 2, 3), dtype=bool)
    for t, sample, neuron in [(0, 0, 2), (3, 0, 0), (3, 0, 1), (1, 1, 1)]:
        spikes[t, sample, neuron] = True
    one = replace(recording(dt=0.5), outputs={}, spikes={"n": spikes}, voltages={})
    events = one.to_nir("event").nodes["n"].observables["spikes"]
    assert events.idx.tolist() == [[2, 0, 1], [1, -1, -1]]
    assert events.time.tolist() == [[0.0, 1.5, 1.5], [0.5, np.inf, np.inf]]
    assert (events.n_neurons, events.t_max) == (3, 2.0)
    silent = replace(one, spikes={"n": spikes & False}).to_nir("event")
    assert silent.nodes["n"].observables["spikes"].idx.shape == (2, 0)
    assert Recording.from_nir(silent, dt=0.5).spikes["n"].shape == (4, 2, 3)


@pytest.mark.parametrize(
    ("neuron", "time", "taken"),
    [(0, 0.0, True), (2, 0.4, True), (2, 0.44, True), (2, 0.46, False), (3, 0.1, False), (-2, 0.1, False),
     (0, -0.04, True), (0, -0.1, False), (0, 0.5, False)],
)  # fmt: skip
def test_an_event_lies_in_its_nearest_step_and_inside_the_recording(neuron: int, time: float, taken: bool) -> None:
    """Five steps of 0.1 s, three neurons."""
    events = nir.ValuedEventData(np.array([[neuron, -1]]), np.array([[time, np.inf]]), 3, 0.5, np.array([[2.5, 7.0]]))
    data = nir.NIRGraphData({"n": nir.NIRNodeData({"v": events})})
    if not taken:
        with pytest.raises(InputError, match=r"node 'n': an event lies outside.*wanted step 0\.\.4, neuron 0\.\.2"):
            Recording.from_nir(data, dt=0.1)
        return
    found = Recording.from_nir(data, dt=0.1).voltages["n"]
    assert found.shape == (5, 1, 3)
    wanted = np.zeros((5, 1, 3))
    wanted[round(time / 0.1), 0, neuron] = 2.5
    np.testing.assert_array_equal(found, wanted)
