"""Retiming: shifts that give every projection its latency, as small as can be, or the cycle that forbids it."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from scipy.optimize import linprog

import hasn
from hasn.errors import RetimingError
from hasn.program.fuse import Network, fuse
from hasn.program.model import Source
from hasn.program.retime import retime
from hasn.testing.cases import CASES
from tests.graphs import DT, Draw, chain, graph, inp, out

D = Draw(9)


def network(net: nir.NIRGraph, **options: str) -> Network:
    return fuse(hasn.lower(net, dt=DT, **options))


def loop(*delays: float) -> nir.NIRGraph:
    """a -> b -> c -> a, with a Delay of so many steps behind each."""
    nodes: dict[str, nir.NIRNode] = {"i": inp(3), "o": out(3)}
    path = "i"
    for name, delay in zip("abc", delays, strict=False):
        nodes |= {name: D.lif(3), f"w{name}": D.linear(3, 3), f"z{name}": nir.Delay(np.full(3, delay * DT))}
        path += f" > {name} > w{name} > z{name}"
    return graph(nodes, path + " > a", "a > o")


def test_layers_run_one_step_after_the_other() -> None:
    found = retime(
        network(chain(D.lif(3), D.linear(4, 3), D.lif(4), D.linear(2, 4), D.lif(2), given=(3,), result=(2,)))
    )
    assert found.shifts == {"input": 0, "n1": 1, "n3": 2, "n5": 3}
    assert found.extra == (0, 0, 0)
    assert found.longest == 3


def test_a_skip_waits_for_the_long_way() -> None:
    net = CASES["skips_of_unequal_depth"].graph()
    fused = network(net)
    found = retime(fused)
    extra = {(p.source, p.target): more for p, more in zip(fused.projections, found.extra, strict=True)}
    assert extra == {("input", "n1"): 0, ("n1", "n2"): 0, ("n2", "n3"): 0, ("input", "n3"): 2, ("n1", "n3"): 1}


def test_an_input_is_fed_as_late_as_its_targets_allow() -> None:
    nodes = {
        "early": inp(3),
        "late": inp(3),
        "a": D.lif(3),
        "wa": D.linear(3, 3),
        "b": D.lif(3),
        "wl": D.linear(3, 3),
        "o": out(3),
    }
    assert retime(network(graph(nodes, "early > a > wa > b > o", "late > wl > b"))).shifts == {
        "early": 0,
        "late": 1,
        "a": 1,
        "b": 2,
    }


def least_shifts(fused: Network, latency: int) -> dict[str, int] | None:
    """By linear programming: the least of all shifts, then Inputs as late as their targets allow; None: there is none.

    The constraints are differences, so that the solution is whole numbers.
    """
    place = {name: i for i, name in enumerate(fused.by_name)}
    rows, room = np.zeros((len(fused.projections), len(place))), []
    for row, p in zip(rows, fused.projections, strict=True):
        row[place[p.source]] += 1
        row[place[p.target]] -= 1
        room.append(p.delay - latency)
    least = linprog(np.ones(len(place)), A_ub=rows, b_ub=room)
    if not least.success:
        return None
    inputs = [isinstance(population, Source) and fused.out_of(name) != [] for name, population in fused.by_name.items()]
    bounds = [(0, None) if free else (shift, shift) for free, shift in zip(inputs, least.x, strict=True)]
    late = linprog(-np.array(inputs, dtype=float), A_ub=rows, b_ub=room, bounds=bounds)
    return {name: round(late.x[i]) for name, i in place.items()}


@pytest.mark.parametrize("latency", [1, 2, 5])
@pytest.mark.parametrize("name", CASES)
def test_every_projection_gets_its_latency_with_the_least_shifts(name: str, latency: int) -> None:
    """As a linear program has it, w + s(v) - s(u) = latency + extra; without a solution, a cycle is named."""
    fused = network(CASES[name].graph())
    wanted = least_shifts(fused, latency)
    if wanted is None:
        with pytest.raises(RetimingError, match=r"the cycle .* -> .* has \d+ step"):
            retime(fused, latency)
        return
    found = retime(fused, latency)
    assert found.shifts == wanted
    for projection, extra in zip(fused.projections, found.extra, strict=True):
        gap = projection.delay + found.shifts[projection.target] - found.shifts[projection.source]
        assert gap == latency + extra
        assert extra >= 0


@pytest.mark.parametrize(
    "name",
    ["recurrence_by_a_bare_edge", "recurrence_through_biased_affine", "long_feedback_with_delay", "spiking_conv_net"],
)
def test_a_loop_with_a_step_for_each_connection_can_be_retimed(name: str) -> None:
    assert retime(network(CASES[name].graph())).longest >= 1


def test_the_loop_that_cannot_is_named_with_the_steps_it_lacks() -> None:
    with pytest.raises(RetimingError) as caught:
        retime(network(CASES["two_populations_in_a_loop"].graph()))
    assert set(caught.value.message.split(" has ")[0].removeprefix("the cycle ").split(" -> ")) == {"exc", "inh"}
    assert "1 step(s) of delay and its connections take 2" in str(caught.value)
    assert "wanted 2, so 1 more" in str(caught.value)
    assert "nir.Delay" in str(caught.value)
    assert "timing='hardware'" in str(caught.value)


@pytest.mark.parametrize(("delays", "latency", "lacking"), [((0, 0, 0), 1, 2), ((0, 1, 0), 1, 1), ((1, 0, 0), 2, 4)])
def test_three_in_a_loop(delays: tuple[int, ...], latency: int, lacking: int) -> None:
    """Own steps: the delays and one for the feedback edge; wanted: latency times three."""
    with pytest.raises(RetimingError, match=f"so {lacking} more"):
        retime(network(loop(*delays)), latency)


@pytest.mark.parametrize(
    ("delays", "latency", "shifts", "extra"),
    [
        # i > a, a > b, b > c, and c > a, which has the feedback edge's step besides its delay.
        ((1, 1, 0), 1, (0, 1, 1, 1), (0, 0, 0, 0)),
        ((2, 0, 0), 1, (0, 1, 0, 1), (0, 0, 0, 0)),
        ((0, 0, 2), 1, (0, 1, 2, 3), (0, 0, 0, 0)),
        ((2, 2, 1), 2, (0, 2, 2, 2), (0, 0, 0, 0)),
        # More than the loop's connections take: what is over becomes delay where nothing needs to run later.
        ((3, 1, 0), 1, (0, 1, 0, 0), (0, 1, 0, 1)),
        ((0, 0, 5), 1, (0, 1, 2, 3), (0, 0, 0, 3)),
        ((1, 1, 4), 2, (0, 2, 3, 4), (0, 0, 0, 1)),
    ],
)
def test_delays_that_suffice(
    delays: tuple[int, ...], latency: int, shifts: tuple[int, ...], extra: tuple[int, ...]
) -> None:
    """By hand: a population runs as late as the latest of what must reach it, and no later."""
    fused = network(loop(*delays))
    found = retime(fused, latency)
    assert found.shifts == dict(zip("iabc", shifts, strict=True))
    by_pair = {(p.source, p.target): more for p, more in zip(fused.projections, found.extra, strict=True)}
    pairs = [("i", "a"), ("a", "b"), ("b", "c"), ("c", "a")]
    assert by_pair == dict(zip(pairs, extra, strict=True))
    assert (found.latency, found.longest) == (latency, max(shifts))


@pytest.mark.parametrize(
    "name", ["two_populations_in_a_loop", "three_populations_two_loops", "recurrence_through_linear"]
)
def test_in_hardware_time_nothing_needs_a_shift(name: str) -> None:
    found = retime(network(CASES[name].graph(), timing="hardware"))
    assert set(found.shifts.values()) == {0}
    assert set(found.extra) == {0}
