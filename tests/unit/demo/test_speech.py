"""The speech network: what it computes, its training, and the way through a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.demo.delta import DeltaCode
from hasn.demo.speech import TAU_MEM, TAU_OUT, TAU_SYN, speakers, speech_network
from hasn.demo.vowels import Utterances, load_vowels, split
from hasn.testing.integers import interpret

missing = hasn.list_backends()["snntorch"].why_not
pytestmark = pytest.mark.skipif(bool(missing), reason=missing or "there")


@pytest.fixture(scope="module")
def few() -> tuple[Utterances, DeltaCode]:
    """Three utterances of each speaker."""
    _, some = split(load_vowels().train, 3, seed=0)
    return some, DeltaCode.of(some)


@pytest.fixture(scope="module")
def trained(few: tuple[Utterances, DeltaCode]) -> tuple[nir.NIRGraph, list[float]]:
    """After 30 passes over these, and the loss of each batch."""
    from hasn.demo.train_speech import train_speech

    heard: list[float] = []
    graph = train_speech(
        speech_network(few[1].dt, hidden=32),
        *few,
        epochs=30,
        progress=lambda done, total, loss, hits: heard.append(loss),
    )
    return graph, heard


def by_hand(graph: nir.NIRGraph, spikes: Any, dt: float) -> tuple[Any, Any]:
    """(hidden spikes, readout voltages) from the equations in docs/semantics.md, float64."""
    weights = {name: np.asarray(graph.nodes[name].weight, dtype=float) for name in ("fc1", "recurrent", "fc2")}
    n, hidden = spikes.shape[1], len(weights["fc1"])
    current, voltage, before = np.zeros((n, hidden)), np.zeros((n, hidden)), np.zeros((n, hidden))
    readout, fired, shown = np.zeros((n, 9)), [], []
    for x in spikes.astype(float):
        arrived = x @ weights["fc1"].T + before @ weights["recurrent"].T
        current = (1 - dt / TAU_SYN) * current + dt / TAU_SYN * arrived
        voltage = (1 - dt / TAU_MEM) * voltage + current
        before = (voltage > 1.0).astype(float)
        voltage = voltage * (1 - before)
        readout = (1 - dt / TAU_OUT) * readout + before @ weights["fc2"].T
        fired.append(before > 0)
        shown.append(readout)
    return np.stack(fired), np.stack(shown)


def test_the_network_is_its_equations(few: tuple[Utterances, DeltaCode]) -> None:
    """Recurrent spikes arrive a step later. Voltages to rounding: some 1e2 sums of numbers of about 1."""
    utterances, code = few
    graph = speech_network(code.dt, hidden=20, seed=1)
    spikes = code.encode(utterances)
    recording = hasn.compile(graph, "snntorch").run(spikes)
    fired, shown = by_hand(graph, spikes, code.dt)
    assert fired.mean() > 0.001
    np.testing.assert_array_equal(recording.spikes["hidden"], fired)
    np.testing.assert_allclose(recording.output, shown, atol=1e-12)


def test_training_learns_its_utterances(
    few: tuple[Utterances, DeltaCode], trained: tuple[nir.NIRGraph, list[float]]
) -> None:
    """Chance is 1 of 9, a loss of ln 9 = 2.2."""
    utterances, code = few
    graph, losses = trained
    said = speakers(hasn.compile(graph, "snntorch").run(code.encode(utterances)).output)
    assert len(losses) == 30
    assert np.mean(losses[-3:]) < 0.7 * losses[0]
    assert np.mean(said == utterances.speakers) > 0.5


def test_training_is_the_same_by_seed(few: tuple[Utterances, DeltaCode]) -> None:
    from hasn.demo.train_speech import train_speech

    utterances, code = few
    start = speech_network(code.dt, hidden=8)
    before = np.array(start.nodes["fc1"].weight)
    one, two, other = (
        np.asarray(train_speech(start, utterances, code, epochs=2, seed=seed).nodes["recurrent"].weight)
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one, two)
    assert np.any(one != other)
    np.testing.assert_array_equal(start.nodes["fc1"].weight, before)


def test_a_file_holds_the_same_network(
    few: tuple[Utterances, DeltaCode], trained: tuple[nir.NIRGraph, list[float]], tmp_path: Path
) -> None:
    """Weights are float32 numbers: the file and float64 hold them exactly, so every voltage is the same."""
    utterances, code = few
    hasn.save(trained[0], tmp_path / "speech.nir")
    spikes = code.encode(utterances)
    ours = hasn.compile(trained[0], "snntorch").run(spikes, record=("spikes", "voltages"))
    theirs = hasn.compile(hasn.load(tmp_path / "speech.nir"), "snntorch").run(spikes, record=("spikes", "voltages"))
    assert ours.spikes["hidden"].sum() > 100
    np.testing.assert_array_equal(ours.spikes["hidden"], theirs.spikes["hidden"])
    np.testing.assert_array_equal(ours.voltages["hidden"], theirs.voltages["hidden"])
    np.testing.assert_array_equal(ours.output, theirs.output)


INTEGERS = [name for name, info in hasn.list_backends().items() if "loihi" in info.precisions and info.available]


@pytest.mark.parametrize("backend", INTEGERS)
def test_the_trained_network_in_integers(
    few: tuple[Utterances, DeltaCode], trained: tuple[nir.NIRGraph, list[float]], backend: str
) -> None:
    """Every executor has the same spikes, v and u as the plain reference, bit for bit."""
    spikes = few[1].encode(few[0])
    quantised = hasn.quantise(trained[0], calibrate=spikes)
    heard = spikes[:, ::9]  # three utterances
    expected = interpret(quantised.graph, {"input": heard}, dt=quantised.dt)
    found = quantised.compile(backend).run(heard, record=("spikes", "voltages", "currents"))
    assert expected.spikes["hidden"].sum() > 50
    np.testing.assert_array_equal(found.spikes["hidden"], expected.spikes["hidden"])
    for name in ("hidden", "readout"):
        np.testing.assert_array_equal(found.voltages[name], expected.v[name])
        np.testing.assert_array_equal(found.currents[name], expected.u[name])
    np.testing.assert_array_equal(found.output, expected.v["readout"])


def test_the_speaker_is_the_largest_sum() -> None:
    """Also of integers whose sum 32 bits would not hold."""
    output = np.zeros((600, 2, 9), dtype=np.int32)
    output[:, 0, 4], output[:, 1, 7], output[0, 1, 2] = 2**22, 1, 500
    assert speakers(output).tolist() == [4, 7]
    assert speakers(output / 64.0).tolist() == [4, 7]


def test_the_networks_parameters_by_its_description() -> None:
    """With dt = 2 ms: R = tau / dt, 10 for the voltage and 20 for the readout."""
    graph = speech_network(2e-3, hidden=5, seed=3)
    for name, shape in (("fc1", (5, 24)), ("recurrent", (5, 5)), ("fc2", (9, 5))):
        weight = np.asarray(graph.nodes[name].weight)
        assert weight.shape == shape
        assert np.abs(weight).max() <= 1 / np.sqrt(shape[1])
        assert weight.min() < 0 < weight.max()
    wanted = {"tau_syn": 0.01, "w_in": 1, "tau_mem": 0.02, "r": 10, "v_leak": 0, "v_threshold": 1, "v_reset": 0}
    for key, value in wanted.items():
        assert getattr(graph.nodes["hidden"], key) == pytest.approx(np.full(5, value))
    for key, value in {"tau": 0.04, "r": 20, "v_leak": 0}.items():
        assert getattr(graph.nodes["readout"], key) == pytest.approx(np.full(9, value))
    assert set(graph.edges) == {
        ("input", "fc1"), ("fc1", "hidden"), ("hidden", "recurrent"), ("recurrent", "hidden"), ("hidden", "fc2"),
        ("fc2", "readout"), ("readout", "output"),
    }  # fmt: skip
    assert graph.metadata["dt"] == 2e-3
    assert speech_network(2e-3).nodes["fc1"].weight.shape == (64, 24)
    assert np.array_equal(speech_network(2e-3).nodes["fc1"].weight, speech_network(2e-3, seed=0).nodes["fc1"].weight)
    assert not np.array_equal(speech_network(2e-3, 5).nodes["fc1"].weight, graph.nodes["fc1"].weight)


def test_training_is_given_every_utterance_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """110 utterances are three batches of at most 54; a tenth of the spikes is left out; frames have noise of 0.2."""
    torch = pytest.importorskip("torch")
    from hasn.demo import train_speech as module

    frames: list[Any] = []
    code = DeltaCode(np.zeros(12), np.ones(12), threshold=0.3, steps=2)
    spikes = np.ones((58, 110, 24), dtype=bool)
    monkeypatch.setattr(DeltaCode, "spikes", lambda self, given: frames.append(given) or spikes)
    heard: dict[str, Any] = {}

    def train(graph: Any, coded: Any, **options: Any) -> Any:
        heard.update(options, graph=graph, epochs_seen=[list(coded(epoch)) for epoch in (0, 1)])
        options["progress"](type("Step", (), {"step": 2, "loss": 0.5, "accuracy": 0.25}))
        return type("Result", (), {"graph": "trained"})

    monkeypatch.setattr("hasn.train", train)
    told: list[Any] = []
    utterances = Utterances(tuple(np.zeros((20, 12)) for _ in range(110)), np.arange(110))
    made = module.train_speech("graph", utterances, code, epochs=2, seed=7, progress=lambda *g: told.append(g))  # type: ignore[arg-type]
    assert made == "trained"
    assert told == [(2, 6, 0.5, 0.25)]
    assert {key: heard[key] for key in ("graph", "epochs", "seed", "dt", "optimizer", "learning_rate")} == {
        "graph": "graph", "epochs": 2, "seed": 7, "dt": 3.2e-3, "optimizer": "adam", "learning_rate": 1e-2,
    }  # fmt: skip
    orders = []
    for epoch in heard["epochs_seen"]:
        assert [tuple(x.shape) for x, _ in epoch] == [(58, 54, 24), (58, 54, 24), (58, 2, 24)]
        kept = np.concatenate([x.numpy().reshape(-1) for x, _ in epoch])
        assert kept.mean() == pytest.approx(0.9, abs=0.01)  # 153,120 draws: a deviation of 0.0008
        orders.append([int(label) for _, labels in epoch for label in labels])
        assert sorted(orders[-1]) == list(range(110))
    assert orders[0] != orders[1]
    noise = [np.concatenate(given) for given in frames]
    assert [part.std() for part in noise] == pytest.approx([0.2, 0.2], abs=0.005)  # 26,400 numbers: 0.0009
    assert not np.array_equal(*noise)
    voltages = torch.zeros(4, 1, 2)
    voltages[:2, 0, 1] = 0.2  # a mean of 0.1 V, which is worth e-fold odds
    assert heard["loss"](voltages, torch.tensor([1])).item() == pytest.approx(np.log(1 + np.exp(-1)))
