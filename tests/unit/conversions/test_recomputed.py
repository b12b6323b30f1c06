"""Weights that a forward pass computes anew: what the module computes with is what the graph has."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.errors import UnsupportedError
from tests.unit.conversions.snntorch_nets import DT, by_hand, excited, hidden, snn, torch

from hasn.conversions.snntorch import from_snntorch  # isort: skip
from torch import nn  # isort: skip
from torch.nn.utils import parametrizations, parametrize, prune  # isort: skip
from torch.nn.utils import spectral_norm as old_spectral_norm, weight_norm as old_weight_norm  # isort: skip

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # torch's, about the old norms


class Positive(nn.Module):
    """A parametrization: no weight under 0.05."""

    def forward(self, weight: Any) -> Any:
        return weight.clamp(min=0.05)


def pruned_twice(part: Any) -> None:
    prune.l1_unstructured(part, "weight", 0.3)
    prune.random_unstructured(part, "weight", 0.3)


def parametrized_twice(part: Any) -> None:
    parametrize.register_parametrization(part, "weight", Positive())
    parametrize.register_parametrization(part, "bias", Positive())


CHANGES: dict[str, Callable[[Any], Any]] = {
    "l1": lambda part: prune.l1_unstructured(part, "weight", 0.5),
    "structured": lambda part: prune.ln_structured(part, "weight", 0.4, n=2, dim=0),
    "bias": lambda part: prune.random_unstructured(part, "bias", 0.5),
    "twice": pruned_twice,
    "weight norm": old_weight_norm,
    "spectral norm": old_spectral_norm,
    "new weight norm": parametrizations.weight_norm,
    "new spectral norm": parametrizations.spectral_norm,
    "positive": parametrized_twice,
    "weight norm of the bias": lambda part: old_weight_norm(part, "bias", dim=None),
}
LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "linear": (lambda: excited(6, 8), (6,)),
    "conv": (lambda: nn.Conv2d(2, 8, 3), (2, 5, 5)),
    "conv1d": (lambda: nn.Conv1d(2, 8, 3), (2, 9)),
}


def net(layer: Callable[[], Any], change: Callable[[Any], Any]) -> Any:
    """A layer that was changed and then trained on (its parameters moved), so that the last weight is stale."""
    torch.manual_seed(6)
    made = nn.Sequential(layer(), hidden(snn.Leaky, 0.8, threshold=0.7))
    change(made[0])
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(1.3).add_(0.1)
    return made.eval()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", CHANGES)
def test_the_graph_has_the_weight_of_the_next_forward_pass(name: str, kind: str) -> None:
    layer, shape = LAYERS[kind]
    module = net(layer, CHANGES[name])
    graph = from_snntorch(module, input_shape=shape, dt=DT)
    sizes = torch.tensor([0.1, 0.4, 1.0, 3.0]).view(4, *(1,) * len(shape))  # lively whatever the norm makes of weights
    x = sizes * (torch.rand(60, 4, *shape, generator=torch.Generator().manual_seed(2)) - 0.3)
    wanted = by_hand(module, x)
    assert 0.02 < wanted.mean() < 0.98
    assert np.array_equal(hasn.compile(graph, precision="float32").run(x).outputs["output"] > 0, wanted)
    plain = from_snntorch(module, input_shape=shape, dt=DT, verify=False)  # read as it is, not only compared
    np.testing.assert_array_equal(plain.nodes["0"].weight, graph.nodes["0"].weight)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", ["l1", "structured", "twice", "bias", "weight norm", "positive"])
def test_a_pruned_layer_says_so_in_the_graph(name: str, kind: str) -> None:
    """A layer whose weight has a mask, a normalisation folded into it or not; others do not."""
    layer, shape = LAYERS[kind]
    module = net(layer, CHANGES[name])
    masked = name in ("l1", "structured", "twice")
    norm = nn.BatchNorm2d(8) if kind == "conv" else nn.BatchNorm1d(8)
    for made in (module, nn.Sequential(module[0], norm.eval(), module[1])):
        graph = from_snntorch(made, input_shape=shape, dt=DT, verify=False)
        assert (graph.nodes["0"].metadata.get("pruned") is True) is masked


def test_what_was_pruned_stays_pruned_when_hasn_trains_it() -> None:
    module = net(LAYERS["linear"][0], CHANGES["l1"])
    graph = from_snntorch(module, dt=DT)
    x = (np.random.default_rng(3).random((6, 4, 6)) < 0.5).astype(np.float32)
    trained = hasn.train(graph, (x, np.arange(4)), epochs=2, learning_rate=0.1).graph.nodes["0"].weight
    assert np.array_equal(trained == 0, (module[0].weight_mask == 0).numpy())
    assert not np.array_equal(trained, graph.nodes["0"].weight)


def test_pruned_weights_within_a_neuron_are_named() -> None:
    torch.manual_seed(2)
    module = nn.Sequential(nn.Linear(4, 3), snn.RLeaky(0.8, linear_features=3, init_hidden=True))
    prune.l1_unstructured(module[1].recurrent, "weight", 0.5)
    with pytest.warns(RuntimeWarning, match=r"pruned weights of 1\.recurrent are zeros .* masks='zeros'"):
        graph = from_snntorch(module, input_shape=(4,), dt=DT)
    x = (np.random.default_rng(3).random((6, 5, 4)) < 0.5).astype(np.float32)
    trained = hasn.train(graph, (x, np.arange(5) % 3), epochs=2, masks="zeros", learning_rate=0.1).graph
    gone = (module[1].recurrent.weight_mask == 0).numpy()
    assert np.array_equal(trained.nodes["1.recurrent"].weight == 0, gone)
    assert gone.sum() == 4


@pytest.mark.parametrize("name", CHANGES)
def test_the_module_keeps_its_hooks_and_parametrizations(name: str) -> None:
    module = net(LAYERS["linear"][0], CHANGES[name])
    before = copy.deepcopy(module.state_dict())
    kind, hooks = type(module[0]), len(module[0]._forward_pre_hooks)
    from_snntorch(module, dt=DT)
    assert (type(module[0]), len(module[0]._forward_pre_hooks)) == (kind, hooks)
    assert set(module.state_dict()) == set(before)
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key]), key
    with torch.no_grad():
        module(torch.ones(2, 6))  # it still runs


def test_a_hook_beside_a_recomputed_weight_is_named_too() -> None:
    module = net(LAYERS["linear"][0], CHANGES["l1"])
    module[0].register_forward_hook(lambda _, __, y: 2 * y)
    with pytest.raises(
        UnsupportedError, match=r"'0' has a forward hook.* and L1Unstructured.*prune\.remove.*around forward"
    ):
        from_snntorch(module, dt=DT)


def test_a_twins_state_is_loaded_after_pruning() -> None:
    module, trained = (net(LAYERS["linear"][0], CHANGES["l1"]) for _ in range(2))
    with torch.no_grad():
        trained[0].weight_orig.add_(0.25)
    module.load_state_dict(trained.state_dict())
    wanted = (trained[0].weight_orig * trained[0].weight_mask).detach().numpy()
    np.testing.assert_array_equal(from_snntorch(module, dt=DT).nodes["0"].weight, wanted)


def test_after_a_step_with_gradients() -> None:
    """torch.deepcopy fails on what a hook has computed with gradients."""
    module = net(LAYERS["linear"][0], CHANGES["l1"])
    module(torch.ones(2, 6)).sum().backward()
    with torch.no_grad():
        module[0].weight_orig.add_(0.25)
    wanted = (module[0].weight_orig * module[0].weight_mask).detach().numpy()
    np.testing.assert_array_equal(from_snntorch(module, dt=DT).nodes["0"].weight, wanted)


def test_a_neurons_parameters_may_be_parametrized() -> None:
    module = net(LAYERS["linear"][0], lambda part: None)
    module[1] = hidden(snn.Leaky, torch.tensor(0.9), learn_beta=True)
    parametrize.register_parametrization(module[1], "beta", nn.Sigmoid(), unsafe=True)
    keep = 1 - DT / from_snntorch(module, dt=DT).nodes["1"].tau
    np.testing.assert_allclose(keep, float(torch.sigmoid(torch.tensor(0.9))), rtol=1e-6)


def own_hook(module: Any, given: Any) -> None:
    """As a hand-written quantiser does it."""
    module.weight.data = torch.round(module.raw * 8) / 8


def test_a_hook_of_ones_own_that_sets_a_weight_is_refused_while_the_weight_is_stale() -> None:
    module = net(LAYERS["linear"][0], lambda part: None)
    module[0].raw = module[0].weight.detach() * 1.5
    module[0].register_forward_pre_hook(own_hook)
    with pytest.raises(UnsupportedError, match=r"'0' has a forward pre-hook \(own_hook\)") as error:
        from_snntorch(module, dt=DT)
    assert error.value.node == "0"
    with torch.no_grad():
        module(torch.ones(2, 6))
    graph = from_snntorch(module, dt=DT)  # now the weight is the one that the hook would set
    np.testing.assert_array_equal(graph.nodes["0"].weight, np.round(module[0].raw.numpy() * 8) / 8)


def test_a_norm_of_a_weight_that_another_hook_prunes_later_is_refused_while_it_lags() -> None:
    """The norm's hook acts first, on a weight_v that the pruning's hook sets only afterwards."""
    module = net(LAYERS["linear"][0], lambda part: prune.l1_unstructured(old_weight_norm(part), "weight_v", 0.3))
    with pytest.raises(UnsupportedError, match="'0' has WeightNorm and L1Unstructured"):
        from_snntorch(module, dt=DT)
    with torch.no_grad():
        module(torch.ones(2, 6))
    assert from_snntorch(module, dt=DT).metadata["verified"]


def test_a_norm_that_iterates_while_it_trains_is_refused_with_the_cure() -> None:
    module = net(LAYERS["linear"][0], CHANGES["spectral norm"]).train()
    with pytest.raises(UnsupportedError, match="SpectralNorm") as error:
        from_snntorch(module, dt=DT)
    assert error.value.node == "0"
    assert "module.eval()" in str(error.value.way_out)
    assert "remove_spectral_norm" in str(error.value.way_out)
