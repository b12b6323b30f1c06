"""The class in docs/training.md under Lightning's own Trainer: its logger, its checkpoints, and the way back to NIR."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hasn
from tests.unit.backends.snntorch.training.task import net, samples, weights

lightning = pytest.importorskip("lightning", reason="Lightning is not installed; `make peers` runs this with it")

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's, about workers and GPUs
PAGE = Path(__file__).parents[5] / "docs" / "training.md"


def loader() -> Any:
    spikes, labels = samples(24)
    dataset = torch.utils.data.TensorDataset(torch.tensor(spikes).transpose(0, 1), torch.tensor(labels))
    return torch.utils.data.DataLoader(dataset, batch_size=8)


def trainer(folder: Path, epochs: int) -> Any:
    logger = lightning.pytorch.loggers.CSVLogger(folder)
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False}
    return lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", default_root_dir=folder, logger=logger, log_every_n_steps=1, **quiet
    )


@pytest.fixture(scope="module")
def network() -> Any:
    """The class as the page has it."""
    (code,) = re.findall(r"## Lightning\n.*?```python\n(.*?)```", PAGE.read_text(encoding="utf8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["Network"]


def test_it_trains_as_hasn_does_and_gives_back_a_graph(network: Any, tmp_path: Path) -> None:
    """The same updates in another loop: equal to the rounding of float32 (weights near 1, nine updates)."""
    made, fit = network(net()), trainer(tmp_path, 3)
    fit.fit(made, loader())
    wanted = hasn.train(net(), samples(24), epochs=3, batch_size=8, shuffle=False)
    found = made.to_nir()
    for name, value in weights(wanted.graph).items():
        np.testing.assert_allclose(weights(found)[name], value, atol=1e-5, err_msg=name)
    assert np.abs(found.nodes["w1"].weight - net().nodes["w1"].weight).max() > 1e-3
    with (Path(fit.logger.log_dir) / "metrics.csv").open(encoding="utf8") as file:
        logged = [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
    assert logged == pytest.approx(wanted.losses, rel=1e-5)


def test_its_checkpoint_is_the_network_and_goes_on(network: Any, tmp_path: Path) -> None:
    made, fit = network(net()), trainer(tmp_path, 2)
    fit.fit(made, loader())
    path = fit.checkpoint_callback.best_model_path
    again = network.load_from_checkpoint(path, graph=net(seed=3)).to_nir()
    for name, value in weights(made.to_nir()).items():
        np.testing.assert_array_equal(weights(again)[name], value, err_msg=name)
    whole, resumed = network(net()), network(net(seed=3))
    trainer(tmp_path / "whole", 3).fit(whole, loader())
    trainer(tmp_path / "resumed", 3).fit(resumed, loader(), ckpt_path=path)
    for name, value in weights(whole.to_nir()).items():
        np.testing.assert_array_equal(weights(resumed.to_nir())[name], value, err_msg=name)
    assert not np.array_equal(again.nodes["w1"].weight, whole.to_nir().nodes["w1"].weight)
