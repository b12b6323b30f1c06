"""The parts of a checkpoint: digests, generators' states, the file, and what is not taken back."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest
import torch

from hasn.backends.snntorch.training.agreeing import check_agrees
from hasn.backends.snntorch.training.checkpoint import (
    FORMAT,
    bytes_of,
    digest_of,
    fingerprint,
    previous,
    random_states,
    read_checkpoint,
    set_random_states,
    write_checkpoint,
)
from hasn.backends.snntorch.training.progress import Progress, Tally
from hasn.backends.snntorch.training.result import Epoch, Step
from hasn.errors import FileError, GraphError, OptionError
from hasn.ir.lower import lower
from hasn.ir.seal import seal
from tests.unit.backends.snntorch.training.task import net

# --- digests


def test_a_digest_tells_parameters_apart_bit_for_bit() -> None:
    base = {"w": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b": torch.zeros(2)}
    others = [
        {**base, "b": torch.tensor([0.0, 2.0**-140])},
        {**base, "b": torch.tensor([0.0, -0.0])},
        {**base, "b": torch.zeros(2, dtype=torch.int32)},  # the same bytes
        {**base, "w": base["w"].reshape(4)},
        {**base, "w": base["w"].T},
        {"w": base["w"], "c": base["b"]},
        {"w": base["w"]},
    ]
    digests = [digest_of(parameters) for parameters in (base, *others)]
    assert len(set(digests)) == len(digests)
    again = {"b": torch.zeros(2, requires_grad=True), "w": base["w"].clone()}
    assert digest_of(again) == digests[0]  # in whatever order, and with gradients


def test_a_graph_is_known_whatever_order_it_was_written_in() -> None:
    """And by every process: nodes, edges, parameters of a node."""
    graph = net()
    print_ = fingerprint(graph, lower(graph), {"tau": "population"})
    other = nir.NIRGraph(dict(reversed(graph.nodes.items())), graph.edges[::-1], metadata=graph.metadata)
    for node in other.nodes.values():
        attributes = list(vars(node).items())
        vars(node).clear()
        vars(node).update(reversed(attributes))
    assert fingerprint(other, lower(other), {"tau": "population"}) == print_
    assert fingerprint(graph, lower(graph), {}) != print_


# --- generators


def drawn() -> list[float]:
    """A number of each global generator; two of numpy's Gauss, which keeps every second one."""
    return [float(torch.rand(())), float(np.random.random()), float(np.random.normal()), random.random(),
            random.gauss(0, 1)]  # fmt: skip


@pytest.fixture(autouse=True)
def _generators() -> Any:
    before = random_states()
    yield
    set_random_states(before)


def test_every_generator_goes_on_from_where_it_was() -> None:
    torch.manual_seed(1)
    np.random.seed(2)
    random.seed(3)
    drawn()  # so that numpy and Python hold the second number of a pair
    states = random_states()
    wanted = drawn()
    assert drawn() != wanted
    for _ in range(2):  # the states are no generators themselves
        set_random_states(states)
        assert drawn() == wanted


def test_the_generators_of_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept where there are GPUs, and put back where both the checkpoint and the machine have some."""
    put: list[Any] = []
    plain = random_states()
    assert plain["cuda"] == [] or torch.cuda.is_available()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: ["one", "two"])
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", put.append)
    states = random_states()
    assert states["cuda"] == ["one", "two"]
    set_random_states(states)
    set_random_states({**states, "cuda": []})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    set_random_states(states)
    assert put == [["one", "two"]]


def test_states_hold_tensors_numbers_and_texts_alone(tmp_path: Path) -> None:
    """So that a checkpoint is read without executing a thing."""
    torch.manual_seed(1)
    np.random.seed(5)
    random.seed(6)
    drawn()
    path = tmp_path / "at.pt"
    write_checkpoint(path, {"random": random_states()})
    wanted = drawn()
    set_random_states(torch.load(path, weights_only=True)["random"])
    assert drawn() == wanted


def test_the_generators_that_data_bring() -> None:
    """A DataLoader's own, its sampler's, one that both share, and none."""
    own, its = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    data = [
        SimpleNamespace(generator=own, sampler=SimpleNamespace(generator=its)),
        SimpleNamespace(generator=own),
        SimpleNamespace(sampler=SimpleNamespace(generator=None)),
        np.zeros(3),
        SimpleNamespace(generator=SimpleNamespace(get_state=lambda: 1)),
    ]
    states = random_states(data)
    assert len(states["data"]) == 2
    wanted = [torch.rand(3, generator=g).tolist() for g in (own, its)]
    set_random_states(states, data)
    assert [torch.rand(3, generator=g).tolist() for g in (own, its)] == wanted
    assert wanted[0] != wanted[1]
    set_random_states({**states, "data": []}, data)  # as they stand
    assert torch.rand(3, generator=own).tolist() != wanted[0]
    assert random_states()["data"] == []


# --- the file

SETTINGS = {"loss": "rate", "seed": "0"}
STATE: dict[str, Any] = {
    "fingerprint": "a" * 64, "settings": SETTINGS, "moving": {"parameters": {"w": torch.arange(3.0)}}, "gradients": {},
    "progress": {}, "room": None, "random": {}, "epoch_start": {}, "hidden": {}, "judge": "", "dropout": 0,
    "origin": {"graph": None, "learn": {}, "lowering": {}, "precision": "float32", "keep_best": False,
               "freeze": [], "during": {}},
}  # fmt: skip


def written(path: Path, **changed: Any) -> bytes:
    write_checkpoint(path, {**STATE, **changed})
    return path.read_bytes()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "at.pt"
    assert bytes_of(path) is None
    path.write_text("an old one")
    content = written(path)
    assert bytes_of(path) == content
    assert list(tmp_path.iterdir()) == [path]  # nothing is left beside it
    found = read_checkpoint(content, path)
    assert found.pop("moving")["parameters"]["w"].tolist() == [0, 1, 2]
    assert found == {"format": FORMAT, **{key: value for key, value in STATE.items() if key != "moving"}}
    with pytest.raises(OptionError, match="got the default; wanted rate"):  # what is left out now is the default
        check_agrees(found, path, "a" * 64, {"seed": "0"})


def test_the_old_file_stays_where_a_new_one_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "at.pt"
    content = written(path)
    with pytest.raises(Exception, match="pickle"):
        write_checkpoint(path, {**STATE, "function": lambda: 0})
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileError, match="no such folder"):
        write_checkpoint(tmp_path / "missing" / "at.pt", STATE)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read: Is a directory") as caught:
        bytes_of(tmp_path)
    assert caught.value.parameter == str(tmp_path)


class Wicked:
    """Would run when it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("hacked"),))


def flipped(content: bytes) -> bytes:
    """One bit of the weights is another: 1.0 becomes 3.4e38."""
    place = content.index(np.arange(3, dtype=np.float32).tobytes()) + 7
    return content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :]


@pytest.mark.parametrize("spoilt", [lambda c: b"", lambda c: b"no checkpoint", lambda c: c[: len(c) // 2], flipped])
def test_damaged_files(spoilt: Any, tmp_path: Path) -> None:
    path = tmp_path / "at.pt"
    content = spoilt(written(path))
    with pytest.raises(FileError, match=r"not a checkpoint, or a damaged one: .") as caught:
        read_checkpoint(content, path)
    assert caught.value.parameter == str(path)
    assert "\n" not in str(caught.value)


def test_nothing_in_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = written(tmp_path / "at.pt", more=Wicked())
    with pytest.raises(FileError, match="not a checkpoint, or a damaged one"):
        read_checkpoint(content, tmp_path / "at.pt")
    assert not (tmp_path / "hacked").exists()


def test_every_byte_is_under_the_digest(tmp_path: Path) -> None:
    """Two hundred places, the first and the last byte among them."""
    path = tmp_path / "at.pt"
    content, rng = written(path), np.random.default_rng(3)
    for place in [0, len(content) - 1, *rng.integers(len(content), size=198)]:
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(FileError, match=r"not a checkpoint, or a damaged one: (it has another|no) digest"):
            read_checkpoint(bytes(changed), path)


def test_a_compressed_file_is_not_unpacked(tmp_path: Path) -> None:
    """Torch stores its members as they are; sealed by hand, a bomb would be as whole as any."""
    path = tmp_path / "at.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(10**6))
    seal(path)
    with pytest.raises(FileError, match="damaged one: it is compressed"):
        read_checkpoint(path.read_bytes(), path)


def test_the_last_good_one_is_kept_and_offered(tmp_path: Path) -> None:
    """Two are kept; a damaged one is offered for none, nor does it push out the good one."""
    path, kept = tmp_path / "my run.pt", tmp_path / "my run.pt.previous"
    assert previous(path) == kept
    first = written(path, room=1)
    assert not kept.exists()
    with pytest.raises(FileError, match="Take another copy of it, or begin anew"):
        read_checkpoint(flipped(first), path)
    second = written(path, room=2)
    assert kept.read_bytes() == first
    path.write_bytes(flipped(second))
    with pytest.raises(FileError) as caught:
        read_checkpoint(path.read_bytes(), path)
    assert caught.value.way_out == f"The one before it is whole: mv '{kept}' '{path}', and resume."
    third = written(path, room=3)
    assert (path.read_bytes(), kept.read_bytes()) == (third, first)
    fourth = written(path, room=4)
    assert (path.read_bytes(), kept.read_bytes()) == (fourth, third)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my run.pt", "my run.pt.previous"]
    kept.write_bytes(flipped(third))
    with pytest.raises(FileError, match="Take another copy of it, or begin anew"):
        read_checkpoint(flipped(fourth), path)


def test_one_of_another_training_is_not_offered(tmp_path: Path) -> None:
    """Who removes a checkpoint and begins anew does not want the old one's last but one."""
    path = tmp_path / "at.pt"
    written(path)
    written(path)
    path.unlink()
    written(path)
    assert not previous(path).exists()


def test_a_file_system_without_links_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", none)
    path = tmp_path / "at.pt"
    first = written(path, room=1)
    written(path, room=2)
    assert previous(path).read_bytes() == first
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("kind", ["older", "none", "list"])
def test_what_torch_can_read_and_is_no_checkpoint(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "at.pt"
    content: dict[str, Any] = {"older": {**STATE, "format": "hasn training 1"}, "none": STATE, "list": [1, 2]}
    torch.save(content[kind], path)
    with pytest.raises(FileError, match=f"damaged one: no digest of {FORMAT}"):
        read_checkpoint(path.read_bytes(), path)
    seal(path)
    with pytest.raises(FileError, match=f"not a checkpoint of hasn.train; wanted {FORMAT}") as caught:
        read_checkpoint(path.read_bytes(), path)
    assert caught.value.parameter == str(path)


def test_a_checkpoint_of_another_graph_or_training(tmp_path: Path) -> None:
    path = tmp_path / "at.pt"
    state = read_checkpoint(written(path), path)
    with pytest.raises(GraphError) as other:
        check_agrees(state, path, "a" * 63 + "b", SETTINGS)
    assert (other.value.parameter, other.value.got) == (str(path), "a" * 8)
    assert str(other.value.wanted).startswith("aaaaaaaa: the same nodes")
    for settings, name, got, wanted in (
        ({**SETTINGS, "seed": "1"}, "seed", "1", "0"),
        ({**SETTINGS, "surrogate": "atan"}, "surrogate", "atan", "the default"),
    ):
        with pytest.raises(OptionError, match="of a training with another value") as changed:
            check_agrees(state, path, "a" * 64, settings)
        assert (changed.value.parameter, changed.value.got, changed.value.wanted) == (name, got, wanted)


# --- progress


def test_progress_comes_back_whole() -> None:
    """Every field, none of which has the value that it starts with."""
    epochs = [Epoch(0, 1.5, 0.5, 1.25, 0.75, {"a": 0.1}, 2.0, 8), Epoch(1, 1.0, None, None, None, {}, 3.0, 4)]
    now = Progress(
        epoch=2, position=3, step=7, losses=[1.5, 1.0], history=epochs, tally=Tally(5, [1.0, 2.0], 0.5, 3), best=1.25,
        waited=1, stopped="why", best_parameters={"w": torch.ones(2)},
    )  # fmt: skip
    assert not [name for name, value in vars(now).items() if value == vars(Progress())[name]]
    state = now.state()
    assert isinstance(state["history"][0], dict)
    assert isinstance(state["tally"], dict)
    again = Progress.of_state(state)
    assert again == now
    assert again.history == epochs


def test_a_tally_weighs_by_samples() -> None:
    """Loss, accuracy and two rates of 3 and then 1 samples."""
    tally = Tally()
    tally.add([1.0, 0.5, 0.1, 0.4], 3)
    tally.add([5.0, 1.0, 0.5, 0.8], 1)
    assert tally.samples == 4
    assert tally.loss == pytest.approx((3 * 1 + 5) / 4)
    assert tally.accuracy == pytest.approx((3 * 0.5 + 1) / 4)
    assert tally.rates(("one", "two")) == pytest.approx({"one": (0.3 + 0.5) / 4, "two": (1.2 + 0.8) / 4})
    tally.add([1.0, float("nan"), 0.0, 0.0], 1)
    assert tally.accuracy is None


def test_the_best_epoch() -> None:
    """Equal is not better; what is not there counts as nothing."""
    now = Progress()
    said = [now.judge(value, smaller_is_better=True) for value in (2.0, 2.0, 3.0, None, 1.0, 0.0, 0.5)]
    assert said == [True, False, False, False, True, True, False]
    assert (now.best, now.waited) == (0.0, 1)
    up = Progress()
    assert [up.judge(value, smaller_is_better=False) for value in (0.0, 0.0, -1.0, 0.5)] == [True, False, False, True]
    assert (up.best, up.waited) == (0.5, 0)
    up.judge(0.5, smaller_is_better=False)
    assert up.waited == 1


@pytest.mark.parametrize("smaller_is_better", [True, False])
def test_an_epoch_that_is_no_number_is_not_the_best(smaller_is_better: bool) -> None:
    """As the first one neither, or no epoch would ever be better."""
    now = Progress()
    said = [now.judge(value, smaller_is_better) for value in (float("nan"), 2.0, float("nan"), 2.0)]
    assert said == [False, True, False, False]
    assert (now.best, now.waited) == (2.0, 2)


def test_the_rate_of_a_step_is_the_mean_of_its_populations() -> None:
    figures: dict[str, Any] = {
        "epoch": 0, "epochs": 1, "step": 1, "batch": 1, "batches": 1, "loss": 1.0, "accuracy": None,
        "learning_rate": 0.1, "samples": 1,
    }  # fmt: skip
    assert Step(rates={"a": 0.1, "b": 0.4}, **figures).rate == pytest.approx(0.25)
    assert Step(rates={}, **figures).rate is None
