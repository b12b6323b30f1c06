"""The tutorials' Python as a user runs it a second time, over its own files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import hasn
from tests.unit.cli.conftest import need

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"


def run(name: str) -> dict[str, object]:
    """What a tutorial's code leaves."""
    path = TUTORIALS / name
    code = "\n".join(re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf8"), re.DOTALL))
    found: dict[str, object] = {}
    exec(compile(code, str(path), "exec"), found)
    return found


def test_from_a_snntorch_module_to_the_chips_integers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("snntorch", "brian2")
    monkeypatch.chdir(tmp_path)
    for name in ("untrained.nir", "trained.nir", "trained-loihi.nir"):
        (tmp_path / name).write_text("of the first time")
    found = run("snntorch.md")
    for comparison in (found["comparison"], found["integers"]):
        assert comparison.ok  # type: ignore[attr-defined]
        assert comparison.compared  # type: ignore[attr-defined]
    assert found["accuracy"] > 0.8  # type: ignore[operator]  # four patterns: chance is 0.25
    result, graph = found["result"], found["graph"]
    assert result.graph.nodes["1"].tau[0] != graph.nodes["1"].tau[0]  # type: ignore[attr-defined]
    assert np.array_equal(result.graph.nodes["3"].tau, graph.nodes["3"].tau)  # type: ignore[attr-defined]
    trained, (inputs, _) = hasn.load("trained.nir"), found["test"]  # type: ignore[misc]
    ours = next(iter(hasn.compile(trained, "snntorch", precision="float32").run(inputs).outputs.values()))
    again = found["again"]
    torch = pytest.importorskip("torch")
    for layer in again:  # type: ignore[attr-defined]
        if hasattr(layer, "reset_mem"):
            layer.reset_mem()
    with torch.no_grad():
        theirs = torch.stack([again(torch.tensor(now)) for now in inputs]).numpy()  # type: ignore[operator]
    assert np.mean(theirs != ours) < 1e-3  # ties within float32's rounding alone
    hasn.load("trained-loihi.nir")
