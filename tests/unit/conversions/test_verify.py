"""A conversion proves itself: what stands around a module's forward is found by running both sides."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.errors import UnsupportedError
from tests.unit.conversions.snntorch_nets import DT, excited, hidden, snn, torch

from hasn.conversions.snntorch import from_snntorch  # isort: skip
from hasn.conversions.verify import Place, Source, copied, verified  # isort: skip
from torch import nn  # isort: skip
from torch.nn.modules import module as module_hooks  # isort: skip


def net(scale: float = 1.0) -> Any:
    """Two layers, the second one in a container; with a small scale nothing ever spikes."""
    torch.manual_seed(3)
    block = nn.Sequential(nn.Linear(8, 4), hidden(snn.Synaptic, 0.6, 0.8))
    made = nn.Sequential(excited(6, 8), hidden(snn.Leaky, 0.9), block, nn.Identity(), hidden(snn.Leaky, 0.5))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(scale)
    return made.eval()


def doubled(given: Any) -> Any:
    return tuple(2 * value for value in given) if isinstance(given, tuple) else 2 * given


PATHS = ["0", "1", "2.0", "2.1", "2", "3", "4", ""]
#: where it is -> the node at which the two part: the next one behind it, where no node is the module's own.
PARTS = {"2": "4", "3": "4", "": "output"}


@pytest.mark.parametrize("scale", [1.0, 0.05])
@pytest.mark.parametrize("path", PATHS)
def test_a_hook_that_changes_what_a_module_gives_is_refused(path: str, scale: float) -> None:
    changed = net(scale)
    changed.get_submodule(path).register_forward_hook(lambda module, given, output: doubled(output))
    with pytest.raises(UnsupportedError, match="has a forward hook") as error:
        from_snntorch(changed, dt=DT)
    assert error.value.node == PARTS.get(path, path)
    assert f"{repr(path) if path else 'the module'} has a forward hook" in str(error.value)
    assert "where hasn has" in str(error.value)


@pytest.mark.parametrize("path", PATHS)
def test_a_hook_that_changes_what_a_module_takes_is_refused(path: str) -> None:
    changed = net()
    changed.get_submodule(path).register_forward_pre_hook(lambda module, given: doubled(given))
    with pytest.raises(UnsupportedError, match="has a forward pre-hook"):
        from_snntorch(changed, dt=DT)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("path", PATHS)
def test_a_forward_of_one_instance_is_refused(path: str, verify: bool) -> None:
    changed = net()
    part = changed.get_submodule(path)
    own = part.forward
    part.forward = lambda x: 2 * own(x)
    with pytest.raises(UnsupportedError, match="has a forward of its own") as error:
        from_snntorch(changed, dt=DT, verify=verify)
    assert (error.value.node, error.value.parameter) == (path or "(the module)", "forward")


@pytest.mark.parametrize("path", PATHS)
def test_hooks_that_only_look_are_allowed_and_see_tensors(path: str) -> None:
    watched, seen = net(), []
    part = watched.get_submodule(path)
    part.register_forward_hook(lambda module, given, output: seen.append(output.detach().cpu().sum().item()))
    part.register_forward_pre_hook(lambda module, given: seen.append(given[0].abs().max().item()))
    graph = from_snntorch(watched, dt=DT)
    plain = from_snntorch(net(), dt=DT)
    assert set(graph.nodes) == set(plain.nodes)
    np.testing.assert_array_equal(graph.nodes["0"].weight, plain.nodes["0"].weight)
    assert seen
    with pytest.raises(UnsupportedError, match="only a run tells") as error:
        from_snntorch(watched, dt=DT, verify=False)
    assert error.value.node == (path or "(the module)")


def test_the_result_says_what_was_compared() -> None:
    graph = from_snntorch(net(), dt=DT)
    said = graph.metadata["verified"]
    assert "snnTorch" in said
    assert "3 populations" in said
    assert "2 layers" in said
    assert "24 steps of 4 random samples" in said
    spikes = int(said.split("(")[1].split()[0])
    assert spikes > 100, "a silent comparison proves nothing"
    assert f"in {24 * 4 * (8 + 4 + 4):,} chances" in said
    assert "verified" not in from_snntorch(net(), dt=DT, verify=False).metadata


def test_a_silent_network_is_driven_until_it_spikes() -> None:
    said = from_snntorch(net(0.2), dt=DT).metadata["verified"]
    assert int(said.split("(")[1].split()[0]) > 20


def test_neither_the_module_nor_the_random_numbers_of_the_caller_are_touched() -> None:
    module = net()
    x = torch.ones(2, 6)
    with torch.no_grad():
        module(x)
    before = copy.deepcopy(module.state_dict()), module[1].mem.clone()
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    from_snntorch(module, dt=DT)
    assert torch.equal(torch.rand(3), wanted)
    assert torch.equal(module[1].mem, before[1])
    assert not module[0]._forward_hooks
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[0][name])


def test_a_module_with_the_gradients_of_its_last_run_is_copied() -> None:
    module = net()
    module(torch.ones(2, 6))
    assert module[1].mem.grad_fn is not None
    with pytest.raises(RuntimeError):
        copy.deepcopy(module)
    again = copied(module)
    assert torch.equal(again[1].mem, module[1].mem)
    assert from_snntorch(module, dt=DT).metadata["verified"]


class Fresh(nn.Linear):
    """Copies itself as a fresh instance, as Sinabs' layers do."""

    def __deepcopy__(self, memo: Any) -> Any:
        made = Fresh(self.in_features, self.out_features)
        made.load_state_dict(self.state_dict())
        return made


def test_a_class_that_copies_itself_keeps_its_hooks() -> None:
    layer = Fresh(3, 2)
    layer.register_forward_hook(lambda module, given, output: 2 * output)
    layer.gain = 3.0
    again = copied(nn.Sequential(layer))[0]
    assert (type(again), again.gain, len(again._forward_hooks)) == (Fresh, 3.0, 1)
    assert again.weight is not layer.weight
    assert torch.equal(again(torch.ones(1, 3)), layer(torch.ones(1, 3)))


def test_a_module_that_cannot_run_is_refused_with_its_own_words() -> None:
    class Picky(nn.Linear):
        def forward(self, x: Any) -> Any:
            raise ValueError("no such thing as a batch of four")

    module = nn.Sequential(excited(6, 8), hidden(snn.Leaky, 0.9)).eval()
    module[0].register_forward_pre_hook(lambda part, given: Picky(6, 8)(given[0]))
    with pytest.raises(UnsupportedError, match="ValueError: no such thing as a batch of four") as error:
        from_snntorch(module, dt=DT)
    assert error.value.parameter == "verify"


# --- the comparison itself, on graphs that were made wrong


WRONG = [("0", "weight"), ("0", "bias"), ("1", "tau"), ("1", "v_threshold"), ("1", "v_reset"), ("1", "r"),
         ("2.0", "weight"), ("2.1", "tau_syn"), ("2.1", "tau_mem"), ("2.1", "w_in"), ("4", "tau")]  # fmt: skip


@pytest.mark.parametrize(("node", "parameter"), WRONG)
def test_every_parameter_that_is_wrong_is_found_at_its_node(node: str, parameter: str) -> None:
    module = net()
    graph = from_snntorch(module, dt=DT, verify=False)
    value = np.asarray(getattr(graph.nodes[node], parameter))
    change = 0.3 if parameter == "v_reset" else 0.05  # -0.11 beside a threshold of 1
    setattr(graph.nodes[node], parameter, value + change * np.abs(value).max())
    root = copied(module)
    places = {path: Place(path) for path in ("0", "1", "2.0", "2.1", "4")}
    source = Source("it", root, lambda x: {"output": torch.stack([root(now) for now in x["input"]])}, places)
    with pytest.raises(UnsupportedError) as error:
        verified(graph, source)
    assert error.value.node == node


def test_spikes_of_another_amplitude_are_no_spikes() -> None:
    module = net()
    graph = from_snntorch(module, dt=DT, verify=False)
    root = copied(module)
    root[1].register_forward_hook(lambda part, given, output: output * 0.75)  # hasn's 1 is 0.75 here
    source = Source("it", root, lambda x: {"output": torch.stack([root(now) for now in x["input"]])}, {"1": Place("1")})
    with pytest.raises(UnsupportedError, match=r"0\.75 where hasn has 1"):
        verified(graph, source)


def test_a_tie_is_counted_apart() -> None:
    """A weight of 1 and a threshold that the first spike meets exactly: one rounding away the spikes are others."""
    module = nn.Sequential(nn.Linear(1, 1, bias=False), hidden(snn.Leaky, 0.5, threshold=1.0))
    with torch.no_grad():
        module[0].weight.fill_(1.0)
    graph = from_snntorch(module, dt=DT)
    graph.nodes["1"].v_threshold = np.nextafter(graph.nodes["1"].v_threshold, 0)  # now 1 is above it
    root = copied(module)
    source = Source("it", root, lambda x: {"output": torch.stack([root(now) for now in x["input"]])}, {"1": Place("1")})
    said = verified(graph, source).metadata["verified"]
    assert "ties left out" in said
    assert "ties" not in from_snntorch(module, dt=DT).metadata["verified"]


def test_a_layer_that_is_used_twice_and_states_that_are_passed_are_heard() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif, self.out = excited(6, 6), snn.Leaky(0.9), snn.RLeaky(0.8, linear_features=6)

        def forward(self, x: Any, mem: Any, spk: Any, mem2: Any) -> Any:
            first, mem = self.lif(self.fc(self.fc(x)), mem)
            spk, mem2 = self.out(first, spk, mem2)
            return spk, mem, mem2

    said = from_snntorch(Twice(), dt=DT).metadata["verified"]
    assert "2 populations" in said
    assert "2 layers" in said


def test_the_graph_is_the_same_with_and_without() -> None:
    compared, plain = (from_snntorch(net(), dt=DT, verify=verify) for verify in (True, False))
    x = 2 * torch.rand(40, 2, 6, generator=torch.Generator().manual_seed(1))
    one, other = (hasn.compile(graph).run(x).outputs["output"] for graph in (compared, plain))
    assert 0.02 < one.mean() < 0.98
    np.testing.assert_array_equal(one, other)


def test_a_population_that_hardly_fires_is_driven_until_it_does() -> None:
    net = nn.Sequential(nn.Linear(6, 4), snn.Leaky(0.999, threshold=50.0, init_hidden=True)).eval()
    said = from_snntorch(net, dt=DT).metadata["verified"]
    spikes = int(said.split("(")[1].split(" spikes")[0])
    assert spikes > 10
    assert "never spiked" not in said


def test_a_population_that_never_fires_is_named() -> None:
    net = nn.Sequential(nn.Linear(6, 4), snn.Leaky(0.9, threshold=1e9, init_hidden=True)).eval()
    assert from_snntorch(net, dt=DT).metadata["verified"].endswith("; never spiked: 1")


def test_a_hook_on_all_modules_is_heard() -> None:
    """hasn's own side is computed without it."""
    looked: list[str] = []
    net = nn.Sequential(excited(6, 4), snn.Leaky(0.9, init_hidden=True)).eval()
    look = module_hooks.register_module_forward_hook(lambda module, given, output: looked.append("seen"))
    try:
        assert "agree" in from_snntorch(net, dt=DT).metadata["verified"]
        with pytest.raises(UnsupportedError, match="verify=False and a forward hook on all modules"):
            from_snntorch(net, dt=DT, verify=False)
    finally:
        look.remove()
    assert looked
    for register in (
        lambda: module_hooks.register_module_forward_hook(
            lambda module, given, output: 2 * output if isinstance(module, nn.Linear) else None
        ),
        lambda: module_hooks.register_module_forward_pre_hook(
            lambda module, given: (2 * given[0],) if isinstance(module, nn.Linear) else None
        ),
    ):
        hook = register()
        try:
            with pytest.raises(UnsupportedError, match="hook on all modules"):
                from_snntorch(net, dt=DT)
        finally:
            hook.remove()


def test_a_hook_on_all_modules_is_still_there_afterwards() -> None:
    seen: list[Any] = []
    hook = module_hooks.register_module_forward_pre_hook(lambda module, given: seen.append(module))
    net = nn.Sequential(excited(6, 4), snn.Leaky(0.9, init_hidden=True)).eval()
    try:
        from_snntorch(net, dt=DT)
        seen.clear()
        net[0](torch.ones(1, 6))
        assert seen == [net[0]]
    finally:
        hook.remove()
