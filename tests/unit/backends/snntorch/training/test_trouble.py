"""What goes wrong while it runs: memory that does not suffice, numbers that stop being numbers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import Step
from hasn.backends.snntorch.training.network import TrainedNetwork
from hasn.errors import InputError, TrainingError
from hasn.room import is_out_of_memory
from tests.unit.backends.snntorch.training.task import lif, net, readout, samples, weights


def sgd(groups: Any) -> Any:
    return torch.optim.SGD(groups, lr=0.1)


OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    MemoryError(),
]


def tight(monkeypatch: pytest.MonkeyPatch, room: int, error: BaseException) -> list[tuple[int, int]]:
    """A machine that holds ``room`` samples x steps at once; what it was asked for."""
    asked: list[tuple[int, int]] = []
    forward = TrainedNetwork.forward

    def limited(self: TrainedNetwork, inputs: Any) -> Any:
        steps, batch = inputs["in"].shape[:2]
        asked.append((batch, steps))
        if batch * steps > room:
            raise error
        return forward(self, inputs)

    monkeypatch.setattr(TrainedNetwork, "forward", limited)
    return asked


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_a_batch_that_does_not_fit_runs_in_parts_to_the_same_result(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 samples of 10 steps into room for 70: halves of 12 fail too, so it goes on with 6."""
    whole = hasn.train(net(), samples(24), epochs=2, batch_size=24, optimizer=sgd, validation=samples(9))
    asked = tight(monkeypatch, 70, error)
    seen: list[Step] = []
    parts = hasn.train(
        net(), samples(24), epochs=2, batch_size=24, optimizer=sgd, validation=samples(9), progress=seen.append
    )
    assert [batch for batch, _ in asked] == [24, 12, 6, 6, 6, 6, 6, 3, 6, 6, 6, 6, 6, 3]
    assert parts.steps == whole.steps == 2
    assert [step.samples for step in seen] == [6, 6]
    assert parts.history[0].batch == 6
    assert parts.losses == pytest.approx(whole.losses, rel=1e-6)
    assert parts.history[1].validation_loss == pytest.approx(whole.history[1].validation_loss, rel=1e-6)
    for key, value in weights(whole.graph).items():
        np.testing.assert_allclose(weights(parts.graph)[key], value, atol=1e-6)  # float32 sums in another order


def test_short_sequences_run_in_larger_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 16 samples of 10 steps failed, 8 of 10 run at once, and 16 of 5."""
    asked = tight(monkeypatch, 100, OUT_OF_MEMORY[0])
    inputs, labels = samples(16)
    hasn.train(net(), [(inputs, labels), (inputs[:5], labels)], epochs=1)
    assert asked == [(16, 10), (8, 10), (8, 10), (16, 5)]


def test_an_update_of_several_batches_starts_again_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second batch of the update fails: the first one's gradient must not be counted twice."""
    inputs, labels = samples(24)
    batches = [(inputs[:, :8], labels[:8]), (inputs[:, 8:], labels[8:])]
    whole = hasn.train(net(), batches, epochs=1, accumulate=2, optimizer=sgd)
    tight(monkeypatch, 80, OUT_OF_MEMORY[0])
    parts = hasn.train(net(), batches, epochs=1, accumulate=2, optimizer=sgd)
    for key, value in weights(whole.graph).items():
        if key.endswith("weight"):
            assert np.abs(value - weights(net())[key]).max() > 1e-2  # a gradient counted twice would be this far off
        np.testing.assert_allclose(weights(parts.graph)[key], value, atol=1e-6)


def test_one_sample_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    tight(monkeypatch, 9, OUT_OF_MEMORY[0])
    with pytest.raises(TrainingError, match=r"one sample does not fit in memory: CUDA out of memory.*recompute=K"):
        hasn.train(net(), samples(4), epochs=1)


def test_other_errors_are_not_taken_for_memory() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))

    def broken(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        hasn.train(net(), samples(4), epochs=1, loss=broken)


@pytest.mark.parametrize("place", ["w1", "w2"])
@pytest.mark.parametrize("learn", [(), ("tau",)])
def test_a_loss_that_is_not_a_number_names_the_first_node_and_the_step(place: str, learn: Any) -> None:
    """Weights whose sum overflows."""
    graph = net(last=readout(3))
    graph.nodes[place].weight[0] = 3e38  # float32 ends at 3.4e38
    words = rf"node '{place}' \w+: the \w+ is not finite at step 1: .*first that is not, at time step"
    with pytest.raises(TrainingError, match=words):
        hasn.train(graph, samples(24), epochs=1, batch_size=8, loss="membrane", shuffle=False, learn=learn)


def _forms(inputs: Any, labels: Any, form: str) -> Any:
    """The samples as one block, as sequences, as a DataLoader's batches, or as what a function of the epoch gives."""
    if form == "sequences":
        return [inputs[:, n] for n in range(24)], labels
    if form == "batches":
        return [(inputs[:, n : n + 8], labels[n : n + 8]) for n in (0, 8, 16)]
    return (lambda epoch: (inputs, labels)) if form == "function" else (inputs, labels)


@pytest.mark.parametrize("what", ["data", "validation"])
@pytest.mark.parametrize("form", ["block", "sequences", "batches", "function"])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_data_that_are_not_numbers_are_named_not_the_gradient(value: float, form: str, what: str) -> None:
    """No spike shows a NaN of an input, and the loss stays finite: the data are looked at themselves."""
    inputs, labels = samples(24)
    wrong = inputs.astype(np.float32)
    wrong[4, 17, 2] = value
    given = {"data": (inputs, labels), "validation": (inputs, labels)} | {what: _forms(wrong, labels, form)}
    heard: list[Any] = []
    with pytest.raises(InputError) as caught:
        hasn.train(net(last=readout(3)), given["data"], validation=given["validation"], epochs=1, batch_size=8,
                   loss="membrane", progress=heard.append)  # fmt: skip
    place = "batch 2, sample 1" if form == "batches" else "sample 17"
    assert (caught.value.node, caught.value.parameter) == ("in", what)
    assert caught.value.got == f"{value} at {place}, step 4, element (2,)"
    assert "np.nan_to_num" in str(caught.value.way_out)
    if form in ("block", "sequences"):
        assert not heard  # before the first update


def test_labels_that_are_not_numbers_are_named() -> None:
    inputs, _ = samples(8)
    targets = np.zeros((8, 3), dtype=np.float32)
    targets[5, 1] = np.nan
    with pytest.raises(InputError, match=r"data labels: a label is not finite; got nan at sample 5"):
        hasn.train(net(), (inputs, targets), epochs=1, loss="count")


def test_a_value_that_float32_does_not_hold_is_the_datas() -> None:
    inputs, labels = samples(8)
    wrong = inputs.astype(np.float64)
    wrong[3, 5, 1] = 1e300
    with pytest.raises(InputError, match=r"node 'in' data: .*float32 does not hold; got 1e\+300 at step 3, sample 5"):
        hasn.train(net(last=readout(3)), (wrong, labels), epochs=1, loss="membrane", shuffle=False)


@pytest.mark.parametrize("recompute", [None, 3])
def test_a_state_that_is_not_finite_on_validation_data_is_named(recompute: int | None) -> None:
    """Nothing overflows in training: 1e38 for 1 at step 6 of the validation data, times weights of 0.1 and more."""
    inputs, labels = samples(24)
    large = np.zeros(inputs.shape)
    large[6] = 3e38
    graph = net(last=readout(3))
    graph.nodes["w1"].weight[:] = 4.0
    words = r"node 'w1' validation loss: .*not finite at step 3: .*first that is not, at time step 6"
    with pytest.raises(TrainingError, match=words):
        hasn.train(graph, (inputs, labels), validation=(large, labels), epochs=1, batch_size=8, loss="membrane",
                   recompute=recompute)  # fmt: skip


def test_weights_that_run_away_are_found() -> None:
    """The update of step 1 is finite but makes the weights so large that the next step's product overflows."""
    with pytest.raises(TrainingError, match=r"node '(w1|w2|last)' loss: the loss is not finite at step 2"):
        hasn.train(
            net(last=readout(3)), samples(16), epochs=1, batch_size=8, loss="membrane",
            optimizer=lambda groups: torch.optim.SGD(groups, lr=3e38),
        )  # fmt: skip


def test_a_loss_function_at_fault_is_told_apart() -> None:
    def undefined(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return outputs.sum() * float("nan")

    with pytest.raises(TrainingError, match="loss: the loss is not finite at step 1, though every node's state is"):
        hasn.train(net(), samples(8), epochs=1, loss=undefined)


def test_a_gradient_that_is_not_finite_names_its_parameters() -> None:
    """The square root of 0 has an infinite slope, times a zero from the other factor: NaN."""

    def steep(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (outputs.sum() * 0).abs().sqrt()

    with pytest.raises(TrainingError, match=r"w1.*the gradient is not finite at step 1, though the loss and every"):
        hasn.train(net(), samples(8), epochs=1, loss=steep)


def test_nothing_learned_is_said() -> None:
    """Weak inputs: no population spikes; a step size of 0 moves nothing; a sound training says nothing."""
    inputs, labels = samples(8)
    with pytest.warns(RuntimeWarning, match="nothing was learned: no population spiked in the last epoch"):
        result = hasn.train(net(), (1e-6 * inputs, labels), epochs=1, learn="tau", optimizer=_always)
    assert not result.learned
    with pytest.warns(RuntimeWarning, match="nothing was learned: no trained parameter moved"):
        result = hasn.train(net(), (inputs, labels), epochs=1, optimizer=lambda groups: torch.optim.SGD(groups, lr=0.0))
    assert (result.learned, result.moved) == (False, False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hasn.train(net(), (inputs, labels), epochs=1).learned


@pytest.mark.parametrize("form", ["block", "sequences", "batches"])
def test_what_moves_on_inputs_of_zeros_has_learned_nothing_from_them(form: str) -> None:
    """A leak makes the hidden neurons spike, so that weights behind them move whatever the inputs are."""
    given, labels = samples(8)
    driven = net(hidden=lif(16, v_leak=2.0))

    def learned(inputs: Any) -> bool:
        data: Any = (inputs, labels)
        if form == "sequences":
            data = ([inputs[:, n] for n in range(8)], labels)
        elif form == "batches":
            data = [(inputs[:, :4], labels[:4]), (inputs[:, 4:], labels[4:])]
        return hasn.train(driven, data, epochs=1).learned

    with pytest.warns(RuntimeWarning, match="nothing was learned: every value of every Input is 0"):
        assert not learned(0 * given)
    last = 0 * given
    last[-1, -1, -1] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert learned(last)


def _always(groups: Any) -> torch.optim.Optimizer:
    """Moves parameters whatever their gradient: weights decay."""
    return torch.optim.SGD(groups, lr=0.1, weight_decay=0.1)


def test_one_label_for_all_samples_is_not_called_an_empty_set() -> None:
    inputs, _ = samples(8)
    with pytest.raises(InputError, match=r"data labels: one label for all samples; got the number 3; wanted \(N,\)"):
        hasn.train(net(), (inputs, np.int64(3)), epochs=1)
