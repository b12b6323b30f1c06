"""What the backend says of itself, and the options of compile."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest

import hasn
from hasn.backends.snntorch import BACKEND, backend
from hasn.errors import OptionError
from hasn.testing.chip_graphs import random_chip_graph
from tests.graphs import DT, small_net

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch.surrogates import spike_gradient  # noqa: E402


def test_what_it_is() -> None:
    assert (BACKEND.name, BACKEND.latency) == ("snntorch", 0)
    assert BACKEND.precisions == ("float64", "float32", "loihi")
    assert BACKEND.why_not() == ""
    assert torch.__version__ in BACKEND.version()
    assert BACKEND.version().startswith("1.")


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"torch"}, "torch is not installed: pip install 'hasn[snntorch]'"),
        ({"snntorch"}, "snntorch is not installed: pip install 'hasn[snntorch]'"),
        ({"torch", "snntorch"}, "torch and snntorch is not installed: pip install 'hasn[snntorch]'"),
    ],
)
def test_which_package_is_missing(missing: set[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "find_spec", lambda name: None if name in missing else object())
    assert BACKEND.why_not() == said


def test_no_version_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(backend, "version", absent)
    assert BACKEND.version() == ""


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"dtype": "float64"}, "dtype"),
        ({"surrogate": "sigmoid"}, "surrogate"),
        ({"engine": "steps"}, "engine"),
        ({"recompute": 4}, "recompute"),
        ({"matmul": "bf16"}, "matmul"),
    ],
)
def test_integers_refuse_what_they_would_ignore(options: dict[str, Any], parameter: str) -> None:
    with pytest.raises(
        OptionError, match=r"computes in integers.*Leave it out, or compile with precision='float32'"
    ) as e:
        hasn.compile(random_chip_graph(0), "snntorch", precision="loihi", **options)
    assert (e.value.parameter, e.value.got) == (parameter, repr(options[parameter]))


def test_defaults_are_no_options_to_refuse() -> None:
    options = {"surrogate": "atan", "engine": "fused", "matmul": "float32", "recompute": None, "dtype": None}
    assert hasn.compile(random_chip_graph(0), "snntorch", precision="loihi", **options)


@pytest.mark.parametrize(
    ("dtype", "wanted"), [("float32", "float32"), (torch.float64, "float64"), ("torch.float32", "float32")]
)
def test_a_dtype_wins_over_the_precision(dtype: Any, wanted: str) -> None:
    other = {"float32": "float64", "float64": "float32"}[wanted]
    executable = hasn.compile(small_net(), "snntorch", dt=DT, precision=other, dtype=dtype)
    assert executable.precision == wanted
    assert executable.module.like.dtype == getattr(torch, wanted)


@pytest.mark.parametrize("dtype", ["float16", torch.bfloat16, "loihi", 32])
def test_another_dtype_is_refused(dtype: Any) -> None:
    with pytest.raises(OptionError, match=r"no such dtype here.*wanted float64 or float32") as caught:
        hasn.compile(small_net(), "snntorch", dt=DT, dtype=dtype)
    assert (caught.value.parameter, caught.value.got) == ("dtype", repr(dtype))


def test_options_reach_the_module() -> None:
    plain = hasn.compile(small_net(), "snntorch", dt=DT).module
    assert (plain.engine, plain.recompute, plain.matmul) == ("fused", None, "float32")
    options = {"engine": "steps", "recompute": 5, "matmul": "split-bf16", "precision": "float32"}
    module = hasn.compile(small_net(), "snntorch", dt=DT, **options).module
    assert (module.engine, module.recompute, module.matmul) == ("steps", 5, "split-bf16")


@pytest.mark.parametrize(
    "name", ["atan", "fast_sigmoid", "sigmoid", "triangular", "straight_through_estimator", "spike_rate_escape", "SFS"]
)
def test_every_surrogate_spikes_above_0_and_has_a_gradient(name: str) -> None:
    u = torch.tensor([-0.01, 0.0, 2.0], requires_grad=True)
    spikes = spike_gradient(name)(u)
    assert spikes.tolist() == [0, 0, 1]
    spikes.sum().backward()
    assert u.grad.abs().max() > 1e-4


@pytest.mark.parametrize("name", ["LSO", "step", 3])  # snnTorch 1.0's LSO raises a TypeError when it is called
def test_another_is_refused(name: Any) -> None:
    with pytest.raises(
        OptionError, match=r"unknown surrogate gradient.*wanted atan, fast_sigmoid.*or a function"
    ) as caught:
        spike_gradient(name)
    assert (caught.value.parameter, caught.value.got) == ("surrogate", repr(name))
