"""A graph trained in stages, one a process, against the same training in one process; and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import hasn
from hasn.backends.snntorch import BACKEND
from hasn.backends.snntorch.training import pipelined, rate
from hasn.errors import BackendUnavailable, OptionError
from hasn.ir.lower import lower
from hasn.program.stages import cut
from tests.unit.backends.snntorch.training.conftest import started
from tests.unit.backends.snntorch.training.pipeline_nets import CASES, OF_THREE, TWO, batches, net, weights

if TYPE_CHECKING:
    from hasn.backends.snntorch.training.pipeline_stage import StageModule

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("torch.distributed.pipelining", reason="needs a newer torch")

WORKER = "tests/unit/backends/snntorch/training/pipeline_worker.py"

EVERY = {**CASES, **OF_THREE}
#: It dies in the check, and writes nothing.
GONE = ("death", 1)
Found = dict[tuple[str, int], tuple[dict[str, Any], dict[str, Any]]]


def read(folder: Path, check: str, rank: int) -> tuple[dict[str, Any], dict[str, Any]]:
    at = folder / f"{check} {rank}"
    with np.load(at.with_suffix(".npz")) as arrays:
        return json.loads(at.with_suffix(".json").read_text()), dict(arrays)


@pytest.fixture(scope="module")
def two(launched: Path) -> Found:
    """(check, rank) -> (figures, arrays) of two processes."""
    return {(check, rank): read(launched, check, rank) for check in TWO for rank in (0, 1) if (check, rank) != GONE}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Three processes: what the first stage gives to the last passes through the second."""
    folder = tmp_path_factory.mktemp("three")
    done = started(3, WORKER, str(folder), *OF_THREE)
    assert done.returncode == 0, done.stdout[-3000:]
    return {(check, rank): read(folder, check, rank) for check in OF_THREE for rank in range(3)}


# --- the same updates as in one process


def alone(name: str) -> tuple[Any, dict[str, Any]]:
    """The same training by hasn.train: (its result, evaluation of the third batch)."""
    make, common, _ = EVERY[name]
    result = hasn.train(make(), batches(), epochs=1, **common, validation=[batches()[2]])
    return result, {"loss": result.history[-1].validation_loss, "accuracy": result.history[-1].validation_accuracy}


def assert_alike(name: str, found: Found, processes: int) -> None:
    """Losses, evaluation and every parameter are those of one process, in all processes.

    float32: some 6 updates of sums in another order, each a few roundings of 6e-8 of gradients near 1. float64: 1e-16.
    """
    result, judged = alone(name)
    tolerance = 1e-9 if EVERY[name][1].get("precision") == "float64" else 1e-5
    before, wanted = weights(EVERY[name][0]()), weights(result.graph)
    for rank in range(processes):
        facts, arrays = found[name, rank]
        np.testing.assert_allclose(facts["losses"], result.losses, rtol=tolerance)
        assert facts["judged"][0] == pytest.approx(judged["loss"], rel=tolerance)
        assert facts["judged"][1] == judged["accuracy"]
        assert arrays.keys() == wanted.keys()
        for key, value in wanted.items():
            np.testing.assert_allclose(arrays[key], value, rtol=0, atol=tolerance, err_msg=key)
            assert arrays[key].dtype == value.dtype
        assert sum(facts["sizes"]) == len(result.graph.nodes)
        assert len(facts["sizes"]) == processes
        assert facts["dt"] == result.graph.metadata["dt"]
        assert facts["resets"] == {node: n.metadata.get("reset") for node, n in result.graph.nodes.items()}
    moved = {key: np.abs(wanted[key] - before[key]).max() for key in wanted if key.endswith(("weight", "bias"))}
    assert min(moved.values()) > 100 * tolerance, moved  # so that the comparison says something


@pytest.mark.parametrize("name", CASES)
def test_two_stages_train_as_one_process_does(name: str, two: Found) -> None:
    assert_alike(name, two, 2)


@pytest.mark.slow  # half a minute of imports on two cores; the gradients of three stages are tested below as well
@pytest.mark.parametrize("name", OF_THREE)
def test_three_stages_with_a_path_past_the_second(name: str, three: Found) -> None:
    assert_alike(name, three, 3)
    make, _, own = OF_THREE[name]
    second = cut(lower(make()), own.get("stages", 3))[1]
    assert set(second.incoming) & set(second.outgoing)


def test_what_was_learned_is_in_the_graph(two: Found) -> None:
    before, after = weights(net()), two["all that is learned", 1][1]
    for node in ("one", "two", "last"):
        assert (after[f"{node}.tau"] != before[f"{node}.tau"]).any()
        assert (after[f"{node}.v_threshold"] != before[f"{node}.v_threshold"]).any()
    assert (after["late.delay"] != before["late.delay"]).any()


# --- what goes wrong


WRONG = {
    "shape": ("InputError", "node 'in' data: the inputs have the wrong shape; got (12, 8, 3)"),
    "labels": ("InputError", "(12, 8, 6) and 2 labels"),
    "none": ("InputError", "data: the first process has no batch; wanted inputs and labels"),
    "stage 0": ("TrainingError", "stage 0 failed: MemoryError: out of memory here. More micro_batches"),
    "stage 1": ("TrainingError", "stage 1 failed: MemoryError: out of memory here. More micro_batches"),
    "stage 0 evaluated": ("TrainingError", "stage 0 failed: MemoryError"),
    "stage 1 evaluated": ("TrainingError", "stage 1 failed: MemoryError"),
    "loss": ("TrainingError", "stage 1 failed: ValueError: the loss function fails"),
    "evaluated": ("TrainingError", "stage 1 failed: ValueError: the loss function fails"),
    "infinite": ("InputError", "not finite"),
    "closed": ("OptionError", "the pipeline is closed"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_error_ends_the_step_in_every_process(name: str, two: Found) -> None:
    kind, words = WRONG[name]
    for rank in range(2):
        found, text, seconds = two["errors", rank][0]["errors"][name]
        assert found == kind
        assert words in text
        assert seconds < 20  # and not the 300 s after which a process would give up


def test_after_an_error_training_goes_on_as_if_it_had_not_been(two: Found) -> None:
    inputs, labels = batches()[0]
    result = hasn.train(
        net(), [(inputs, labels)] * 2, epochs=1, optimizer="sgd", learning_rate=0.1,
        loss=lambda outputs, labels: torch.nn.functional.cross_entropy(outputs.sum(0), labels.long()),
    )  # fmt: skip
    for rank in range(2):
        facts = two["errors", rank][0]
        assert facts["same"]
        np.testing.assert_allclose(facts["losses"], result.losses, rtol=1e-5)  # float32, as above


REFUSED = {
    "more stages": "stages: a pipeline runs in one process for each stage; got 3 stages, 2 processes. Start it with "
    "torchrun --nproc-per-node 3, or pass stages=2",
    "too many": "stages: no such number of stages; got 30; wanted 1 to 8",
    "few": "micro_batches: fewer micro-batches than stages; got 1; wanted >= 2 for the pipeline '1f1b'",
    "loss": "loss: a pipeline's loss is a plain mean over the samples of what the Outputs show; got membrane",
    "learn": "learn: no such learn; got 'weights'",
    "optimizer": "optimizer: no such optimizer; got 'lbfgs'",
    "optimizer's kind": "optimizer: no torch.optim.Optimizer comes of it; got int",
    "other": "width: neither training nor the backend has such an option",
    "graphs": "graph: the processes have different graphs or cuts",
}


@pytest.mark.parametrize("name", REFUSED)
def test_options_that_do_not_fit_are_refused_in_every_process(name: str, two: Found) -> None:
    for rank in range(2):
        kind, text, _ = two["options", rank][0]["errors"][name]
        assert kind == ("GraphError" if name == "graphs" else "OptionError")
        assert REFUSED[name] in text


def test_a_process_that_dies_does_not_keep_the_other_waiting(two: Found, launched: Path) -> None:
    kind, text, seconds = two["death", 0][0]["errors"]["death"]
    assert kind == "TrainingError"
    assert "stage 0 cannot go on" in text
    assert seconds < 20  # and not 300
    assert not (launched / "death 1.npz").exists()


# --- in one process


def test_without_torchrun_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OptionError, match=r"one process for each stage.*torchrun --nproc-per-node STAGES"):
        pipelined(net(), stages=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"micro_batches": 0}, "micro_batches: no such number; got 0; wanted an integer >= 1"),
        ({"learning_rate": -1.0}, "learning_rate: no such value; got -1.0"),
        ({"timeout": None}, "timeout: no such value; got None"),
        ({"clip": 0}, "clip: no such value; got 0"),
        ({"pipeline": "zb"}, "pipeline: no such pipeline; got 'zb'; wanted 1f1b, gpipe"),
        ({"schedule": 3}, "schedule: no schedule; got 3"),
        ({"precision": "loihi2"}, "precision"),
    ],
)
def test_options_that_do_not_exist(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        pipelined(net(), **options)


def test_a_torch_without_what_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from hasn.backends.snntorch.training import pipeline_stage

    monkeypatch.setattr(torch.distributed.pipelining, "ScheduleGPipe", lambda stage, parts: None)
    with pytest.raises(BackendUnavailable, match=r"missing or too old here; got torch .*pip install --upgrade torch"):
        pipeline_stage.pipelining()


def test_the_loss_of_parts_adds_up_to_that_of_the_batch() -> None:
    """7 samples in 3 parts of 3: the last has one, and two that only fill it up."""
    from hasn.backends.snntorch.training.pipeline_stage import Judge

    outputs = torch.randn(5, 9, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    judge = Judge(rate(), ("out",))
    judge.labels = torch.tensor([0, 3, 1, 1, 2, 0, 3])
    parts = [judge((outputs[:, i : i + 3],), torch.arange(i, i + 3)) for i in (0, 3, 6)]
    whole = rate().value(outputs[:, :7], judge.labels)
    torch.testing.assert_close(sum(parts), whole)
    (gradient,) = torch.autograd.grad(sum(parts), outputs)
    torch.testing.assert_close(gradient[:, :7], torch.autograd.grad(whole, outputs)[0][:, :7])
    assert not gradient[:, 7:].any()
    assert judge.failed is None


def stage_modules(graph: Any, stages: Any) -> list[StageModule]:
    """The stages of a graph as modules, in float64."""
    from hasn.backends.snntorch.training.learnable import Learnable
    from hasn.backends.snntorch.training.pipeline_stage import StageModule

    found = []
    for stage in cut(lower(graph), stages):
        executable: Any = BACKEND.compile(stage.program, graph, "float64")
        found.append(StageModule(stage, executable.module, Learnable(stage.program, {}, {}, executable.module.node)))
    return found


@pytest.mark.parametrize("stages", [["late", "w3"], 4, 7])
def test_gradients_pass_through_stages_that_only_hand_a_value_on(stages: Any) -> None:
    """Spikes to the last bit; gradients in float64, whose sums are taken in another order where paths meet."""
    whole: Any = hasn.compile(net(), "snntorch").module
    parts = stage_modules(net(), stages)
    x = torch.as_tensor(batches()[0][0])
    values: tuple[Any, ...] = (x,)
    for part in parts:
        values = part(*values)
    wanted = whole(x)
    assert torch.equal(values[0], wanted)
    (wanted.sum(0) * torch.arange(4)).sum().backward()
    (values[0].sum(0) * torch.arange(4)).sum().backward()
    found = {name: p for part in parts for name, p in part.network.named_parameters()}
    assert found.keys() == dict(whole.named_parameters()).keys()
    for name, parameter in whole.named_parameters():
        assert parameter.grad.abs().max() > 1e-3
        torch.testing.assert_close(found[name].grad, parameter.grad, rtol=1e-12, atol=1e-12)


def test_a_stage_that_fails_gives_zeros_with_a_gradient() -> None:
    stage = stage_modules(net(), ["late"])[0]
    x = torch.ones(4, 2, 6)
    sound = stage(x)
    assert [tuple(y.shape) for y in sound] == [(4, 2, *shape) for shape in stage.stage.made]
    assert sound[0].any()
    hook = stage.network.register_forward_pre_hook(lambda *given: 1 / 0)
    broken = stage(x)
    assert isinstance(stage.failed, ZeroDivisionError)
    assert all(y.requires_grad and y.shape == z.shape and not y.any() for y, z in zip(broken, sound, strict=True))
    hook.remove()
    hook = stage.network.register_forward_pre_hook(lambda *given: [][0])
    assert not stage(x)[0].any()  # until the step has ended
    assert isinstance(stage.failed, ZeroDivisionError)  # the first error stays
    hook.remove()
    stage.failed = None
    assert torch.equal(stage(x)[0], sound[0])
