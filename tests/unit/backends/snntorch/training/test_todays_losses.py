"""The same seeds give the same losses as on the day when these were written down (2026-11-28, torch 2.13 on a CPU)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import RateTarget, SynapticCost, count
from tests.unit.backends.snntorch.training.calls import recurrent
from tests.unit.backends.snntorch.training.task import net, readout, samples


def momentum(groups: Any) -> Any:
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def halved(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)


def with_readout() -> nir.NIRGraph:
    return net(last=readout(3))


#: name -> (net, options, losses of all updates, sum of the first weights, validation loss after the last epoch)
TODAY: dict[str, tuple[Callable[[], nir.NIRGraph], dict[str, Any], list[float], float, float | None]] = {
    "plain": (
        net, {},
        [1.7701703194365062, 1.994953156876529, 3.5934541842129137, 0.40834414153274395, 3.472661238991952,
         1.1326254382511478],
        20.826660291352873, None,
    ),
    "validation and the best": (
        net, {"validation": samples(12, 5), "keep_best": True, "learning_rate": 0.1},
        [1.7701703194365062, 0.6470118477087573, 0.10770180424535186, 0.06265066067132656, 0.04636919284341677,
         0.1403968456215112],
        20.500871131105033, 0.31065853119829073,
    ),
    "regularised": (
        net, {"regularisers": [RateTarget(0.1, 10.0), SynapticCost(1e-3)]},
        [3.0052321683948398, 3.685603984275186, 4.407472104693453, 1.8238512721744182, 4.2966357689624495,
         2.7509044144108987],
        16.311223209841735, None,
    ),
    "learned tau and threshold": (
        net, {"learn": ("tau", "threshold")},
        [1.7701703194365062, 1.9949531568765289, 3.4690104002369067, 0.38506948741876684, 3.1376274789113,
         1.194508975799533],
        20.750039160251934, None,
    ),
    "momentum, schedule, clip and accumulation": (
        net, {"optimizer": momentum, "schedule": halved, "clip": 0.5, "accumulate": 2},
        [1.8581403391589624, 3.9203688451326446, 2.2821839475862524, 1.8327658275370797],
        20.17902002317083, None,
    ),
    "count, recurrent": (
        recurrent, {"loss": count(0.7, 0.1), "method": "exact"},
        [13.625000278155085, 14.749999920527216, 16.79166789849607, 7.541666587193883, 12.958334565162735,
         9.66666734218605],
        16.71345116001384, None,
    ),
    "membrane": (
        with_readout, {"loss": "membrane"},
        [1.305964866888192, 1.0025711243981532, 1.6615147841791984, 0.3863265523779657, 1.39844594799701,
         0.7827528020132004],
        20.1669037734643, None,
    ),
    "first-spike, in order, recomputed": (
        net, {"loss": "first-spike", "surrogate": "fast_sigmoid", "shuffle": False, "recompute": 4},
        [1.9379700952915813, 2.0049222274826923, 2.7608585283812515, 0.9147883503455904, 1.2735329090861904,
         1.5483322531308255],
        18.42936538441821, None,
    ),
    "float32": (
        net, {"precision": "float32"},
        [1.7701702117919922, 1.9949531555175781, 3.593454360961914, 0.4083441197872162, 3.472661256790161,
         1.1326254606246948],
        20.826662063598633, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TODAY)
def test_the_same_seed_gives_the_losses_of_the_day_when_they_were_written_down(name: str) -> None:
    """To 1e-9 in float64, 1e-5 in float32.

    One machine gives the same bits again; another processor adds up products in another order, which differs in the
    last digits (1e-16, 1e-7 a sum) and grows a little over six updates. Any change of order, seed, gradient or rate
    moves these losses in their third digit.
    """
    make, options, losses, weight, validation = TODAY[name]
    call = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "precision": "float64", **options}
    near = 1e-9 if call["precision"] == "float64" else 1e-5
    result = hasn.train(make(), samples(24), **call)
    assert result.losses == pytest.approx(losses, rel=near)
    assert float(result.graph.nodes["w1"].weight.sum()) == pytest.approx(weight, rel=near)
    if validation is not None:
        assert result.history[-1].validation_loss == pytest.approx(validation, rel=near)
