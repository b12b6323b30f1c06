"""matmul="split-bf16" and "bf16": how far from float32, forwards and backwards, and when they are refused."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

import hasn
from hasn import kernels
from hasn.errors import OptionError
from hasn.kernels import Implementation, Product, product_available
from tests.graphs import DT, Draw, chain, spikes

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch import products  # noqa: E402

#: Relative to the sum of the terms' sizes: errors that only the option itself explains. float32's are below.
LEAST = {1: 2.0**-12, 2: 2.0**-26}
SIZES = ((200, 12), (60, 200), (4, 60))


def matrices(form: str, binary: bool, seed: int = 0) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    a, b = torch.randn(70, 300), torch.randn(300, 33)
    a = (a > 0.8).float() if binary else a
    left = a if form[0] == "n" else a.t().contiguous().t()
    right = b if form[1] == "n" else b.t().contiguous().t()
    return left, right


def emulated(sizes: Product, a: int, b: int, c: int, bias: int = 0) -> None:
    """What :func:`hasn.kernels.product` says it does, on the same addresses."""

    def at(address: int, rows: int, columns: int) -> Any:
        room = (ctypes.c_float * (rows * columns)).from_address(address)
        return torch.from_numpy(np.frombuffer(room, np.float32)).reshape(rows, columns)

    left = at(a, sizes.k, sizes.m).T if sizes.transpose_a else at(a, sizes.m, sizes.k)
    right = at(b, sizes.n, sizes.k).T if sizes.transpose_b else at(b, sizes.k, sizes.n)
    (high, low), (other_high, other_low) = (
        (x.bfloat16().double(), (x - x.bfloat16()).bfloat16().double()) for x in (left, right)
    )
    made = high @ other_high
    if sizes.parts == 2:
        made += torch.nan_to_num(low @ other_high, nan=0.0) + torch.nan_to_num(high @ other_low, nan=0.0)
    at(c, sizes.m, sizes.n).copy_(made + (at(bias, 1, sizes.n).double() if bias else 0))


@pytest.fixture(params=["0", "1", "emulated"], ids=["no kernels", "kernels", "emulated"])
def _kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """By torch's products, by the kernel where the processor has its instructions, and by one as it is described."""
    if request.param == "emulated":
        monkeypatch.setattr(kernels, "product", emulated)
        monkeypatch.setattr(kernels, "product_available", lambda: Implementation("c"))
        return
    monkeypatch.setenv("HASN_KERNELS", request.param)
    if request.param == "1" and not product_available():
        pytest.skip(f"no such kernel here: {product_available().why}")


@pytest.mark.usefixtures("_kernels")
@pytest.mark.parametrize("binary", [True, False], ids=["spikes", "numbers"])
@pytest.mark.parametrize("form", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize("parts", [1, 2])
def test_products_are_as_accurate_as_they_say(parts: int, form: str, binary: bool) -> None:
    a, b = matrices(form, binary)
    bias = torch.randn(33)
    size = a.double().abs() @ b.double().abs() + bias.abs()
    error = ((products.product(a, b, parts, bias) - (a.double() @ b.double() + bias)).abs() / size).max()
    assert LEAST[parts] < error < Product(70, 33, 300, parts=parts).error_bound


@pytest.mark.usefixtures("_kernels")
def test_what_is_not_finite_stays_so() -> None:
    a, b = torch.eye(3), torch.full((3, 2), 0.999)  # whose lo is negative
    a[0, 0], a[1, 1] = torch.inf, torch.nan
    found = products.product(a, b, 2)
    assert torch.isinf(found[0]).all()
    assert torch.isnan(found[1]).all()
    assert (found[2] == b[2].bfloat16() + (b[2] - b[2].bfloat16()).bfloat16().float()).all()
    assert (products.product(a, -b, 2)[0] == -torch.inf).all()


@pytest.mark.usefixtures("_kernels")
@pytest.mark.parametrize("parts", [1, 2])
def test_gradients_are_those_of_a_linear_layer(parts: int) -> None:
    """By x (T, batch, n), weight and bias, each only where it is wanted; a layer in float64 says what they are."""
    torch.manual_seed(1)
    layer = torch.nn.Linear(20, 7)
    x, to_y = torch.randn(5, 3, 20, requires_grad=True), torch.randn(5, 3, 7)
    made = products.dense(layer, x, parts)
    plain = torch.nn.Linear(20, 7).double()
    plain.load_state_dict(layer.state_dict())
    given = x.detach().double().requires_grad_()
    expected = plain(given)
    within = {1: 2.0**-6, 2: 2.0**-13}[parts]  # the bound, of sums of 20 terms that cancel
    torch.testing.assert_close(made.double(), expected, rtol=0, atol=4 * within)
    wanted = torch.autograd.grad((expected * to_y).sum(), [given, plain.weight, plain.bias])
    found = torch.autograd.grad((made * to_y).sum(), [x, layer.weight, layer.bias])
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=4 * within)
    layer.weight.requires_grad_(False)
    by_bias = torch.autograd.grad((products.dense(layer, x.detach(), parts) * to_y).sum(), layer.bias)[0]
    torch.testing.assert_close(by_bias, to_y.sum((0, 1)))
    bare = torch.nn.Linear(20, 7, bias=False)
    torch.testing.assert_close(products.dense(bare, x, parts), bare(x), rtol=0, atol=4 * within)


@pytest.mark.usefixtures("_kernels")
def test_products_of_nothing() -> None:
    for m, k, n in ((0, 3, 2), (3, 0, 2), (3, 2, 0)):
        assert torch.equal(products.product(torch.ones(m, k), torch.ones(k, n), 2), torch.zeros(m, n))
    assert torch.equal(
        products.product(torch.ones(3, 0), torch.ones(0, 2), 1, torch.tensor([1.0, 2])), torch.tensor([[1.0, 2]] * 3)
    )


def test_rows_of_a_larger_matrix_are_laid_out_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel takes contiguous memory, or the transpose of it, and nothing else."""
    seen: list[Product] = []
    monkeypatch.setattr(kernels, "product", lambda sizes, *at: (seen.append(sizes), emulated(sizes, *at)))
    monkeypatch.setattr(kernels, "product_available", lambda: Implementation("c"))
    a, b = torch.arange(48.0).reshape(6, 8), torch.arange(24.0).reshape(4, 6)
    for left, right, turned in (
        (a[:, :4], b[:, :3], (False, False)),
        (a[:4].t(), b[:, :5], (True, False)),
        (a[::2, :4], b.contiguous(), (False, False)),
        (a[:, :6].t()[:, :4], b[:, ::2], (False, False)),
        (a[:1, :4], b, (False, False)),
    ):
        assert torch.equal(products.product(left, right, 1), left @ right)
        assert (seen[-1].transpose_a, seen[-1].transpose_b) == turned
        assert (seen[-1].m, seen[-1].k, seen[-1].n) == (*left.shape, right.shape[1])
        assert seen[-1].threads == torch.get_num_threads()


def net() -> Any:
    d = Draw(5)
    layers = [(d.linear(n, m, mean=0.1 / m**0.5, spread=0.3), d.lif(n, v_leak=0.0)) for n, m in SIZES]
    return chain(*(node for layer in layers for node in layer), given=(12,), result=(4,))


def readout() -> Any:
    d = Draw(5)
    return chain(d.affine(200, 12), d.neuron("LI", (200,)), given=(12,), result=(200,))


def trained(matmul: str, **options: Any) -> tuple[Any, list[Any]]:
    """Output spikes, and gradients of all weights."""
    module = hasn.compile(net(), "snntorch", dt=DT, precision="float32", matmul=matmul, **options).module
    x = torch.tensor(spikes((12,), 30, 8), dtype=torch.float32)
    y = module(x)
    torch.manual_seed(3)
    (torch.rand_like(y) * y).sum().backward()
    return y.detach(), [parameter.grad for parameter in module.parameters()]


@pytest.mark.usefixtures("_kernels")
@pytest.mark.parametrize("options", [{}, {"engine": "steps"}, {"recompute": 7}], ids=str)
def test_split_products_train_as_float32_does_and_plain_ones_do_not(options: dict[str, Any]) -> None:
    y, gradients = trained("float32", **options)
    assert 0.05 < y.mean() < 0.95
    for matmul, least, most in (("split-bf16", 1e-8, 1e-4), ("bf16", 1e-4, 1.0)):
        ours, found = trained(matmul, **options)
        if matmul == "split-bf16":
            assert torch.equal(ours, y)
        worst = max(float((a - b).norm() / b.norm()) for a, b in zip(found, gradients, strict=True))
        assert least < worst < most


def test_runs_and_streams_use_it() -> None:
    x = spikes((12,), 30, 1)
    executable = hasn.compile(readout(), "snntorch", dt=DT, precision="float32")
    run, stream = {}, {}
    for matmul in products.MATMULS:
        executable.module.matmul = matmul
        run[matmul] = executable.run(x).output
        executable.reset()
        stream[matmul] = np.stack([executable.step(now).output for now in x])
    for found in (run, stream):
        near, far = (abs(found[matmul] - run["float32"]).max() for matmul in ("split-bf16", "bf16"))
        assert 0 < near < 1e-4 < far < 1.0


def test_the_leave_to_round_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_KERNELS", "0")
    place = torch.backends.mkldnn.matmul
    before = place.fp32_precision
    products.product(*matrices("nn", True), 1)
    with pytest.raises(RuntimeError, match=r"shapes|size"):
        products.product(torch.ones(2, 3), torch.ones(2, 3), 1)
    assert place.fp32_precision == before


def test_hooks_and_replaced_layers_are_called() -> None:
    executable = hasn.compile(net(), "snntorch", dt=DT, precision="float32", matmul="bf16")
    seen: list[Any] = []
    executable.module.node("n1").register_forward_hook(lambda m, i, o: seen.append(o.shape))
    executable.run(spikes((12,), 5, 2))
    assert seen == [(10, 200)]


def test_it_is_refused_where_it_means_nothing() -> None:
    with pytest.raises(OptionError, match=r"matmul: no such product.*got 'fp8'.*float32, split-bf16, bf16"):
        hasn.compile(net(), "snntorch", dt=DT, precision="float32", matmul="fp8")
    with pytest.raises(OptionError, match=r"matmul: the parts.*'bf16' with weights in float64.*precision='float32'"):
        hasn.compile(net(), "snntorch", dt=DT, matmul="bf16")
    with pytest.raises(OptionError, match=r"matmul: precision 'loihi' computes in integers"):
        hasn.compile(net(), "snntorch", dt=DT, precision="loihi", matmul="bf16")
    module = hasn.compile(net(), "snntorch", dt=DT, precision="float32", matmul="bf16").module.double()
    with pytest.raises(OptionError, match=r"with weights in float64"):
        module(torch.zeros(2, 1, 12))


@pytest.mark.parametrize("gpu", [True, False])
def test_where_leave_to_round_is_given(gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16 on the CPU, and TF32 on GPUs where there are some; both back as they were, whatever they were."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    places = (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul)
    before = [place.fp32_precision for place in places]
    try:
        places[1].fp32_precision = "ieee"
        start = places[0].fp32_precision
        with products._fast():
            assert [place.fp32_precision for place in places] == ["bf16", "tf32" if gpu else "ieee"]
        assert [place.fp32_precision for place in places] == [start, "ieee"]
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value
