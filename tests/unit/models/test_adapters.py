"""Analogue samples in by a projection, class probabilities out: equations, real digits, other simulators, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.demo.digits import SIDE, Digits, load_digits
from hasn.demo.network import digit_network
from hasn.errors import InputError, OptionError
from hasn.models.adapters import held, probabilities, scores, with_projection
from hasn.testing.reference import run
from hasn.training import membrane, rate
from tests.graphs import DT, Draw, chain, graded, graph, inp, out

PIXELS, CURRENTS, STEPS = 49, 32, 10


def base(seed: int = 0) -> nir.NIRGraph:
    """32 spikes or currents, 32 LIF neurons, 10 LIF neurons."""
    return digit_network(CURRENTS, 32, seed=seed)


def behind() -> nir.NIRGraph:
    """32 currents, one for each LIF neuron, and 10 LIF neurons."""
    net = base()
    chosen = ("hidden", "fc2", "readout")
    return chain(*(net.nodes[name] for name in chosen), given=(CURRENTS,), result=(10,))


def echo() -> nir.NIRGraph:
    """A graph that shows what its Input gives."""
    return graph({"input": inp(3), "output": out(3)}, "input > output", dt=DT)


# --- in


def test_the_projection_is_an_affine_map_of_every_step() -> None:
    weight, bias = np.arange(6.0).reshape(3, 2) - 2.5, np.array([0.5, -1.0, 2.0])
    x = graded((2,), 5, 4)
    shown = hasn.compile(with_projection(echo(), weight=weight, bias=bias), "snntorch").run(x).output
    np.testing.assert_allclose(shown, x @ weight.T + bias, rtol=1e-14)  # sums of two products


def test_leading_dimensions_have_projections_of_their_own() -> None:
    shape = graph({"input": inp(2, 3), "output": out(2, 3)}, "input > output", dt=DT)
    weight = np.random.default_rng(0).normal(size=(2, 3, 4))
    x = graded((2, 4), 5, 1)
    shown = hasn.compile(with_projection(shape, weight=weight), "snntorch").run(x).output
    np.testing.assert_allclose(shown, np.einsum("bof,tnbf->tnbo", weight, x), rtol=1e-13)  # sums of four products


def test_drawn_weights_are_those_of_glorot_and_bengio() -> None:
    node = with_projection(digit_network(200), 100, seed=3).nodes["projection"]
    bound = np.sqrt(6 / 300)
    assert node.weight.shape == (200, 100)
    assert 0.999 * bound < np.abs(node.weight).max() <= bound
    # The standard deviation of a uniform draw is bound / sqrt(3); of 20,000 numbers it is off by 0.3 % (one sigma).
    assert node.weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)
    assert not node.bias.any()
    np.testing.assert_array_equal(
        with_projection(digit_network(200), 100, seed=3).nodes["projection"].weight, node.weight
    )
    assert (with_projection(digit_network(200), 100, seed=4).nodes["projection"].weight != node.weight).any()
    doubled = with_projection(digit_network(200), 100, seed=3, gain=2).nodes["projection"].weight
    np.testing.assert_allclose(doubled, 2 * node.weight, rtol=1e-7)  # one rounding to float32


def test_the_rest_of_the_graph_stays_and_the_callers_graph_too(tmp_path: Path) -> None:
    given = base()
    given.metadata["source"] = "a test"
    given.nodes["hidden"].metadata["reset"] = "subtract"
    given.nodes["input"].metadata["unit"] = "nA"
    given.nodes["output"].metadata["labels"] = "digits"
    before = (list(given.nodes), list(given.edges), given.nodes["input"].input_type["input"].tolist())
    new = with_projection(given, 7, name="analogue")
    assert (list(given.nodes), list(given.edges), given.nodes["input"].input_type["input"].tolist()) == before
    for name, node in given.nodes.items():
        assert new.nodes[name].metadata == node.metadata, name
        assert new.nodes[name].metadata is not node.metadata
    assert new.metadata is not given.metadata
    hasn.save(new, tmp_path / "new.nir")
    read = nir.read(tmp_path / "new.nir")
    assert set(read.nodes) == {*given.nodes, "analogue"}
    assert ("input", "analogue") in read.edges
    assert ("analogue", "fc1") in read.edges
    assert ("input", "fc1") not in read.edges
    assert (float(read.metadata["dt"]), str(read.metadata["source"])) == (1e-3, "a test")
    loaded = hasn.load(tmp_path / "new.nir").nodes
    assert loaded["hidden"].metadata["reset"] == "subtract"
    assert loaded["input"].metadata["unit"] == "nA"
    assert not [finding for finding in hasn.check(new) if finding.severity == "error"]


def test_one_input_of_two() -> None:
    two = graph({"a": inp(3), "b": inp(3), "output": out(3)}, "a > output", "b > output", dt=DT)
    x = {"a": graded((3,), 4), "b": graded((2,), 4, seed=2)}
    shown = hasn.compile(with_projection(two, weight=np.ones((3, 2)), input="b"), "snntorch").run(x).output
    np.testing.assert_allclose(shown, x["a"] + x["b"].sum(1, keepdims=True), rtol=1e-14, atol=1e-15)
    with pytest.raises(OptionError, match="input: the graph has 2 Inputs; wanted a, b"):
        with_projection(two, 2)


@pytest.mark.lava
def test_every_backend_runs_it_with_the_same_spikes() -> None:
    if why_not := hasn.list_backends()["lava"].why_not:
        pytest.skip(why_not)
    draw = Draw(4)
    net = chain(draw.lif(5), draw.linear(3, 5), draw.lif(3), given=(5,), result=(3,))
    x = held(np.random.default_rng(0).random((2, 4)), 30)
    comparison = hasn.compare(with_projection(net, 4, gain=3.0), x, dt=DT)
    assert comparison.ok
    assert {"snntorch", "brian2", "lava"} <= set(comparison.verdicts)
    assert all(spikes.any() for spikes in comparison.recordings["lava"].spikes.values())


def test_samples_are_held() -> None:
    x = np.random.default_rng(0).random((4, 2, 3))
    for samples in (x, torch.as_tensor(x)):
        found = held(samples, 5)
        assert tuple(found.shape) == (5, 4, 2, 3)
        assert all((np.asarray(found[t]) == x).all() for t in range(5))
    leaf = torch.as_tensor(x).requires_grad_()
    held(leaf, 5).sum().backward()
    assert leaf.grad is not None
    assert bool((leaf.grad == 5).all())


# --- out

KINDS = [pytest.param(np.asarray, id="numpy"), pytest.param(torch.as_tensor, id="torch")]
VOLTS = np.random.default_rng(1).normal(size=(6, 4, 3))
SPIKES = np.random.default_rng(2).random((6, 4, 3)) < 0.4


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_what_they_say(kind: Any) -> None:
    np.testing.assert_array_equal(np.asarray(scores(kind(SPIKES))), SPIKES.sum(0))
    np.testing.assert_array_equal(np.asarray(scores(kind(VOLTS), "max")), VOLTS.max(0))
    np.testing.assert_allclose(np.asarray(scores(kind(VOLTS), "mean")), VOLTS.sum(0) / 6, rtol=1e-14, atol=1e-16)
    np.testing.assert_array_equal(np.asarray(scores(kind(VOLTS), "last")), VOLTS[5])


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, np.float16])
def test_scores_of_narrow_types_are_exact(kind: Any) -> None:
    """bfloat16 has 8 bits and float16 11: neither holds 4,001 spikes, nor the mean of 4,001 steps' voltages."""
    if isinstance(kind, torch.dtype):
        shown: Any = torch.ones(4001, 1, 2, dtype=kind)
    else:
        shown = np.ones((4001, 1, 2), dtype=kind)
    shown[:, 0, 1] = 0.0
    shown[4000, 0, 1] = 1.0
    assert scores(shown).tolist() == [[4001.0, 1.0]]
    # One in 4001, to float32's rounding of 2^-24.
    assert scores(shown, "mean").tolist()[0] == pytest.approx([1.0, 1 / 4001], rel=1e-6)
    assert scores(shown, "max").tolist() == scores(shown, "last").tolist() == [[1.0, 1.0]]
    assert probabilities(shown, temperature=4000.0).tolist()[0] == pytest.approx([1 / (1 + np.e**-1), 1 / (1 + np.e)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("read", "shown"), [("counts", SPIKES), ("max", VOLTS), ("mean", VOLTS), ("last", VOLTS)])
def test_probabilities_are_a_softmax(kind: Any, read: str, shown: Any) -> None:
    for temperature in (1.0, 0.5, 3):
        expected = np.exp(np.asarray(scores(shown, read), dtype=float) / temperature)
        expected /= expected.sum(-1, keepdims=True)
        found = np.asarray(probabilities(kind(shown), read, temperature=temperature))
        # float32 where spikes became tensors
        np.testing.assert_allclose(found, expected, rtol=1e-6 if found.dtype == np.float32 else 1e-13)
        alone = np.asarray(probabilities(kind(shown[:, 2]), read, temperature=temperature))
        np.testing.assert_allclose(alone, found[2], rtol=1e-6)
    large = probabilities(kind(shown * 1e4), read)  # no exponential overflows
    assert bool(np.isfinite(np.asarray(large)).all())


@pytest.mark.parametrize(("read", "loss", "shown"), [("counts", rate(), SPIKES), ("max", membrane(), VOLTS)])
def test_minus_their_logarithm_is_the_loss_and_has_its_gradient(read: str, loss: Any, shown: Any) -> None:
    labels = torch.tensor([0, 2, 1, 2])
    ours, theirs = (torch.tensor(shown, dtype=torch.float64, requires_grad=True) for _ in range(2))
    mine = -probabilities(ours, read)[torch.arange(4), labels].log().mean()
    wanted = loss.value(theirs, labels)
    assert mine.item() == pytest.approx(wanted.item(), rel=1e-14)  # some ten roundings of 1e-16
    mine.backward()
    wanted.backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    assert theirs.grad.abs().max() > 0.01
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-15)


def test_recordings_are_read_by_their_output() -> None:
    net = Draw(1)
    two = graph(
        {"input": inp(4), "w": net.linear(3, 4), "lif": net.lif(3), "one": out(3), "two": out(4)},
        "input > w > lif > one", "input > two",
    )  # fmt: skip
    recording = hasn.compile(two, "snntorch", dt=DT).run(graded((4,), 20, 2, mean=0.6))
    np.testing.assert_array_equal(scores(recording, output="one"), recording.outputs["one"].sum(0))
    np.testing.assert_array_equal(scores(recording, "max", output="two"), recording.outputs["two"].max(0))
    with pytest.raises(OptionError, match="output: the recording has 2 Outputs; wanted one, two"):
        probabilities(recording)
    with pytest.raises(OptionError, match="output: no such Output; got 'three'; wanted one, two"):
        probabilities(recording, output="three")


# --- real digits


@pytest.fixture(scope="module")
def digits() -> Digits:
    """MNIST-5k as analogue numbers, 7 x 7: the mean of every 4 x 4 pixels."""

    def small(images: Any) -> Any:
        return images.reshape(-1, 7, SIDE // 7, 7, SIDE // 7).mean((2, 4)).reshape(-1, PIXELS)

    full = load_digits()
    return Digits(small(full.train_images), full.train_labels, small(full.test_images), full.test_labels)


def test_analogue_digits_are_learned_and_brian2_sees_the_same_spikes(digits: Digits) -> None:
    start = with_projection(behind(), PIXELS, gain=2.0, seed=1)
    data = held(digits.train_images[::3], STEPS), digits.train_labels[::3]  # sorted by class
    result = hasn.train(start, data, epochs=3, batch_size=50, learning_rate=1e-2, dt=DT)
    assert (result.graph.nodes["projection"].weight != start.nodes["projection"].weight).mean() > 0.9
    test = held(digits.test_images, STEPS)
    recording = hasn.compile(result.graph, "snntorch", dt=DT).run(test)
    said = probabilities(recording, temperature=2.0).argmax(-1)
    assert (said == digits.test_labels).mean() > 0.75  # 0.1 is chance
    some = test[:, :20]
    reference = hasn.compile(result.graph, "brian2", dt=DT).run(some)
    for name, spikes in reference.spikes.items():
        assert 0.01 < spikes.mean() < 0.9
        np.testing.assert_array_equal(recording.spikes[name][:, :20], spikes)
    np.testing.assert_array_equal(probabilities(reference), probabilities(recording)[:20])


def test_the_projection_drives_as_its_equation_says() -> None:
    """Against the reference of the test-suite, which knows no adapter: W x + b fed to the graph without it."""
    new = with_projection(base(), 9, seed=2, gain=4.0)
    x = held(np.random.default_rng(3).random((3, 9)), 25)
    currents = x @ new.nodes["projection"].weight.T.astype(float)
    wanted = run(base(), {"input": currents}, dt=DT, method="euler", reset="zero", timing="synchronous")
    found = hasn.compile(new, "snntorch", dt=DT).run(x)
    for name, spikes in wanted.spikes.items():
        assert spikes.any()
        np.testing.assert_array_equal(found.spikes[name], spikes)


# --- refusals


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "features: no such number of features; got None; wanted an integer >= 1, or weight"),
        ({"features": 0}, "features: .*got 0"),
        ({"features": 2.5}, "features: .*got 2.5"),
        ({"features": 3, "gain": 0.0}, "gain: no such value; got 0.0; wanted a number > 0"),
        ({"features": 3, "name": "fc1"}, "name: the new node cannot have this name; got 'fc1'"),
        ({"features": 3, "name": "a/b"}, "name: .*got 'a/b'; wanted a name that no node has, without '/'"),
        ({"features": 3, "input": "x"}, "input: no such Input; got 'x'; wanted input"),
        ({"weight": np.ones((3, 3))}, r"weight: does not fit the Input; got float64 \(3, 3\); wanted .*\(32, 3\)"),
        ({"weight": np.ones((32, 3)), "features": 4}, r"weight: .*wanted finite numbers \(32, 4\)"),
        ({"weight": np.full((32, 3), np.nan)}, "weight: .*not all finite"),
        ({"weight": 1.0}, "weight: does not fit"),
        ({"weight": np.full((32, 3), "a")}, "weight: does not fit"),
        ({"features": 3, "bias": np.zeros(3)}, r"bias: .*got float64 \(3,\); wanted finite numbers \(32,\)"),
    ],
)
def test_projections_that_do_not_fit(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        with_projection(base(), **options)


def test_what_is_no_graph_and_what_has_no_input() -> None:
    with pytest.raises(OptionError, match="graph: not a NIR graph; got str"):
        with_projection("model.nir", 3)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="input: the graph has 0 Inputs; wanted a graph with an Input"):
        with_projection(graph({"output": out(2)}), 3)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: held(np.ones(3), 5), InputError, r"samples: no samples; got \(3,\); wanted \(batch, \*features\)"),
        (lambda: held([["a"]], 5), InputError, "samples: not an array of real numbers"),
        (lambda: held(np.ones((2, 3)), 0), OptionError, "steps: no such number of steps; got 0"),
        (lambda: probabilities(VOLTS), InputError, 'no spikes to count; wanted spikes.*read by "max" or "mean"'),
        (lambda: probabilities(torch.as_tensor(VOLTS)), InputError, "no spikes to count"),
        (lambda: probabilities(-SPIKES.astype(float)), InputError, "no spikes to count"),
        (lambda: probabilities(SPIKES[0, 0]), InputError, r"no time course of classes; got \(3,\)"),
        (lambda: probabilities(SPIKES[:0]), InputError, r"no time course of classes; got \(0, 4, 3\)"),
        (lambda: probabilities([["a", "b"]]), InputError, "not an array of real numbers"),
        (lambda: probabilities(SPIKES, "sum"), OptionError, "read: no such reading; got 'sum'; wanted counts, max"),
        (lambda: probabilities(SPIKES, temperature=0), OptionError, "temperature: no such value; got 0"),
        (lambda: probabilities(SPIKES, output="x"), OptionError, "output: an array has no Outputs"),
    ],
)
def test_calls_that_cannot_be_answered(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_not_even_torch_is_imported() -> None:
    import subprocess
    import sys

    code = "import sys; from hasn.models.adapters import probabilities; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
