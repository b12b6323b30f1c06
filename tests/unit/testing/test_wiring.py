"""How a random graph grows, by choices made by hand; and what hypothesis reaches in some hundred of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import nir
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

from hasn.testing import strategies
from hasn.testing.facts import inner, nested
from hasn.testing.strategies import Trial, inputs_for, options, trials
from hasn.testing.structure import structure
from hasn.testing.wiring import KINDS, SHAPES, Part, Wiring
from tests import graphs


def _wiring(*choices: int) -> Wiring:
    """A graph whose choices are these numbers, in order; each must be taken."""
    given_ones = iter((5, *choices))
    made = Wiring(lambda strategy: next(given_ones))  # type: ignore[arg-type,return-value]
    made.left = lambda: list(given_ones)  # type: ignore[attr-defined]
    return made


def _kinds(made: Wiring) -> list[str]:
    return [type(node).__name__ for node in made.nodes.values()]


def test_inputs_of_any_shape() -> None:
    made = _wiring(*[number for k in range(len(SHAPES)) for number in (k, 0)])
    made.inputs(len(SHAPES))
    assert [part.result for part in made.sources] == [part.given for part in made.sources] == list(SHAPES)
    assert [made.nodes[part.name].input_type["input"].tolist() for part in made.sources] == [list(s) for s in SHAPES]
    assert made.parts == []


def test_a_population_behind_a_path() -> None:
    """The last source, no stateless node, depth 0, a LIF; then a second path from the first Input."""
    made = _wiring(0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1)
    made.inputs(2)
    made.population()
    assert made.left() == []  # type: ignore[attr-defined]
    first, second, lif = made.nodes
    assert _kinds(made) == ["Input", "Input", "LIF"]
    assert made.edges == [(second, lif), (first, lif)]
    assert made.parts == [Part(lif, (3,), (3,))] == made.sources[2:]


def test_a_population_in_a_graph_of_its_own_or_two() -> None:
    """Depth 2 (the last of five), each without recurrence and without a path behind it."""
    made = _wiring(0, 0, 0, 1, 4, 0, 0, 0, 0, *(0, 0, 0, 1, 0) * 2, 0, 0)
    made.inputs(1)
    made.population()
    assert made.left() == []  # type: ignore[attr-defined]
    assert _kinds(made) == ["Input", "NIRGraph"]
    assert nested(made.graph()) == 2
    assert sorted(type(node).__name__ for node in inner(made.graph())) == ["Input"] * 3 + ["LIF"] + ["Output"] * 2
    (outer,) = (node for node in made.nodes.values() if isinstance(node, nir.NIRGraph))
    assert outer.edges == [("m0", "m1"), ("m1", "m2")]
    assert made.parts[0].result == (3,)


def test_a_nested_population_may_feed_itself_and_have_a_path_behind_it() -> None:
    made = _wiring(0, 0, 0, 1, 3, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    made.inputs(1)
    made.population()
    assert made.left() == []  # type: ignore[attr-defined]
    (outer,) = (node for node in made.nodes.values() if isinstance(node, nir.NIRGraph))
    kinds = {name: type(node).__name__ for name, node in outer.nodes.items()}
    assert list(kinds.values()) == ["Input", "LIF", "Linear", "Output"]
    _, lif, matrix, output = kinds
    assert (lif, lif) in outer.edges
    assert (lif, matrix) in outer.edges
    assert (matrix, output) in outer.edges
    assert outer.nodes[matrix].weight.shape == (1, 3)
    assert made.parts[0] == Part(made.parts[0].name, (3,), (1,))


def test_feedback_reaches_back_from_the_target_or_what_came_after() -> None:
    made = _wiring(1, 1, 1)
    for name in "abc":
        made.nodes[name] = nir.Scale(np.ones(2))
        made.parts.append(Part(name, (2,), (2,)))
    made.feedback()
    assert made.edges == [("c", "b")]


def test_outputs_of_the_last_population_and_of_others() -> None:
    """The first shows the last source after a Threshold, the second an Input together with the last source."""
    made = _wiring(1, 0, 3, 0, 0, 0, 0, 0, 0, 2, 1, 1, 3, 2)
    made.nodes |= {"i": graphs.inp(2), "n": nir.Scale(np.ones(2))}
    made.sources = [Part("i", (2,), (2,)), Part("n", (2,), (2,))]
    made.outputs(2)
    assert made.left() == []  # type: ignore[attr-defined]
    assert _kinds(made) == ["Input", "Scale", "Threshold", "Output", "Output", "Output"]
    _, _, threshold, first, second, alone = made.nodes
    assert made.edges == [("n", threshold), (threshold, first), ("i", second), ("n", second)]
    assert made.nodes[alone].output_type["output"].tolist() == [2]


def _fixed(function: Any) -> Any:
    """The same examples every time, none shrunk."""
    rules = {"deadline": None, "derandomize": True, "database": None, "phases": [Phase.generate]}
    return settings(max_examples=150, suppress_health_check=list(HealthCheck), **rules)(function)  # type: ignore[arg-type]


def test_some_hundred_trials_reach_everything() -> None:
    seen: Counter[str] = Counter()

    @_fixed
    @given(trials())
    def look(trial: Trial) -> None:
        graph = trial.graph
        found = structure(graph, "synchronous")
        tops = [type(node).__name__ for node in graph.nodes.values()]
        populations = [n for n in inner(graph) if type(n).__name__ in KINDS and not isinstance(n, nir.Threshold)]
        seen.update({type(node).__name__ for node in inner(graph)})
        seen[f"{tops.count('Input')} inputs"] += 1
        seen[f"{tops.count('Output')} outputs"] += 1
        seen[f"deep {nested(graph)}"] += 1
        seen["late"] += bool(found.late)
        seen["v_init"] += any((node.metadata or {}).get("v_init") is not None for node in populations)
        seen["reset"] += any((node.metadata or {}).get("reset") is not None for node in populations)
        seen["refractory"] += any((node.metadata or {}).get("refractory") is not None for node in populations)
        seen[f"batched {trial.batched}"] += 1
        assert 1 <= trial.steps <= strategies.MOST_STEPS
        seen["one step"] += trial.steps == 1
        seen["graded"] += any(not np.isin(x, (0, 1)).all() for x in trial.inputs.values())
        assert set(trial.inputs) == set(found.inputs)
        for name, value in trial.inputs.items():
            assert value.shape[1 + trial.batched :] == tuple(graph.nodes[name].input_type["input"])
            assert len(value) == trial.steps
            if trial.batched:
                assert value.shape[1] in (1, 3)
                seen[f"batch {value.shape[1]}"] += 1
        for key, value in trial.options.items():
            seen[f"{key} {value}"] += 1

    look()
    wanted = {*KINDS, "Affine", "Linear", "Scale", "Delay", "Flatten", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d"}
    wanted |= {"1 inputs", "2 inputs", "1 outputs", "2 outputs", "3 outputs", "deep 0", "deep 1", "deep 2", "late"}
    wanted |= {
        "v_init",
        "reset",
        "refractory",
        "batched True",
        "batched False",
        "batch 1",
        "batch 3",
        "graded",
        "one step",
    }
    wanted |= {"dt 0.001", "dt 0.0005", "method euler", "method exact", "reset zero", "reset subtract",
               "timing synchronous", "timing hardware"}  # fmt: skip
    assert wanted - {name for name, count in seen.items() if count} == set()
    assert {name for name in seen if name.endswith("inputs")} == {"1 inputs", "2 inputs"}
    assert {name for name in seen if name.startswith("deep")} == {"deep 0", "deep 1", "deep 2"}


def test_inputs_follow_their_rate() -> None:
    """Spikes of one of three rates, or numbers around it with a deviation of 1; each Input's are its own."""
    nodes = {"b": graphs.inp(300), "a": graphs.inp(30, 10), "o": graphs.out(300)}
    graph = graphs.graph(nodes, "b > o")
    rates: dict[bool, set[float]] = {False: set(), True: set()}

    @_fixed
    @given(inputs_for(graph))
    def look(found: dict[str, Any]) -> None:
        assert list(found) == ["a", "b"]
        assert not np.array_equal(found["a"].reshape(-1), found["b"].reshape(-1))
        graded = not np.isin(found["b"], (0, 1)).all()
        if found["b"].size < 3000:
            return
        if graded:  # 3,000 numbers: deviations of 0.018 and 0.013
            assert abs(found["b"].std() - 1) < 0.07
        rate = min((0.1, 0.5, 0.9), key=lambda r: abs(r - found["b"].mean()))
        assert abs(found["b"].mean() - rate) < 0.1
        rates[graded].add(rate)

    look()
    assert rates == {False: {0.1, 0.5, 0.9}, True: {0.1, 0.5, 0.9}}


def test_options_are_those_of_compile() -> None:
    seen: set[tuple[str, Any]] = set()

    @_fixed
    @given(options())
    def look(found: dict[str, Any]) -> None:
        seen.update(found.items())

    look()
    assert seen == {
        ("dt", 1e-3), ("dt", 5e-4), ("method", "euler"), ("method", "exact"), ("reset", "zero"), ("reset", "subtract"),
        ("timing", "synchronous"), ("timing", "hardware"),
    }  # fmt: skip
