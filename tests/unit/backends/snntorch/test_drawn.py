"""Drawn inputs in the torch module: from step 0 at each call, a sample's numbers by its place in the batch."""

from __future__ import annotations

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.nodes import PoissonInput
from hasn.testing import reference
from tests.graphs import DT, Draw, graph, inp, out, spikes


def net() -> nir.NIRGraph:
    d = Draw(5)
    trains = PoissonInput(np.full(4, 300.0), np.full(4, 0.9), 2)
    nodes = {
        "input": inp(3),
        "lin": d.linear(3, 3),
        "trains": trains,
        "more": d.linear(3, 4),
        "lif": d.lif(3),
        "output": out(3),
    }
    return graph(nodes, "input > lin > lif > output", "trains > more > lif", dt=DT)


@pytest.mark.parametrize("engine", ["fused", "steps"])
@pytest.mark.parametrize("recompute", [None, 7])
def test_the_module_draws_what_the_reference_does(engine: str, recompute: int | None) -> None:
    x = spikes((3,), 30, batch=2)
    wanted = reference.run(net(), {"input": x}, DT, "euler", "zero", "synchronous").outputs["output"]
    without = reference.run(net(), {"input": x[:, :1]}, DT, "euler", "zero", "synchronous").outputs["output"]
    executable = hasn.compile(net(), "snntorch", engine=engine, recompute=recompute)
    for _ in range(2):  # a second call draws the same
        np.testing.assert_array_equal(executable.module(torch.as_tensor(x)).detach().numpy(), wanted)
    np.testing.assert_array_equal(wanted[:, :1], without)
    assert np.any(wanted[:, 0] != wanted[:, 1])


def test_weights_behind_a_drawn_input_train_and_go_back_into_the_graph() -> None:
    executable = hasn.compile(net(), "snntorch")
    executable.module(torch.as_tensor(spikes((3,), 30, batch=2))).sum().backward()
    weight = executable.module.node("more").weight
    assert float(weight.grad.abs().sum()) > 0
    with torch.no_grad():
        weight *= 2
    back = executable.to_nir()
    np.testing.assert_array_equal(back.nodes["more"].weight, 2 * net().nodes["more"].weight)
    np.testing.assert_array_equal(back.nodes["trains"].weight, net().nodes["trains"].weight)


def test_training_asks_for_the_given_inputs_alone() -> None:
    x, labels = spikes((3,), 20, batch=8).astype(np.float32), np.arange(8) % 3
    result = hasn.train(net(), (x, labels), epochs=1, batch_size=4, dt=DT)
    assert np.any(result.graph.nodes["more"].weight != net().nodes["more"].weight)


def test_a_sequential_module_takes_no_drawn_input() -> None:
    from hasn.conversions.snntorch.chain import chain_of
    from hasn.errors import UnsupportedError

    d = Draw(5)
    trains = PoissonInput(np.full(4, 300.0), np.full(4, 0.9), 2)
    only = graph(
        {"trains": trains, "lin": d.linear(3, 4), "lif": d.lif(3), "output": out(3)}, "trains > lin > lif > output"
    )
    with pytest.raises(UnsupportedError, match="one Input"):
        chain_of(hasn.lower(only, dt=DT))
