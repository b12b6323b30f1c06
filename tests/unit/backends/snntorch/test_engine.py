"""engine="fused" against engine="steps": the same bits forwards, the same gradients, the same module."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hasn
from hasn import kernels
from hasn.errors import InputError, OptionError
from hasn.kernels import Slope
from tests.graphs import DT, spikes
from tests.unit.backends.snntorch.engine_nets import NETS, net

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
snntorch = pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch import executable as executables  # noqa: E402
from tests.unit.kernels.plain import Spike  # noqa: E402

SLOPES = {
    "atan": (Slope.ATAN, 2.0),
    "fast_sigmoid": (Slope.FAST_SIGMOID, 25.0),
    "sigmoid": (Slope.SIGMOID, 25.0),
    "triangular": (Slope.TRIANGULAR, 1.0),
    "straight_through_estimator": (Slope.STRAIGHT_THROUGH, 0.0),
}
# Ways of evaluating the populations: by the kernel, and by what stands in for it.
KERNELS = [pytest.param(True, id="kernels"), pytest.param(False, id="no kernels")]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every forward call of the kernel."""
    seen: list[Any] = []
    forward = kernels.scan_forward
    monkeypatch.setattr(kernels, "scan_forward", lambda *given: (seen.append(given), forward(*given)))
    return seen


def compiled(name: str, engine: str, **more: Any) -> Any:
    g, options, _ = net(name)
    return hasn.compile(g, "snntorch", engine=engine, **options, **more)


def given(name: str, steps: int = 14, batch: int = 3, dtype: Any = None) -> Any:
    return torch.tensor(spikes(net(name)[2], steps, batch), dtype=dtype or torch.float32)


def outputs(executable: Any, x: Any) -> dict[str, Any]:
    found = executable.module(x)
    return found if isinstance(found, dict) else {"output": found}


def gradients(executable: Any, x: Any) -> dict[str, Any]:
    """By every parameter and the input, of a loss that weighs every value otherwise."""
    x = x.clone().requires_grad_()
    torch.manual_seed(3)
    loss = sum((torch.rand_like(y) * y).sum() + 0.1 * y.square().sum() for y in outputs(executable, x).values())
    loss.backward()
    return {"x": x.grad, **{name: p.grad for name, p in executable.module.named_parameters()}}


def assert_close(ours: dict[str, Any], theirs: dict[str, Any], tolerance: float) -> None:
    assert ours.keys() == theirs.keys()
    for name, wanted in theirs.items():
        assert bool(torch.isfinite(wanted).all()), name
        assert wanted.abs().max() > 1e-6, name
        assert (ours[name] - wanted).abs().max() <= tolerance * wanted.abs().max(), name


@pytest.mark.parametrize("with_kernels", KERNELS)
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", NETS)
def test_a_run_is_the_same_to_the_last_bit(
    name: str, precision: str, with_kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASN_KERNELS", str(int(with_kernels)))
    x = spikes(net(name)[2], 40, 3)
    steps = compiled(name, "steps", precision=precision).run(x, record=("spikes", "voltages"))
    fused = compiled(name, "fused", precision=precision).run(x, record=("spikes", "voltages"))
    for group in ("outputs", "spikes", "voltages"):
        ours, theirs = getattr(fused, group), getattr(steps, group)
        assert ours.keys() == theirs.keys()
        for node, wanted in theirs.items():
            np.testing.assert_array_equal(ours[node], wanted, err_msg=f"{group} of {node}")
    rates = {node: wanted.mean() for node, wanted in steps.spikes.items()}
    assert all(0.01 < rate < 0.99 for rate in rates.values()), rates


# 14 steps of sums in another order: some 20 roundings of 6e-8.
@pytest.mark.parametrize("with_kernels", KERNELS)
@pytest.mark.parametrize("name", NETS)
def test_gradients_are_the_step_loops(name: str, with_kernels: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_KERNELS", str(int(with_kernels)))
    steps, fused = (compiled(name, engine, precision="float32") for engine in ("steps", "fused"))
    assert_close(gradients(fused, given(name)), gradients(steps, given(name)), 1e-5)


@pytest.mark.parametrize("engine", ["steps", "fused"])
def test_a_batch_of_nothing_is_refused(engine: str) -> None:
    x = given("two states")[:, :0]
    with pytest.raises(InputError, match=r"the input has no step or no sample; got \(14, 0, 12\)"):
        outputs(compiled("two states", engine, precision="float32"), x)


def test_a_cycles_gradient_costs_no_more_for_every_step() -> None:
    """That of x[t] is as large as x: one for every step would take T times as long."""
    made = outputs(compiled("recurrent", "fused", precision="float32"), given("recurrent").requires_grad_())
    seen, waiting = set(), [y.grad_fn for y in made.values()]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [before for before, _ in node.next_functions]
    names = {node.name() for node in seen}
    assert "UnbindBackward0" in names
    assert "SelectBackward0" not in names


@pytest.mark.parametrize("engine", ["steps", "fused"])
@pytest.mark.parametrize("name", ["readout, reset by subtraction", "recurrent", "delays", "shared"])
def test_recompute_keeps_less_and_gives_the_same_gradients(name: str, engine: str) -> None:
    x = given(name, steps=64)  # chunks of 9 leave one of a step
    kept: dict[Any, int] = {}
    found = {}
    for every in (None, 9):
        executable = compiled(name, engine, precision="float32", recompute=every)
        sizes: dict[int, int] = {}

        def pack(tensor: Any, sizes: dict[int, int] = sizes) -> Any:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            made = outputs(executable, x)
        kept[every] = sum(sizes.values())
        found[every] = gradients(executable, x) | {f"output {n}": y.detach() for n, y in made.items()}
    assert kept[9] < 0.7 * kept[None]
    assert found[9].keys() == found[None].keys()
    assert_close(found[9], found[None], 1e-5)  # sums over 8 chunks in place of one over all steps


def test_recompute_wants_a_number_of_steps() -> None:
    for every in (0, -3, 2.5, True):
        with pytest.raises(OptionError, match=r"recompute: no such number.*an integer >= 1"):
            compiled("recurrent", "fused", recompute=every)


@pytest.mark.parametrize("surrogate", SLOPES)
@pytest.mark.parametrize("name", ["readout, reset to zero", "two states", "snnTorch's own neurons", "recurrent"])
def test_every_surrogates_gradients_are_the_step_loops(name: str, surrogate: str, calls: list[Any]) -> None:
    steps, fused = (compiled(name, e, precision="float32", surrogate=surrogate) for e in ("steps", "fused"))
    x = given(name, steps=9)
    expected = gradients(steps, x)
    assert not calls
    assert_close(gradients(fused, x), expected, 1e-5)
    assert bool(calls) is bool(kernels.available())


@pytest.mark.parametrize("surrogate", SLOPES)
@pytest.mark.parametrize(
    "name", ["readout, reset to zero", "two states", "two states, exact", "snnTorch's own neurons"]
)
def test_in_float64_gradients_keep_its_precision(name: str, surrogate: str) -> None:
    """Against a step loop whose spikes are float64: snnTorch's own are float32, and round every gradient."""
    if not kernels.available():
        pytest.skip(f"no kernels here: {kernels.available().why}")
    precise = compiled(name, "steps", surrogate=lambda u: Spike.apply(u, *SLOPES[surrogate]))
    fused = compiled(name, "fused", surrogate=surrogate)
    x = given(name, steps=9, dtype=torch.float64)
    assert_close(gradients(fused, x), gradients(precise, x), 1e-10)


def test_a_surrogates_own_parameter_counts(calls: list[Any]) -> None:
    x, found = given("two states"), {}
    for slope in (5, 25):
        made = [snntorch.surrogate.fast_sigmoid(slope=slope) for _ in range(2)]
        steps, fused = (
            compiled("two states", e, precision="float32", surrogate=s)
            for e, s in zip(("steps", "fused"), made, strict=True)
        )
        found[slope] = gradients(fused, x)
        assert_close(found[slope], gradients(steps, x), 1e-5)
    assert bool(calls) is bool(kernels.available())
    assert (found[5]["x"] - found[25]["x"]).abs().max() > 0.1 * found[5]["x"].abs().max()


def test_a_surrogate_of_ones_own_goes_by_the_module(calls: list[Any]) -> None:
    class Boxcar(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, u: Any) -> Any:
            ctx.save_for_backward(u)
            return (u > 0).to(u.dtype)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient * (ctx.saved_tensors[0].abs() < 0.5)

    name = "readout, reset to zero"
    steps, fused = (compiled(name, e, precision="float32", surrogate=Boxcar.apply) for e in ("steps", "fused"))
    theirs = gradients(steps, given(name))
    assert_close(gradients(fused, given(name)), theirs, 1e-5)
    assert len(calls) == (1 if kernels.available() else 0)  # the readout has no spikes, so no surrogate


def test_coefficients_that_train_go_by_the_module() -> None:
    name, found = "snnTorch's own neurons", []
    for engine in ("steps", "fused"):
        executable = compiled(name, engine, precision="float32")
        neuron = executable.module.node("n2").neuron
        neuron.beta.requires_grad_()
        found.append({**gradients(executable, given(name)), "beta": neuron.beta.grad})
    assert_close(found[1], found[0], 1e-5)


def test_hooks_of_a_neuron_see_every_step_and_those_of_a_product_its_own_values() -> None:
    executable, seen = compiled("two states", "fused"), []
    x = spikes((12,), 10, 3)
    expected = executable.run(x).output
    executable.module.node("n2").neuron.register_forward_hook(lambda m, i, o: seen.append(o[0].shape))
    executable.module.node("n1").register_forward_hook(lambda m, i, o: seen.append(o))
    np.testing.assert_array_equal(executable.run(x).output, expected)
    product, *steps = seen
    assert steps == [(3, 140)] * 10
    weight = executable.module.node("n1").weight.detach()
    np.testing.assert_array_equal(product.numpy(), x.reshape(30, 12) @ weight.numpy().T)


def test_coefficients_are_read_as_they_are_now() -> None:
    executable, steps = compiled("snnTorch's own neurons", "fused"), compiled("snnTorch's own neurons", "steps")
    x = spikes((12,), 20, 3)
    before = executable.run(x).output
    for one in (executable, steps):
        one.module.node("n2").neuron.beta.data.mul_(0.5)
        one.module.node("n4").neuron.threshold.fill_(0.31)
    after = executable.run(x).output
    assert not np.array_equal(after, before)
    np.testing.assert_array_equal(after, steps.run(x).output)


def test_a_neuron_changed_beyond_the_kernels_equations_goes_by_the_module() -> None:
    executable, steps = compiled("snnTorch's own neurons", "fused"), compiled("snnTorch's own neurons", "steps")
    for one in (executable, steps):
        one.module.node("n2").neuron.threshold.fill_(-0.1)  # then snntorch.Leaky resets in the step after, too
        one.module.node("n4").neuron.state_quant = lambda state: (state * 8).round() / 8
    x = spikes((12,), 20, 3)
    np.testing.assert_array_equal(executable.run(x).output, steps.run(x).output)


@pytest.mark.parametrize("name", ["recurrent", "delays", "recurrent, hardware timing", "two states"])
def test_a_run_in_parts_and_a_stream_continue_what_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    executable = compiled(name, "fused")
    x = spikes(net(name)[2], 23, 3)
    whole = executable.run(x, record=("spikes", "voltages"))
    stream = np.stack([executable.step(now).output for now in x])
    np.testing.assert_array_equal(stream, whole.output)
    monkeypatch.setattr(executables, "_HELD", 3 * executable._width * 5)  # five steps at a time
    parts = executable.run(x, record=("spikes", "voltages"))
    for group in ("outputs", "spikes", "voltages"):
        for node, wanted in getattr(whole, group).items():
            np.testing.assert_array_equal(getattr(parts, group)[node], wanted)


def test_the_module_is_the_same_whatever_the_engine() -> None:
    steps, fused = compiled("convolution", "steps"), compiled("convolution", "fused")
    assert steps.module.state_dict().keys() == fused.module.state_dict().keys()
    assert (steps.module.engine, fused.module.engine) == ("steps", "fused")
    assert hasn.compile(net("convolution")[0], "snntorch", dt=DT).module.engine == "fused"
    x = given("convolution", dtype=torch.float64)
    expected = steps.module(x)
    steps.module.engine = "fused"
    assert torch.equal(steps.module(x), expected)
    with pytest.raises(OptionError, match=r"no such engine.*got 'turbo'.*steps or fused"):
        steps.module.engine = "turbo"
    with pytest.raises(OptionError, match="no such engine"):
        compiled("convolution", "turbo")
    with pytest.raises(OptionError, match="does not train"):
        compiled("convolution", "steps", precision="loihi")


def test_every_output_has_a_memory_of_its_own() -> None:
    executable, x = compiled("shared", "fused"), given("shared", dtype=torch.float64)
    with torch.no_grad():
        found, kept = executable.module(x), x.clone()
        expected = {name: value.clone() for name, value in found.items()}
        assert len(found) > 1
        for name, value in found.items():
            value.add_(1.0)
            assert all(torch.equal(found[other], expected[other]) for other in found if other > name)
            expected[name] = value.clone()
    assert torch.equal(x, kept)


def test_a_graph_may_go_backwards_twice_if_it_is_kept() -> None:
    executable, x = compiled("two states", "fused", precision="float32"), given("two states")
    loss = outputs(executable, x)["output"].square().sum()
    weight = next(executable.module.parameters())
    once, twice = (torch.autograd.grad(loss, weight, retain_graph=keep)[0] for keep in (True, False))
    assert torch.equal(once, twice)
    assert once.abs().max() > 0
