"""One way in for numbers: whatever the field's people hold them in means what the plain array means, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import scipy.sparse

import hasn
from hasn.conversions.loihi.train import Training
from hasn.errors import InputError, ParameterError, TimeStepError
from hasn.ir.structure import flatten
from hasn.models.adapters import with_projection
from hasn.nodes.values import array_of
from tests.graphs import DT, Draw, chain, spikes

torch = pytest.importorskip("torch")
LIMIT = 1 << 7

#: Ways of holding an array of numbers that float32 and small integers have exactly.
FORMS: dict[str, Callable[[np.ndarray[Any, Any]], Any]] = {
    "a tensor": torch.tensor,
    "a Parameter": lambda a: torch.nn.Parameter(torch.tensor(a, dtype=torch.float32)),
    "a result with a gradient": lambda a: torch.tensor(a, dtype=torch.float32, requires_grad=True) * 1,
    "bf16": lambda a: torch.tensor(a).bfloat16(),
    "half": lambda a: torch.tensor(a).half(),
    "sparse": lambda a: torch.tensor(a).to_sparse(),
    "sparse, with a gradient": lambda a: torch.tensor(a, dtype=torch.float32, requires_grad=True).to_sparse(),
    "not contiguous": lambda a: torch.tensor(np.ascontiguousarray(a.T)).permute(*reversed(range(a.ndim))),
    "negative strides": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "big-endian": lambda a: a.astype(">f8"),
    "little-endian": lambda a: a.astype("<f4"),
    "long double": lambda a: a.astype(np.longdouble),
    "Fortran's order": np.asfortranarray,
    "read-only": lambda a: np.broadcast_to(a, a.shape),
    "a list": lambda a: a.tolist(),
    "a list of tensors": lambda a: [torch.tensor(row, dtype=torch.float32, requires_grad=True) for row in a],
}  # fmt: skip
INTEGERS = {
    **{str(np.dtype(kind)): kind for kind in "bBhHiIlLqQ"},
    **{f"big-endian {kind}": f">{kind}" for kind in ("u2", "i4", "u8")},
}
TORCH_INTEGERS = [
    n for n in ("int8", "uint8", "int16", "int32", "int64", "uint16", "uint32", "uint64") if hasattr(torch, n)
]
for kind in TORCH_INTEGERS:
    FORMS[f"torch.{kind}"] = lambda a, kind=kind: torch.tensor(a.astype(int)).to(getattr(torch, kind))
for name, dtype in INTEGERS.items():
    FORMS[f"numpy {name}"] = lambda a, dtype=dtype: a.astype(dtype)
FORMS["truths"] = lambda a: a.astype(bool)
WHOLE = {name for name in FORMS if name.startswith(("torch.", "numpy ")) or name == "truths"}
REAL = [name for name in FORMS if name not in WHOLE]


def net() -> nir.NIRGraph:
    draw = Draw(2)
    made = chain(draw.linear(4, 3), draw.lif(4), draw.linear(2, 4), draw.lif(2), given=(3,), result=(2,))
    made.metadata["dt"] = DT
    return made


X = spikes((3,), 30, 6, rate=0.6)
LABELS = np.array([0, 1, 1, 0, 1, 0])


@pytest.mark.parametrize("form", FORMS)
def test_run_and_step_take_it_as_an_input(form: str) -> None:
    made = hasn.compile(net())
    wanted = made.run(X).output
    assert wanted.sum() > 5
    np.testing.assert_array_equal(made.run(FORMS[form](X)).output, wanted)
    np.testing.assert_array_equal(made.step(FORMS[form](X[0])).output, wanted[0])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore:nothing was learned", "ignore:The given NumPy array is not writable")
def test_training_takes_it_as_data_and_labels(form: str) -> None:
    def trained(x: Any, labels: Any) -> Any:
        result = hasn.train(net(), (x, labels), epochs=1, batch_size=3, learning_rate=0.05)
        return result.losses, result.graph.nodes["n1"].weight

    losses, weight = trained(X, LABELS)
    labels = FORMS[form](LABELS) if form in WHOLE or form in ("a tensor", "negative strides", "a list") else LABELS
    # A list of arrays is one sequence a sample.
    data = X if form in ("a list", "a list of tensors") else FORMS[form](X)
    found, moved = trained(data, labels)
    assert found == losses
    np.testing.assert_array_equal(moved, weight)
    batches = (
        [(data[:, :3], labels[:3]), (data[:, 3:], labels[3:])]
        if form not in ("sparse", "sparse, with a gradient")
        else None
    )
    if batches:
        assert len(hasn.train(net(), batches, epochs=1).losses) == 2


@pytest.mark.parametrize("form", ["a Parameter", "bf16", "big-endian", "negative strides", "numpy uint16"])
def test_quantising_takes_it_for_calibration_and_training(form: str) -> None:
    def made(x: Any, labels: Any) -> hasn.QuantisedNetwork:
        train = Training(x, labels, epochs=1, batch=3)
        return hasn.quantise(net(), calibrate=x, reset="zero", train=train)

    labels = FORMS[form](LABELS) if form in ("numpy uint16", "negative strides") else LABELS
    wanted, found = made(X, LABELS), made(FORMS[form](X), labels)
    np.testing.assert_array_equal(found.graph.nodes["n1"].weight, wanted.graph.nodes["n1"].weight)
    np.testing.assert_array_equal(found.inputs(FORMS[form](X)), X)


@pytest.mark.parametrize("form", REAL)
def test_a_graph_may_hold_it(form: str, tmp_path: Path) -> None:
    """In weights, neurons and metadata; what is wrong with it is found, it is saved, mended and compiled."""
    plain, graph = net(), net()
    for node in (plain.nodes["n1"], plain.nodes["n3"]):
        node.weight = np.round(node.weight * LIMIT) / LIMIT  # so that bf16 and half have it exactly
    values = {"tau": 1 / LIMIT, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.25, "v_reset": 0.0}
    for name, size in (("n2", 4), ("n4", 2)):
        for key, value in values.items():
            setattr(plain.nodes[name], key, np.full(size, value))
        plain.nodes[name].metadata["v_init"] = np.full(size, 0.125)
    for name, node in plain.nodes.items():
        for key in [p for p in ("weight", *values) if hasattr(node, p)]:
            setattr(graph.nodes[name], key, FORMS[form](getattr(node, key)))
        for key, value in node.metadata.items():
            graph.nodes[name].metadata[key] = FORMS[form](value)
    graph.metadata["dt"] = torch.tensor(DT, dtype=torch.float64, requires_grad=True)
    held = graph.nodes["n2"].tau
    wanted = hasn.compile(plain).run(X).spikes
    assert min(found.sum() for found in wanted.values()) > 5
    assert hasn.check(graph) == hasn.check(plain)
    hasn.save(graph, tmp_path / "a.nir")
    ways = {"as it is": graph, "repaired": hasn.repair(graph).graph, "saved": hasn.load(tmp_path / "a.nir")}
    for way, found in ways.items():
        spiked = hasn.compile(found).run(X).spikes
        for name, value in wanted.items():
            np.testing.assert_array_equal(spiked[name], value, err_msg=way)
    assert graph.nodes["n2"].tau is held
    trained = hasn.train(graph, (X, LABELS), epochs=1).graph
    taken = [trained.nodes[name].tau for name in ("n2", "n4")] + [trained.nodes["n2"].metadata["v_init"]]
    assert {type(value) for value in taken} == {list if form == "a list" else np.ndarray}


def test_other_nodes_hold_tensors_too() -> None:
    draw = Draw(3)
    conv, plain = draw.conv2d(2, 1, (2, 2)), draw.conv2d(2, 1, (2, 2))
    for node in (conv, plain):
        node.weight, node.bias = np.ones((2, 1, 2, 2)) / 4, np.zeros(2)
    conv.weight, conv.bias = torch.nn.Parameter(torch.tensor(conv.weight)), torch.nn.Parameter(torch.tensor(conv.bias))
    delays = np.full((2, 2, 2), 2 * DT)
    rest = nir.Delay(delays), nir.Threshold(np.full((2, 2, 2), 0.4))
    late = nir.Delay(torch.tensor(delays)), nir.Threshold(torch.tensor(rest[1].threshold, requires_grad=True))
    x = spikes((1, 3, 3), 20, 2)
    shown = [
        hasn.compile(chain(first, *others, given=(1, 3, 3), result=(2, 2, 2)), dt=DT).run(x).output
        for first, others in ((plain, rest), (conv, late))
    ]
    assert shown[0].sum() > 5
    np.testing.assert_array_equal(*shown)
    matrix = scipy.sparse.csr_array(np.array([[1.0, 0], [0, 2.0]]))
    node = hasn.nodes.SparseLinear(matrix, delay=torch.tensor([0, 1]))
    node.weight = torch.tensor([0.5, 1.5], requires_grad=True)
    np.testing.assert_array_equal(node.weight.toarray(), [[0.5, 0], [0, 1.5]])


def test_a_projection_and_dt_take_tensors() -> None:
    weight = torch.nn.Parameter(torch.ones(3, 5))
    np.testing.assert_array_equal(with_projection(net(), weight=weight).nodes["projection"].weight, np.ones((3, 5)))
    assert hasn.lower(net(), dt=torch.tensor(2e-3, dtype=torch.float64, requires_grad=True)).dt == 2e-3
    with pytest.raises(TimeStepError):
        hasn.lower(net(), dt=torch.tensor([1e-3, 2e-3]))


#: What is no array of real numbers, and what the refusal calls it.
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "complex": (lambda: torch.zeros(30, 6, 3, dtype=torch.complex64), "complex64"),
    "complex numbers": (lambda: X + 0j, "complex128"),
    "ragged": (lambda: [[1.0], [1.0, 2.0]], "a list"),
    "words": (lambda: np.full((30, 6, 3), "1"), "dtype <U1"),
    "objects": (lambda: X.astype(object), "dtype object"),
    "masked": (lambda: np.ma.masked_equal(X, 0), "a MaskedArray"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_number_is_refused(name: str) -> None:
    make, got = WRONG[name]
    with pytest.raises(InputError, match="not an array of real numbers") as caught:
        hasn.compile(net()).run(make())
    assert got in str(caught.value.got)
    if name not in ("ragged", "words"):
        with pytest.raises(InputError, match="no numbers"):
            hasn.train(net(), (make(), LABELS), epochs=1)
    graph = net()
    graph.nodes["n2"].tau = make()
    with pytest.raises(ParameterError, match="is not numeric") as refused:
        hasn.compile(graph)
    assert (refused.value.node, refused.value.parameter) == ("n2", "tau")


def test_labels_beyond_what_torch_counts_are_refused() -> None:
    with pytest.raises(InputError, match="beyond 64 bits signed"):
        hasn.train(net(), (X, np.array([0, 1, 1, 0, 1, 2**63], dtype=np.uint64)), epochs=1)
    with pytest.raises(InputError, match="no such class"):
        hasn.train(net(), (X, np.array([0, 1, 1, 0, 1, 65535], dtype=np.uint16)), epochs=1)


def test_a_graph_in_arrays_is_laid_flat_without_a_copy() -> None:
    graph = net()
    assert flatten(graph).nodes["n2"] is graph.nodes["n2"]
    graph.nodes["n2"].tau = torch.tensor(graph.nodes["n2"].tau)
    assert type(flatten(graph).nodes["n2"].tau) is np.ndarray
    assert isinstance(graph.nodes["n2"].tau, torch.Tensor)
    assert array_of(scipy.sparse.csr_array(np.eye(2))).tolist() == [[1, 0], [0, 1]]
