"""Finding backends: unknown names list what there is, a missing simulator is a command and no ImportError."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import pytest

import hasn
from hasn import backend as module
from hasn.backend import Backend, BackendInfo, get_backend, require_backend
from hasn.errors import BackendUnavailable, OptionError
from hasn.executable import Executable
from hasn.nodes.lookup import kind_names
from hasn.program.model import Program
from hasn.testing.interpreter import ProgramInterpreter
from tests.graphs import DT


class Missing(Backend):
    """A backend whose simulator is not there."""

    name = "missing"
    precisions = ("float64",)

    def why_not(self) -> str:
        return "nowhere to be found; pip install nowhere"

    def version(self) -> str:
        return ""

    def compile(self, program: Program, graph: nir.NIRGraph, precision: str, **options: Any) -> Executable:
        raise AssertionError("compile must not be reached")


class Plain(Missing):
    """A backend of a third party, with two options of its own."""

    name = "plain"

    def why_not(self) -> str:
        return ""

    def compile(  # type: ignore[override]
        self, program: Program, graph: nir.NIRGraph, precision: str, *, threads: int = 1, seed: int = 0
    ) -> Executable:
        return ProgramInterpreter(program)


class Bare(Missing):
    """A backend without options."""

    def why_not(self) -> str:
        return ""


class Noting(Plain):
    """Notes what it is asked to compile."""

    name = "noting"
    precisions = ("float64", "float16")
    latency = 3
    primitives = ("LIF",)

    def version(self) -> str:
        return "1.2"

    def compile(  # type: ignore[override]
        self, program: Program, graph: nir.NIRGraph, precision: str, *, threads: int = 1, seed: int = 0
    ) -> Executable:
        self.noted = (program, graph, precision, threads, seed)
        return ProgramInterpreter(program)


class Point:
    """What importlib.metadata gives for an entry point."""

    def __init__(self, name: str, value: str, made: Backend | None = None) -> None:
        self.name, self.value, self.made = name, value, made

    def load(self) -> Any:
        return self.made


def offer(monkeypatch: pytest.MonkeyPatch, *points: Point) -> None:
    """Let these be the installed plug-ins."""
    monkeypatch.setattr(module, "entry_points", lambda group: list(points))
    module._entry_points.cache_clear()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    module._entry_points.cache_clear()


def test_the_three_backends_are_found_and_say_what_they_can() -> None:
    found = hasn.list_backends()
    assert set(found) >= {"snntorch", "brian2", "lava"}
    for info in found.values():
        assert info.available == (info.why_not == "")
        assert "float64" in info.precisions
        assert "LIF" in info.primitives
        assert info.version or not info.available


def test_an_unknown_name_lists_what_there_is(net: nir.NIRGraph) -> None:
    with pytest.raises(OptionError, match="backend: unknown backend; got 'nest'; wanted brian2, lava, snntorch"):
        hasn.compile(net, "nest", dt=DT)


def test_an_unknown_precision_lists_what_there_is(net: nir.NIRGraph) -> None:
    with pytest.raises(OptionError, match="unknown precision for brian2; got 'float16'; wanted float64 or float32"):
        hasn.compile(net, "brian2", dt=DT, precision="float16")


def test_a_plug_in_is_used_and_its_options_are_known(net: nir.NIRGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, Point("plain", "third.party:BACKEND", Plain()))
    assert isinstance(hasn.compile(net, "plain", dt=DT, threads=2), ProgramInterpreter)
    with pytest.raises(OptionError, match="speed: plain has no such option; got 3; wanted threads, seed"):
        hasn.compile(net, "plain", dt=DT, speed=3)


def test_a_missing_simulator_is_named_with_its_command(net: nir.NIRGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, Point("missing", "third.party:BACKEND", Missing()))
    info = hasn.list_backends()["missing"]
    assert (info.available, info.why_not) == (False, "nowhere to be found; pip install nowhere")
    with pytest.raises(BackendUnavailable, match="cannot run here: nowhere to be found; pip install nowhere"):
        hasn.compile(net, "missing", dt=DT)


def test_what_a_backend_says_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, Point("noting", "a:B", Noting()), Point("missing", "b:B", Missing()))
    assert list(hasn.list_backends()) == ["missing", "noting"]
    assert hasn.list_backends()["noting"] == BackendInfo(True, "", "1.2", ("float64", "float16"), 3, ("LIF",))
    why = "nowhere to be found; pip install nowhere"
    assert hasn.list_backends()["missing"] == BackendInfo(False, why, "", ("float64",), 0, kind_names())
    with Missing().session() as nothing:
        assert nothing is None
    assert (Missing().options(), Noting().options()) == ((), ("threads", "seed"))


def test_every_option_of_compile_arrives(net: nir.NIRGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = Noting()
    offer(monkeypatch, Point("noting", "b:B", plugin))
    net.metadata["dt"] = 5e-4
    net.nodes["n2"].metadata["reset"] = "zero"
    net.nodes["output"].output_type["output"] = None
    hasn.compile(net, "noting")
    program, graph, *others = plugin.noted
    assert (program.dt, program.method, program.timing, others) == (5e-4, "euler", "synchronous", ["float64", 1, 0])
    assert program.by_name["n4"].reset == "zero"
    assert graph.nodes["output"].output_type["output"].tolist() == [3]  # the backend sees shapes, the caller's stay
    assert net.nodes["output"].output_type["output"] is None
    options = {"method": "exact", "reset": "subtract", "timing": "hardware", "precision": "float16"}
    hasn.compile(net, "noting", dt=2e-3, threads=4, seed=5, **options)
    program, _, *others = plugin.noted
    assert (program.dt, program.method, program.timing, others) == (2e-3, "exact", "hardware", ["float16", 4, 5])
    assert (program.by_name["n2"].reset, program.by_name["n4"].reset) == ("zero", "subtract")
    for wrong in ("method", "reset", "timing"):
        with pytest.raises(OptionError, match=f"{wrong}: "):
            hasn.compile(net, "noting", **{wrong: "x"})


def test_what_is_refused_first(net: nir.NIRGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend, its precision, whether it is there, its options; then the graph."""
    offer(monkeypatch, Point("missing", "a:B", Missing()), Point("plain", "b:B", Plain()))
    net.nodes["n2"].tau[0] = -1
    wrong = {"precision": "float16", "speed": 3, "warp": 4}
    with pytest.raises(OptionError, match="unknown precision for missing; got 'float16'; wanted float64"):
        hasn.compile(net, "missing", **wrong)
    with pytest.raises(BackendUnavailable, match=r"^backend: the backend missing cannot run here.*got 'missing'"):
        hasn.compile(net, "missing", speed=3)
    with pytest.raises(OptionError, match="speed: plain has no such option; got 3; wanted threads, seed"):
        hasn.compile(net, "plain", warp=4, speed=3)
    offer(monkeypatch, Point("bare", "a:B", Bare()))
    with pytest.raises(OptionError, match="speed: bare has no such option; got 3; wanted no option"):
        hasn.compile(net, "bare", speed=3)
    offer(monkeypatch)
    with pytest.raises(OptionError, match="unknown backend; got 'plain'; wanted none is installed"):
        hasn.compile(net, "plain")


def test_two_plug_ins_of_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, Point("plain", "c:D", Plain()), Point("plain", "a:B", Plain()))
    with pytest.raises(
        OptionError, match=r"two plug-ins offer a backend of this name; got a:B and c:D\. Uninstall one"
    ):
        get_backend("plain")


def test_the_same_plug_in_installed_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, Point("plain", "a:B", Plain()), Point("plain", "a:B", Plain()))
    assert require_backend("plain", "float64").name == "plain"


def test_the_graph_is_judged_after_the_backend_and_before_it_compiles(
    monkeypatch: pytest.MonkeyPatch, net: nir.NIRGraph
) -> None:
    offer(monkeypatch, Point("plain", "a:B", Plain()))
    net.nodes["n2"].tau[0] = -1
    with pytest.raises(hasn.errors.ParameterError, match="node 'n2' tau"):
        hasn.compile(net, "plain", dt=DT)
