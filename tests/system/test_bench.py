"""The benchmarks against other tools run, on little: the figures are whole, and what is timed computes the same.

No claim on times here: a test that is timed fails on a busy machine.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

import hasn

ROOT = Path(__file__).parents[2]
missing = hasn.list_backends()["snntorch"].why_not
pytestmark = pytest.mark.skipif(bool(missing), reason=missing or "there")
EXPERIMENTS = ("dense", "convolution", "recurrent", "latency", "memory", "length")
#: Row of snnTorch's loop and of hasn, in each.
HASN = {"latency": "hasn, run"}
LOOP = "snnTorch's loop"


def installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `python -m benchmarks --quick` writes."""
    out = tmp_path_factory.mktemp("bench")
    files = ["--json", out / "bench.json", "--plot", out / "bench.png", "--markdown", out / "bench.md"]
    command = [sys.executable, "-m", "benchmarks", "--quick", "--threads", "1", *map(str, files)]
    single = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=single, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((folder / "bench.json").read_text())
    return figures


def test_the_machine_and_every_experiment_are_there(found: dict[str, Any]) -> None:
    where = found["machine"]
    assert (where["threads"], where["pairs"], where["cores"]) == (1, 2, os.cpu_count())
    assert where["versions"]["torch"] == version("torch")
    assert {"cpu", "load", "load_after", "date", "python", "kernels"} <= set(where)
    assert tuple(found["experiments"]) == EXPERIMENTS
    assert found["wrong"] == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_snntorch_finds_the_same_spikes_and_gradients(found: dict[str, Any], name: str) -> None:
    experiment = found["experiments"][name]
    one = next(one for one in experiment["agreements"] if one["name"] == LOOP)
    assert (one["differ"], one["spikes"] > 20, one["spikes"] < one["places"]) == (0, True, True)
    assert one["differ_float64"] == 0
    if name != "latency":
        assert 0 < one["gradient"] < 1e-5


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_rows_have_values_and_ratios_are_of_them(found: dict[str, Any], name: str) -> None:
    experiment = found["experiments"][name]
    assert {LOOP, HASN.get(name, "hasn")} <= set(experiment["rows"])
    assert all(value > 0 for values in experiment["rows"].values() for value in values)
    assert not set(experiment["rows"]) & set(experiment["missing"])
    above, below = experiment["rows"][LOOP], experiment["rows"][HASN.get(name, "hasn")]
    targets = {(one["target"]["above"], one["target"]["below"]): one for one in experiment["ratios"]}
    if name == "memory":
        above, below = below, above
        one = targets["hasn", LOOP]
    else:
        one = targets[LOOP, HASN.get(name, "hasn")]
    ratios = sorted(a / b for a, b in zip(above, below, strict=True))
    middle = len(ratios) // 2
    wanted = ratios[middle] if len(ratios) % 2 else (ratios[middle - 1] + ratios[middle]) / 2
    assert one["measured"] == pytest.approx(wanted)
    assert one["pairs"] == len(above)
    if one["target"]["value"] is not None:
        met = wanted >= one["target"]["value"] if one["target"]["sign"] == "at least" else wanted <= 1
        assert one["met"] is met


@pytest.mark.parametrize(("tool", "rows"), [("spikingjelly", "SpikingJelly, multi-step"), ("norse", "Norse")])
def test_a_tool_that_is_not_there_is_named_with_the_reason(found: dict[str, Any], tool: str, rows: str) -> None:
    if installed(tool):
        pytest.skip(f"{tool} is installed")
    assert tool in found["machine"]["skipped"]
    for name in set(EXPERIMENTS) - ({"memory"} if tool == "norse" else set()):
        assert "not installed" in found["experiments"][name]["missing"][rows]


@pytest.mark.parametrize(("tool", "row"), [("spikingjelly", "SpikingJelly, multi-step"), ("norse", "Norse")])
@pytest.mark.parametrize("name", ["dense", "convolution", "recurrent", "latency", "length"])
def test_other_tools_find_the_same_spikes(found: dict[str, Any], name: str, tool: str, row: str) -> None:
    """In float64 all of them: they round otherwise. Gradients only where no tie in float32 came between."""
    if not installed(tool):
        pytest.skip(f"{tool} is not installed: pip install 'hasn[bench]'")
    one = next(one for one in found["experiments"][name]["agreements"] if one["name"] == row)
    assert one["differ_float64"] == 0
    if name != "latency" and not one["differ"]:
        assert one["gradient"] < 1e-5


def test_the_tables_can_be_pasted(folder: Path, found: dict[str, Any]) -> None:
    text = (folder / "bench.md").read_text(encoding="utf8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert f"| {LOOP} |" in text
    for one in found["experiments"]["dense"]["ratios"]:
        name = f"dense: {one['target']['above']} / {one['target']['below']}"
        line = next(line for line in lines if name in line)
        measured = "not measured" if one["measured"] is None else f"{one['measured']:.2f}"
        assert measured in line
        assert ("≥ 1.8 " in line) is (one["target"]["value"] == 1.8)
    assert found["machine"]["cpu"] in text


def test_the_plot_is_drawn(folder: Path) -> None:
    """A picture with the bars' colours in it: hasn's blue and snnTorch's orange."""
    from matplotlib.colors import to_rgb
    from matplotlib.image import imread

    pixels = imread(folder / "bench.png")[..., :3]
    assert min(pixels.shape[:2]) > 1000
    for colour in ("#0072B2", "#D55E00"):
        near = (abs(pixels - to_rgb(colour)) < 2 / 255).all(axis=-1)
        assert near.sum() > 1000


@pytest.fixture
def restored() -> Any:
    """The run sets torch's threads."""
    import torch

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def _few(tools: dict[str, Any], missing: dict[str, str]) -> Any:
    from benchmarks.timing import Settings

    return Settings(1, True, tools, missing, lambda done, total, text: None)


def _slower(monkeypatch: pytest.MonkeyPatch) -> None:
    """hasn is given a network that forgets a little more slowly than the others'."""
    import benchmarks.peers.hasn as ours

    made = ours.graph
    monkeypatch.setattr(ours, "graph", lambda spec: made(dataclasses.replace(spec, beta=0.905)))


@pytest.mark.usefixtures("restored")
def test_a_wrong_network_ends_with_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.__main__ import main

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    _slower(monkeypatch)
    files = ["--json", tmp_path / "b.json", "--plot", tmp_path / "b.png", "--markdown", tmp_path / "b.md"]
    given = ["--quick", "--pairs", "1", "--threads", "1", "--only", "dense", *map(str, files)]
    assert main(given) == 1
    assert "spikes differ" in json.loads((tmp_path / "b.json").read_text())["wrong"][0]


@pytest.mark.parametrize("name", ["latency", "recurrent"])
def test_a_wrong_network_is_found_out(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from benchmarks.speed import EXPERIMENTS

    nobody = {"spikingjelly": "not asked", "norse": "not asked"}
    assert EXPERIMENTS[name](_few({}, nobody)).wrong == []
    _slower(monkeypatch)
    assert "differ" in " ".join(EXPERIMENTS[name](_few({}, nobody)).wrong)


def test_a_wrong_gradient_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spikes are the same; hasn's surrogate is not."""
    import benchmarks.peers.hasn as ours
    from benchmarks.speed import dense

    made = ours.compiled
    other = {"surrogate": "fast_sigmoid"}
    monkeypatch.setattr(ours, "compiled", lambda spec, dtype, **given: made(spec, dtype, **{**given, **other}))
    (wrong,) = dense.run(_few({}, {"spikingjelly": "", "norse": ""})).wrong
    assert "gradients differ" in wrong


def test_a_tool_that_fails_is_left_out() -> None:
    """The benchmark goes on without it."""
    from types import SimpleNamespace

    from benchmarks.speed import convolution

    def broken(spec: Any, dtype: Any) -> Any:
        raise ImportError("no such operator")

    tools = {"norse": SimpleNamespace(network=broken, SURROGATE="super")}
    result = convolution.run(_few(tools, {"spikingjelly": "not there"}))
    assert result.missing == {"Norse": "ImportError: no such operator", "SpikingJelly, multi-step": "not there"}
    assert set(result.rows) == {LOOP, "bare products", "hasn"}


@pytest.mark.parametrize(("given", "more", "ties"), [(1.0, 1e-6, 1), (0.95, 0.1, None)])
def test_ties_are_told_from_errors(given: float, more: float, ties: int | None) -> None:
    """One neuron at the threshold (no spike), or a little under it, against one that gets a little more."""
    import torch

    from benchmarks.agreement import first_differences
    from benchmarks.network import Dense, Network, Stage
    from benchmarks.peers import hasn as ours
    from benchmarks.peers import snntorch

    def net(bias: float) -> Network:
        return Network((1,), (Stage((Dense(torch.ones(1, 1), torch.tensor([bias])),), (1,)),))

    x = torch.tensor([[[given], [0.0]], [[0.0], [0.5]]])  # (step, sample, input): the second sample stays silent
    found, wrong = first_differences(ours.network(net(more)), snntorch.network(net(0.0)), x, net(0.0))
    if ties is None:
        assert wrong == "sample 0, step 0, lif0: spikes differ, and it is no tie"
    else:
        assert (found, wrong) == (ties, "")
