"""A pipeline of one stage, in this process; and the parts of a stage, without other processes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.backends.snntorch import BACKEND
from hasn.backends.snntorch.training import Loss, pipelined, rate
from hasn.backends.snntorch.training.losses import count
from hasn.backends.snntorch.training.pipeline_options import PipelineOptions
from hasn.backends.snntorch.training.pipeline_part import Part
from hasn.backends.snntorch.training.pipeline_trainer import Pipeline
from hasn.errors import InputError, OptionError, TrainingError
from hasn.ir.lower import lower
from hasn.program.stages import cut
from tests.unit.backends.snntorch.training.pipeline_nets import (
    CLASSES,
    INPUTS,
    LEARNED,
    batches,
    both,
    halving,
    momentum,
    net,
    two_outputs,
    weights,
)
from tests.unit.backends.snntorch.training.test_option_values import PIPELINE

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("torch.distributed.pipelining", reason="needs a newer torch")

CALLS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "1f1b": (net, {"optimizer": momentum, "precision": "float64", "clip": 0.05, "schedule": halving}, {}),
    "gpipe": (net, {"learning_rate": 1e-2, "reset": "subtract"}, {"pipeline": "gpipe", "micro_batches": 3}),
    "learned": (net, {"learn": LEARNED, "precision": "float64", "learning_rate": 1e-2}, {"micro_batches": 1}),
    "several Outputs": (two_outputs, {"loss": both, "optimizer": momentum}, {"stages": 1}),
    "voltages": (lambda: net("LI"), {"loss": "membrane", "optimizer": "sgd", "method": "exact"}, {"micro_batches": 5}),
    "another dt": (
        net,
        {"optimizer": momentum, "dt": 2e-3, "surrogate": "sigmoid", "loss": "count", "precision": "float64",
         "timing": "hardware"},
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_one_stage_trains_as_one_process_does(name: str, torchrun: None) -> None:
    """To rounding: 6 updates of sums in another order, in float32 each a few roundings of 6e-8 of numbers near 1."""
    make, common, own = CALLS[name]
    given = batches()
    with pipelined(make(), **common, **own) as pipe:
        losses = [pipe.step(*batch) for batch in given]
        judged = pipe.evaluate(*given[2])
        graph = pipe.to_graph()
        assert pipe.updates == len(given)
        assert (pipe.rank, len(pipe.stages)) == (0, 1)
    wanted = hasn.train(make(), given, epochs=1, **common, validation=[given[2]])
    tolerance = 1e-9 if common.get("precision") == "float64" else 1e-5
    assert losses == pytest.approx(wanted.losses, rel=tolerance)
    last = wanted.history[-1]
    assert judged == (pytest.approx(last.validation_loss, rel=tolerance), last.validation_accuracy)
    before = weights(make())
    for key, value in weights(wanted.graph).items():
        np.testing.assert_allclose(weights(graph)[key], value, rtol=0, atol=tolerance, err_msg=key)
        assert weights(graph)[key].dtype == value.dtype
        if key.endswith("weight"):
            assert np.abs(value - before[key]).max() > 100 * tolerance
    assert graph.metadata == wanted.graph.metadata
    assert graph.metadata.get("method") == common.get("method")
    assert graph.metadata.get("timing") == common.get("timing")
    resets = [{n: node.metadata.get("reset") for n, node in g.nodes.items()} for g in (graph, wanted.graph)]
    assert resets[0] == resets[1]
    for key, value in weights(make()).items():
        np.testing.assert_array_equal(value, before[key])


def test_target_counts_have_no_accuracy(torchrun: None) -> None:
    inputs, labels = batches()[0]
    targets = np.eye(CLASSES, dtype=np.float32)[labels] * 3
    outputs = hasn.compile(net(), precision="float32").run(inputs).output.sum(axis=0)
    mine = Loss("mine", count().value, None, classes=False)
    for loss, given, accuracy in (
        ("count", targets, None), (mine, labels, None), ("count", labels, np.mean(outputs.argmax(axis=1) == labels)),
    ):  # fmt: skip
        with pipelined(net(), loss=loss) as pipe:
            found = pipe.evaluate(inputs, given)
        assert found[1] == accuracy
        if given is targets:
            assert found[0] == pytest.approx(((outputs - targets) ** 2).mean(), rel=1e-6)


class Changing:
    """A loss that does what it is told."""

    def __init__(self) -> None:
        self.answer: Any = None

    def __call__(self, outputs: Any, labels: Any) -> Any:
        return outputs.sum() if self.answer is None else self.answer(outputs)


@pytest.fixture
def pipe(torchrun: None) -> Iterator[tuple[Pipeline, Changing]]:
    loss = Changing()
    with pipelined(net(), loss=loss, optimizer="sgd", learning_rate=0.1, micro_batches=2) as made:
        yield made, loss


def test_what_goes_wrong_in_a_step_changes_nothing(pipe: tuple[Pipeline, Changing]) -> None:
    made, loss = pipe
    inputs, labels = batches()[0]
    before = weights(made.to_graph())
    infinite = np.where(np.arange(INPUTS) == 1, np.inf, inputs)

    def raises(_: Any) -> Any:
        raise ValueError("the loss fails. And more")

    cases: list[tuple[Any, Any, type[Exception], str]] = [
        (raises, inputs, TrainingError, "stage 0 failed: ValueError: the loss fails"),
        (lambda o: o.sum(0), inputs, OptionError, r"loss: the loss is no scalar tensor; got shape \(4, 4\)"),
        (lambda o: 1.0, inputs, OptionError, "loss: the loss is no scalar tensor; got float"),
        (lambda o: torch.tensor(1.0), inputs, OptionError, "loss: the loss does not depend on the parameters"),
        (lambda o: o.sum() * np.nan, inputs, TrainingError, r"the loss is not finite at step 1; seen in stage 0 \(in"),
        (lambda o: (o.sum() * 0).sqrt(), inputs, TrainingError, "the gradient is not finite at step 1; seen in stage"),
        (None, infinite, InputError, r"not finite; got inf at batch 0, sample 0, step 0, element \(1,\)"),
        (None, inputs[..., :3], InputError, "the inputs have the wrong shape"),
    ]
    for answer, given, kind, words in cases:
        loss.answer = answer
        with pytest.raises(kind, match=words):
            made.step(given, labels)
        for key, value in weights(made.to_graph()).items():
            np.testing.assert_array_equal(value, before[key])
        assert made.updates == 0
    loss.answer = None
    made.step(inputs, labels)
    assert made.updates == 1
    assert any((value != before[key]).any() for key, value in weights(made.to_graph()).items())
    loss.answer = raises
    with pytest.raises(TrainingError, match="ValueError: the loss fails"):
        made.evaluate(inputs, labels)


@pytest.mark.parametrize(("inputs", "labels"), [(None, [0]), (np.ones((2, 1, INPUTS)), None), (None, None)])
def test_the_first_process_has_a_batch(inputs: Any, labels: Any, pipe: tuple[Pipeline, Changing]) -> None:
    with pytest.raises(InputError, match="the first process has no batch") as caught:
        pipe[0].step(inputs, labels)
    assert caught.value.parameter == "data"


def test_a_pipeline_that_is_closed(pipe: tuple[Pipeline, Changing], monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves the groups that it made, once, and not the one that was there."""
    made, _ = pipe
    left: list[Any] = []
    own = [made._workers.values, made._workers._messages]
    destroy = torch.distributed.destroy_process_group
    monkeypatch.setattr(
        torch.distributed, "destroy_process_group", lambda *group: left.extend(group) or destroy(*group)
    )
    made.close()
    made.close()
    assert left == own
    assert torch.distributed.is_initialized()
    for call in (made.to_graph, lambda: made.step(*batches()[0]), lambda: made.evaluate(*batches()[0])):
        with pytest.raises(OptionError, match="the pipeline is closed"):
            call()


@pytest.mark.parametrize("labels", [[0, CLASSES], [-1, 0]])
def test_labels_are_those_of_the_output(labels: list[int], torchrun: None) -> None:
    with pipelined(net()) as made, pytest.raises(InputError, match="data labels: no such class"):
        made.step(np.ones((3, 2, INPUTS)), labels)


def test_what_a_pipeline_cannot_train(torchrun: None) -> None:
    plain = nir.NIRGraph(
        {"in": nir.Input(np.array([3])), "t": nir.Threshold(np.ones(3)), "out": nir.Output(np.array([3]))},
        [("in", "t"), ("t", "out")], metadata={"dt": 1e-3},
    )  # fmt: skip
    with pytest.raises(OptionError, match="the graph has nothing to train") as caught:
        pipelined(plain)
    assert caught.value.parameter == "graph"
    with pytest.raises(OptionError, match="neither training nor the backend") as caught:
        pipelined(net(), surrogate="sigmoid", width=3)
    assert caught.value.parameter == "width"
    with pytest.raises(OptionError, match="stages: a pipeline runs in one process for each stage; got 2 stages, 1 pro"):
        pipelined(net(), stages=2)


# --- a stage's part


def parts(stages: Any = ("late",), learn: Any = (), graph: Any = None, **changed: Any) -> list[Part]:
    """Every stage's part, in float64."""
    graph = graph or net()
    program = lower(graph)
    options = PipelineOptions(**{**PIPELINE, "learn": dict(learn), **changed})
    return [
        Part(graph, program, stage, options, lambda p: BACKEND.compile(p, graph, "float64"))
        for stage in cut(program, stages)
    ]


def test_a_part_has_the_parameters_of_its_stage() -> None:
    first, second = parts(learn=LEARNED)
    names = [set(part.values()) for part in (first, second)]
    assert names[0] == {"w1", "one", "past"}
    assert names[1] == {"late", "w2", "two", "back", "w3", "last"}
    before = weights(net())
    for part in (first, second):
        for node, values in part.values().items():
            for parameter, value in values.items():
                np.testing.assert_allclose(value, before[f"{node}.{parameter}"], rtol=1e-12)
    assert {p.parameter for p in first.learnable.parts} == {"tau", "v_threshold"}
    assert {p.parameter for p in second.learnable.parts} == {"tau", "v_threshold", "delay"}
    assert set(first.parameters) >= {"one.tau", "one.v_threshold"}
    last = parts(stages=["last"])[1]
    assert (last.parameters, last.values()) == ({}, {})
    last.zero()
    last.update(1.0)  # nothing to move


def test_what_no_stage_has_is_refused_and_what_some_have_is_not() -> None:
    only = net()
    del only.nodes["late"]
    only.edges = [edge for edge in only.edges if "late" not in edge] + [("one", "w2")]
    with pytest.raises(OptionError) as caught:
        parts(stages=["w2"], learn={"delay": "neuron"}, graph=only)
    assert (caught.value.parameter, caught.value.got) == ("learn", "'delay'")
    assert [len(part.learnable.parts) for part in parts(learn={"delay": "neuron"})] == [0, 1]


def graded(part: Part, value: float) -> list[str]:
    for parameter in part.parameters.values():
        parameter.grad = torch.full_like(parameter, value)
    return list(part.parameters)


def test_the_norm_of_a_part() -> None:
    """Of what has a gradient, all 2; and the first parameter whose gradient is not finite."""
    part = parts()[1]
    assert part.norm() == (0, "")
    names = graded(part, 2.0)
    size = sum(p.numel() for p in part.parameters.values())
    assert part.norm() == (pytest.approx(2.0 * size**0.5), "")
    part.parameters[names[0]].grad = None
    size -= part.parameters[names[0]].numel()
    assert part.norm() == (pytest.approx(2.0 * size**0.5), "")
    for name in names[:0:-1]:
        part.parameters[name].grad.view(-1)[-1] = math.nan if name == names[1] else math.inf
        assert part.norm()[1] == name
    part.zero()
    assert part.norm() == (0, "")


@pytest.mark.parametrize(
    ("clip", "norm", "scale"), [(None, 8.0, 1.0), (2.0, 8.0, 0.25), (2.0, 2.0, 1.0), (9.0, 8.0, 1.0)]
)
def test_a_part_is_clipped_by_the_norm_of_all_stages(clip: float | None, norm: float, scale: float) -> None:
    """SGD moves by the rate times the gradient. The norm counts 1e-6 more, as torch's does."""
    part = parts(clip=clip, optimizer="sgd", learning_rate=0.5, schedule=halving)[0]
    before = {name: p.detach().clone() for name, p in part.parameters.items()}
    left_out = graded(part, 1.0)[0]
    part.parameters[left_out].grad = None
    part.update(norm)
    for name, p in part.parameters.items():
        wanted = 0.0 if name == left_out else 0.5 * scale
        np.testing.assert_allclose((before[name] - p.detach()).numpy(), wanted, rtol=1e-6)
    assert part._optimizer.param_groups[0]["lr"] == 0.5
    part.update(norm)
    assert part._optimizer.param_groups[0]["lr"] == 0.25  # after every second update


# --- the loss of micro-batches


def judge(loss: Any = None, outputs: tuple[str, ...] = ("out",)) -> Any:
    from hasn.backends.snntorch.training.pipeline_stage import Judge

    made = Judge(loss or rate(), outputs)
    made.labels = torch.tensor([0, 1, 2, 3, 0])
    return made


def test_parts_that_only_fill_up_count_nothing() -> None:
    made, shown = judge(), torch.ones(4, 3, CLASSES, requires_grad=True)
    loss = made((shown,), torch.tensor([5, 6, 7]))
    assert float(loss.detach()) == 0
    assert loss.requires_grad
    assert made.failed is None
    part = made(shown, torch.tensor([3, 4, 5]))
    assert float(part.detach()) == pytest.approx(2 / 5 * math.log(CLASSES))


def test_a_loss_that_has_failed_is_not_asked_again() -> None:
    asked: list[int] = []

    def value(outputs: Any, labels: Any) -> Any:
        asked.append(len(labels))
        if len(asked) == 2:
            raise ValueError("wrong")
        return outputs.sum()

    made, shown = judge(Loss("own", value, None)), torch.ones(4, 2, CLASSES, requires_grad=True)
    found = [float(made((shown,), torch.tensor([i, i + 1])).detach()) for i in (0, 2, 4)]
    assert found == pytest.approx([4 * 2 * CLASSES * 2 / 5, 0, 0])
    assert asked == [2, 2]
    assert isinstance(made.failed, ValueError)


def test_outputs_as_a_loss_takes_them() -> None:
    made = judge(outputs=("a", "b"))
    first, second = torch.arange(24.0).reshape(2, 3, 4), torch.arange(6.0).reshape(2, 3, 1)
    named = made.named((first, second), 2)
    assert set(named) == {"a", "b"}
    assert torch.equal(named["a"], first[:, :2])
    assert torch.equal(named["b"], second[:, :2])
    assert torch.equal(judge().named(first, 2), first[:, :2])
    assert torch.equal(judge().named([first], 2), first[:, :2])


def test_what_a_stage_hands_on_has_a_gradient_only_in_training() -> None:
    from hasn.backends.snntorch.training.pipeline_stage import tracked

    plain, leaf = torch.ones(2), torch.ones(2, requires_grad=True)
    assert tracked(plain).requires_grad
    assert not plain.requires_grad
    assert tracked(leaf) is leaf
    with torch.no_grad():
        assert tracked(plain) is plain
