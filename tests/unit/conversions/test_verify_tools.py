"""Norse, Sinabs and SpikingJelly conversions prove themselves too: hooks, own forwards, stale weights, wrappers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.errors import UnsupportedError
from tests.unit.conversions.foreign_runs import excite

torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
DT = 1e-3


def norse() -> tuple[Any, Callable[..., Any]]:
    """A network, and its conversion as ``convert(net, **options)``."""
    pytest.importorskip("norse.torch", reason="Norse is not installed: pip install 'hasn[norse]'")
    from norse.torch import LIFBoxCell, SequentialState

    from hasn.conversions.norse import from_norse

    net = SequentialState(nn.Linear(6, 7), LIFBoxCell(), nn.Linear(7, 4, bias=False), LIFBoxCell())
    return net, lambda module, **options: from_norse(module, torch.rand(2, 6), DT, **options)


def sinabs() -> tuple[Any, Callable[..., Any]]:
    """The same of Sinabs."""
    layers = pytest.importorskip("sinabs.layers", reason="Sinabs is not installed: pip install --no-deps sinabs")
    from sinabs.activation import SingleSpike

    from hasn.conversions.sinabs import from_sinabs

    one = {"tau_mem": 8.0, "spike_threshold": torch.tensor(0.4), "spike_fn": SingleSpike}
    net = nn.Sequential(nn.Linear(6, 7), layers.LIF(**one), nn.Linear(7, 4, bias=False), layers.LIF(**one))
    return net, lambda module, **options: from_sinabs(module, torch.rand(2, 9, 6), DT, **options)


def jelly(mode: str) -> tuple[Any, Callable[..., Any]]:
    """The same of SpikingJelly, in step mode "s" or "m"."""
    pytest.importorskip("spikingjelly.activation_based.nir_exchange",
                        reason="SpikingJelly 2 is not installed: pip install 'hasn[spikingjelly]'")  # fmt: skip
    from spikingjelly.activation_based import functional, layer, neuron

    from hasn.conversions.spikingjelly import from_spikingjelly

    net = nn.Sequential(layer.Linear(6, 7), neuron.LIFNode(tau=4.0, v_threshold=0.6), layer.Linear(7, 4, bias=False),
                        neuron.LIFNode(tau=4.0, v_threshold=0.6))  # fmt: skip
    functional.set_step_mode(net, mode)
    sample = torch.rand(*((5,) if mode == "m" else ()), 2, 6)
    return net, lambda module, **options: from_spikingjelly(module, sample, DT, **options)


TOOLS = {"norse": norse, "sinabs": sinabs, "jelly s": lambda: jelly("s"), "jelly m": lambda: jelly("m")}


@pytest.fixture(params=TOOLS)
def made(request: pytest.FixtureRequest) -> tuple[Any, Callable[..., Any]]:
    torch.manual_seed(6)
    net, convert = TOOLS[request.param]()
    return excite(net).eval(), convert


def weights(graph: Any) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(node.weight) for node in graph.nodes.values() if hasattr(node, "weight")]


def doubled(given: Any) -> Any:
    return (2 * given[0], *given[1:]) if isinstance(given, tuple) else 2 * given


def test_says_what_was_compared(made: Any) -> None:
    net, convert = made
    said = convert(net).metadata["verified"]
    assert "2 populations" in said
    assert "2 layers" in said
    assert int(said.split("(")[1].split()[0]) > 50
    assert "verified" not in convert(net, verify=False).metadata


@pytest.mark.parametrize("part", [0, 1, 2, 3])
def test_a_hook_that_changes_something_is_refused_and_one_that_looks_is_not(made: Any, part: int) -> None:
    net, convert = made
    seen: list[int] = []
    net[part].register_forward_hook(lambda module, given, output: seen.append(1))
    graph = convert(net)
    assert "2 populations" in graph.metadata["verified"]
    assert seen
    with pytest.raises(UnsupportedError, match="only a run tells"):
        convert(net, verify=False)
    net[part].register_forward_hook(lambda module, given, output: doubled(output))
    with pytest.raises(UnsupportedError, match=f"'{part}' has a forward hook") as error:
        convert(net)
    assert error.value.node == str(part)


@pytest.mark.parametrize("part", [0, 3])
def test_a_forward_of_one_instance_is_refused(made: Any, part: int) -> None:
    net, convert = made
    own = net[part].forward
    net[part].forward = lambda *given: doubled(own(*given))
    with pytest.raises(UnsupportedError, match="has a forward of its own") as error:
        convert(net)
    assert (error.value.node, error.value.parameter) == (str(part), "forward")


CHANGES: dict[str, Callable[[Any], Any]] = {
    "prune": lambda part: prune.l1_unstructured(part, "weight", 0.5),
    "weight norm": weight_norm,
    "spectral norm": spectral_norm,
    "parametrized": parametrizations.weight_norm,
}


@pytest.mark.parametrize("name", CHANGES)
def test_recomputed_weights_are_those_of_the_next_forward_pass(made: Any, name: str) -> None:
    net, convert = made
    CHANGES[name](net[2])
    with torch.no_grad():
        for parameter in net[2].parameters():
            parameter.mul_(1.3)
    graph = convert(net)
    seen: list[Any] = []  # a Linear's weights are what it makes of unit inputs
    net[2].register_forward_hook(lambda module, given, output: seen.append(output))
    with torch.no_grad():
        net[2](torch.eye(7))
    np.testing.assert_allclose(weights(graph)[1], seen[0].numpy().T, rtol=1e-5, atol=1e-7)
    assert hasn.check(graph) is not None


def test_a_net_that_ran_with_gradients_is_converted(made: Any) -> None:
    net, convert = made
    prune.l1_unstructured(net[0], "weight", 0.5)
    x = torch.rand(5, 2, 6)
    given = net(x if getattr(net[1], "step_mode", "m") == "m" else x[0])
    (given[0] if isinstance(given, tuple) else given).sum().backward()
    assert "2 populations" in convert(net).metadata["verified"]


class OptimizedModule(nn.Sequential):
    """Named like what torch.compile gives, whose import takes seconds."""


class FSDPModule(nn.Sequential):
    """A base of what fully_shard makes of a class."""


WRAPPERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "DataParallel": (nn.DataParallel, "Hand over its .module."),
    "OptimizedModule": (OptimizedModule, "._orig_mod"),
    "FSDPModule": (type("FSDPNet", (FSDPModule,), {}), "gather a full state dict"),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_are_refused_with_the_way_to_what_they_wrap(made: Any, name: str) -> None:
    net, convert = made
    wrap, words = WRAPPERS[name]
    with pytest.raises(UnsupportedError, match=f"{name} wraps a module") as error:
        convert(wrap(net))
    assert words in str(error.value.way_out)
    assert error.value.node == "(the module)"
    net[2] = wrap(net[2])
    with pytest.raises(UnsupportedError, match=f"{name} wraps a module") as error:
        convert(net)
    assert error.value.node == "2"
