"""Updates by threshold: against the equation written out plainly, one node and one batch at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import hasn
from hasn.errors import OptionError
from tests.unit.backends.snntorch.training.calls import SILENT, recurrent, sgd, silent_batches, silent_net
from tests.unit.backends.snntorch.training.conftest import Answer
from tests.unit.backends.snntorch.training.jobs import told
from tests.unit.backends.snntorch.training.task import net, samples, weights

NODES = ("w1", "w2")


def plainly(after: dict[str, int], accumulate: int, clip: float | None) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """The weights that ``SILENT`` trains, and the updates in which each node was moved.

    Only the gradient of one sample is taken from the backend; all sums, counts and steps are done here, in numpy. SGD
    with momentum 0.9 and weight decay 0.01 is v = 0.9 v + (g + 0.01 w), w = w - 0.2 v, as torch defines it.
    """
    executable: Any = hasn.compile(silent_net(), "snntorch", precision="float64")
    own = {node: executable.module.node(node).weight for node in NODES}
    velocity = dict.fromkeys(NODES, 0.0)
    gathered: dict[str, list[Any]] = {node: [] for node in NODES}  # (gradient sum, samples) of each batch that counts
    moved: dict[str, list[int]] = {node: [] for node in NODES}
    step = 0
    batches = silent_batches()
    for _ in range(SILENT["epochs"]):
        for start in range(0, len(batches), accumulate):
            step += 1
            for inputs, labels in batches[start : start + accumulate]:
                each = [_gradient(executable.module, own, inputs[:, i], int(labels[i])) for i in range(len(labels))]
                for node in NODES:
                    if any(np.any(sample[node] != 0) for sample in each):
                        gathered[node].append((sum(sample[node] for sample in each), len(labels)))
            due = {}
            for node in NODES:
                if len(gathered[node]) >= after[node]:
                    sums, counts = zip(*gathered[node], strict=True)
                    due[node] = sum(sums) / sum(counts)
                    gathered[node] = []
                    moved[node].append(step)
            norm = np.sqrt(sum((gradient**2).sum() for gradient in due.values()))
            for node, gradient in due.items():
                if clip is not None and norm > clip:
                    gradient = gradient * clip / norm
                with torch.no_grad():
                    weight = own[node].numpy()
                    velocity[node] = 0.9 * velocity[node] + gradient + 0.01 * weight
                    own[node] -= torch.as_tensor(0.2 * velocity[node])
    return {f"{node}.weight": own[node].detach().numpy() for node in NODES}, moved


def _gradient(module: Any, own: dict[str, Any], inputs: Any, label: int) -> dict[str, Any]:
    """dL/dw of one sample, L the cross-entropy of the output's spike counts."""
    counts = module(torch.as_tensor(inputs[:, None], dtype=torch.float64)).sum(0)
    loss = torch.logsumexp(counts[0], 0) - counts[0, label]
    return dict(zip(own, (g.numpy() for g in torch.autograd.grad(loss, list(own.values()))), strict=True))


@pytest.mark.parametrize(
    ("after", "accumulate", "clip"),
    [(SILENT["apply_after"], 2, 0.1), ({"w1": 2, "w2": 5}, 1, None), ({"w1": 1, "w2": 4}, 3, 0.1)],
)
def test_it_is_its_equation(after: dict[str, int], accumulate: int, clip: float | None) -> None:
    """To 1e-6: torch clips by the norm + 1e-6, of 0.1 and more, so to 1e-5 of steps of up to 0.02; else to 1e-12."""
    wanted, moved = plainly(after, accumulate, clip)
    result = hasn.train(
        silent_net(), silent_batches(), **{**SILENT, "apply_after": after, "accumulate": accumulate, "clip": clip}
    )
    for name, value in wanted.items():
        assert np.abs(value - weights(silent_net())[name]).max() > 1e-2
        np.testing.assert_allclose(weights(result.graph)[name], value, rtol=0, atol=1e-6 if clip else 1e-12)
    assert moved["w1"] != moved["w2"]
    assert len(moved["w2"]) < result.steps


def test_two_workers_gather_what_one_does(answer: Answer) -> None:
    """A batch counts once, though one worker's share of it may be silent."""
    wanted, _ = plainly(SILENT["apply_after"], SILENT["accumulate"], SILENT["clip"])
    one = told(hasn.train(silent_net(), silent_batches(), **SILENT))
    both = answer("silent")
    assert both[0] == both[1]
    for name, value in wanted.items():
        np.testing.assert_allclose(both[0]["weights"][name], value, rtol=0, atol=1e-6)
        np.testing.assert_allclose(both[0]["weights"][name], one["weights"][name], rtol=0, atol=1e-12)


def test_the_first_gradient_alone_is_what_every_training_does() -> None:
    """K = 1 where no gradient is ever all zero: equal but for rounding. Adam moves every weight by its rate."""
    options: dict[str, Any] = {"epochs": 2, "batch_size": 7, "learn": ("tau",), "precision": "float64"}
    plain = hasn.train(recurrent(), samples(22), **options)
    waiting = hasn.train(recurrent(), samples(22), apply_after=1, **options)
    for name, value in weights(plain.graph).items():
        np.testing.assert_allclose(weights(waiting.graph)[name], value, rtol=0, atol=1e-12)
    assert waiting.losses == pytest.approx(plain.losses, rel=1e-12)


def test_nodes_that_are_not_due_stay() -> None:
    """4 updates, with K = 2 of w1 alone, and K = 5 of the rest and of a learned tau: only w1 is moved, twice."""
    seen: list[Any] = []
    after = {"w1": 2, "w2": 5, "hidden": 5, "last": 5}
    result = hasn.train(
        net(), samples(32), epochs=1, batch_size=8, optimizer=sgd, learn="tau", apply_after=after, progress=seen.append,
        schedule=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5),
    )  # fmt: skip
    before, now = weights(net()), weights(result.graph)
    assert result.steps == 4
    assert [step.learning_rate for step in seen] == [0.05, 0.025, 0.0125, 0.00625]  # time goes on for all
    np.testing.assert_array_equal(now["w2.weight"], before["w2.weight"].astype(np.float32))
    np.testing.assert_allclose(now["hidden.tau"], before["hidden.tau"], rtol=1e-15)  # through the logit and back
    assert np.abs(now["w1.weight"] - before["w1.weight"]).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"apply_after": 0}, "apply_after: no such number; got 0; wanted an integer >= 1"),
        ({"apply_after": {"w1": 1.5}}, "apply_after: no such number; got 1.5"),
        ({"apply_after": {"w3": 2}}, "apply_after: no such node is trained; got 'w3'; wanted w1, w2"),
        ({"apply_after": {"hidden": 2}}, "apply_after: no such node is trained; got 'hidden'"),
        ({"apply_after": 2, "amp": "fp16"}, "apply_after: gradients that wait for others cannot be scaled"),
    ],
)
def test_what_cannot_wait(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        hasn.train(net(), samples(8), epochs=1, **options)


def test_a_gradient_that_is_not_finite_does_not_wait() -> None:
    """It is told at the step at which it comes, though no node is due before the third."""
    steps = iter((1.0, 0.0, 1.0))  # the square root of 0 has an infinite slope

    def loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        total = outputs.sum()
        return (total * next(steps)).sqrt() + 0.0 * total

    with pytest.raises(hasn.HasnError, match=r"w1\.weight.*: the gradient is not finite at step 2"):
        hasn.train(net(), samples(24), epochs=1, batch_size=8, shuffle=False, apply_after=3, loss=loss)
