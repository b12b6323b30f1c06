"""Controllers between the steps of a run: cut is uncut, changes act from their step on, states fit or are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.control import Action, run
from hasn.errors import GraphError, OptionError, UnsupportedError
from hasn.ir.typed import copy_graph
from hasn.nodes import SparseLinear
from hasn.plasticity import STDP, RewardSTDP, attach, detach
from hasn.testing.cases.learning import CASES

DT = 1e-3
TWO = ("snntorch", "brian2")


def idle(graph: nir.NIRGraph, recording: hasn.Recording, step: int) -> None:
    """Changes nothing."""


@dataclass
class Told:
    """A controller that does ``what``, and keeps what it was shown."""

    every: int
    what: Callable[[nir.NIRGraph, hasn.Recording, int], Any] = idle
    record: Any = ("spikes",)
    seen: list[tuple[nir.NIRGraph, hasn.Recording, int]] = field(default_factory=list)

    def __call__(self, graph: nir.NIRGraph, recording: hasn.Recording, step: int) -> Any:
        self.seen.append((copy_graph(graph), recording, step))
        return self.what(graph, recording, step)


def touched(graph: nir.NIRGraph, recording: hasn.Recording, step: int) -> nir.NIRGraph:
    """The same network, but another graph."""
    graph.nodes["cells"].metadata["note"] = graph.nodes["cells"].metadata.get("note", 0) + 1
    return graph


def set_to(**values: Any) -> Callable[..., nir.NIRGraph]:
    """A controller's function that sets ``node__parameter``."""

    def changed(graph: nir.NIRGraph, recording: hasn.Recording, step: int) -> nir.NIRGraph:
        for name, value in values.items():
            node, parameter = name.split("__")
            setattr(graph.nodes[node], parameter, np.asarray(value))
        return graph

    return changed


def relay(weight: Any = ((1.0,),), threshold: float = 0.5) -> nir.NIRGraph:
    """A spike of weight 1 makes one at once: tau = dt, R = 1."""
    return chain(nir.Linear(np.array(weight, dtype=float)), threshold)


def chain(connection: Any, threshold: float = 0.5) -> nir.NIRGraph:
    """input -> fc -> cells, whose v is what arrives in the step."""
    n, inputs = connection.shape if isinstance(connection, SparseLinear) else connection.weight.shape
    cells = nir.LIF(np.full(n, DT), np.ones(n), np.zeros(n), np.full(n, threshold), np.zeros(n))
    nodes = {
        "input": nir.Input(np.array([inputs])),
        "fc": connection,
        "cells": cells,
        "output": nir.Output(np.array([n])),
    }
    edges = [("input", "fc"), ("fc", "cells"), ("cells", "output")]
    return nir.NIRGraph(nodes, edges, metadata={"dt": DT})


@pytest.mark.parametrize("what", [idle, touched])
@pytest.mark.parametrize(
    ("backend", "name"),
    [("snntorch", "pair-delays"), ("snntorch", "two-layers"), ("brian2", "pair-delays"), ("brian2", "reward-sparse"),
     ("lava", "pair-delays")],
)  # fmt: skip
def test_cut_is_uncut(backend: str, name: str, what: Any) -> None:
    """Whether the network goes on or is compiled anew: all that is recorded, counts, and the state.

    Bit for bit, but where synapses' own traces decay by all the steps since something happened: a cut makes two
    factors of one, 1e-16 apart.
    """
    case, rounding = CASES[name], 1e-13 if name == "pair-delays" and backend != "lava" else 0.0
    inputs, given = case.inputs(), case.given() or None
    inputs, given = ({k: v[:150] for k, v in (of or {}).items()} for of in (inputs, given))
    record = ("spikes", "voltages", "weights")
    with hasn.compile(case.graph(), backend) as executable:
        want = executable.run(inputs, record=record, modulators=given, keep_state=True)
        end, weights = executable.state(), {node: executable.weights(node) for node in executable.program.learning}
    told = Told(40, what), Told(60, what, "voltages")
    found = run(case.graph(), inputs, told, backend, record=record, modulators=given)
    for group in ("outputs", "spikes", "voltages", "weights"):
        assert set(found.recording.series[group]) == set(want.series[group]), group
        for node, array in want.series[group].items():
            within = 0.0 if group in ("outputs", "spikes") else rounding
            got = found.recording.series[group][node]
            np.testing.assert_allclose(got, array, rtol=within, atol=within, err_msg=f"{group} {node}")
    for name in ("spikes", "events", "neuron_updates", "steps", "samples", "unknown", "counted"):
        assert getattr(found.recording.counts, name) == getattr(want.counts, name), name
    assert found.recording.counts.connections == want.counts.connections
    assert found.recording.counts.synaptic_operations == want.counts.synaptic_operations
    assert (found.recording.steps, found.recording.batched) == (150, want.batched)
    assert found.state.step == 150
    for one, two in (
        (found.state.states, end.states),
        (found.state.learned, end.learned),
        ({"": found.state.past}, {"": end.past}),
    ):
        assert {k: set(v) for k, v in one.items()} == {k: set(v) for k, v in two.items()}
        for node, kept in two.items():
            for key, array in kept.items():
                np.testing.assert_allclose(one[node][key], array, rtol=rounding, atol=rounding)
    assert want.counts.total_spikes > 10
    assert [(a.step, bool(a.changed)) for a in found.log] == [(s, what is touched) for s in (40, 60, 80, 120, 120)]
    assert [step for *_, step in told[0].seen] == [40, 80, 120]
    assert [piece.steps for _, piece, _ in told[1].seen] == [60, 60]
    for node, learned in weights.items():
        kept = found.graph.nodes[node]
        got = kept.data if isinstance(kept, SparseLinear) else kept.weight
        np.testing.assert_allclose(got, learned, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("backend", TWO)
def test_a_change_acts_from_its_step_on(backend: str) -> None:
    """Each step's input of 1 makes a spike, until the threshold is 2 from step 3 on."""
    told = Told(3, set_to(cells__v_threshold=[2.0]))
    found = run(relay(), np.ones((6, 1)), [told], backend)
    assert found.recording.spikes["cells"][:, 0].tolist() == [True] * 3 + [False] * 3
    assert found.log == (Action(3, "Told", ("cells.v_threshold",)), Action(6, "Told", ()))
    assert found.graph.nodes["cells"].v_threshold == 2.0
    assert [piece.spikes["cells"].sum() for _, piece, _ in told.seen] == [3, 0]
    assert [float(graph.nodes["cells"].v_threshold[0]) for graph, *_ in told.seen] == [0.5, 2.0]


def test_controllers_of_one_step_follow_each_other() -> None:
    """The second sees what the first has done, in the order in which they are given."""
    first, second = Told(2, set_to(cells__v_threshold=[0.75])), Told(2, set_to(cells__v_threshold=[0.25]))
    found = run(relay(), np.ones((3, 1)), [first, second])
    assert second.seen[0][0].nodes["cells"].v_threshold == 0.75
    assert found.graph.nodes["cells"].v_threshold == 0.25


def test_calls_follow_the_number_of_the_step() -> None:
    """Two runs of 5 and 7 steps are one of 12: every fourth step of both together."""
    inputs = np.ones((12, 1))

    def lower(graph: nir.NIRGraph, recording: hasn.Recording, step: int) -> nir.NIRGraph:
        graph.nodes["fc"].weight = graph.nodes["fc"].weight * 0.8  # 1, .8, .64, .512, .41: above 0.5 for four pieces
        return graph

    whole = run(relay(), inputs, [Told(3, lower)])
    half = run(relay(), inputs[:5], [Told(3, lower)])
    rest = run(half.graph, inputs[5:], [Told(3, lower)], state=half.state)
    assert [a.step for a in whole.log] == [a.step for a in (*half.log, *rest.log)] == [3, 6, 9, 12]
    both = [*half.recording.spikes["cells"][:, 0], *rest.recording.spikes["cells"][:, 0]]
    assert both == whole.recording.spikes["cells"][:, 0].tolist() == [True] * 12
    assert rest.graph.nodes["fc"].weight == whole.graph.nodes["fc"].weight == pytest.approx(0.8**4)


@pytest.mark.parametrize("backend", TWO)
def test_weights_that_a_controller_sets_are_learned_on(backend: str) -> None:
    """Pair STDP without a minus: the target spikes one step behind the source each time, so each pair adds the same."""
    graph = attach(relay([[0.0]], threshold=0.5), "fc", STDP(0.1, 0.0, tau_plus=10e-3))
    graph.nodes["drive"] = nir.Linear(np.array([[1.0]]))
    graph.nodes["clock"] = nir.Input(np.array([1]))
    graph.edges += [("clock", "drive"), ("drive", "cells")]
    spikes = np.zeros((40, 1))
    spikes[[5, 25]] = 1
    told = Told(20, set_to(fc__weight=[[7.0]]))
    found = run(graph, {"input": spikes * 0.1, "clock": np.roll(spikes, 1, axis=0)}, [told], backend, record="weights")
    once = 0.1 * 0.1 * np.exp(-0.1)  # a_plus, the input's 0.1, one step of 10
    course = found.recording.series["weights"]["fc"][:, 0, 0]
    assert course[[4, 19]] == pytest.approx([0.0, once], rel=1e-12)
    # the weight of 7 lets the target spike with the second input, 20 steps behind the first, and again one step later
    more = 0.1 * 0.1 * (np.exp(-2.0) + np.exp(-2.1))
    assert course[[20, 39]] == pytest.approx([7.0, 7.0 + once + more], rel=1e-12)


@pytest.mark.parametrize("backend", TWO)
def test_synapses_in_another_order_are_the_same(backend: str) -> None:
    """Weights and traces go with their synapse, which has a delay of its own: eligibilities, rewards and all."""
    name = "reward-sparse"
    case = CASES[name]
    graph = case.graph()
    inputs, given = (
        {k: v[:120, :1] if v.ndim > 2 else v[:120] for k, v in of.items()} for of in (case.inputs(), case.given())
    )
    plain = run(graph, inputs, [], backend, modulators=given)

    def shuffled(graph: nir.NIRGraph, recording: hasn.Recording, step: int) -> nir.NIRGraph:
        node = graph.nodes["plastic"]
        order = np.concatenate([np.arange(b, e)[::-1] for b, e in zip(node.indptr[:-1], node.indptr[1:], strict=True)])
        node.data, node.indices = node.data[order], node.indices[order]
        node.delay = None if node.delay is None else node.delay[order]
        return graph

    found = run(graph, inputs, [Told(50, shuffled)], backend, modulators=given)
    np.testing.assert_array_equal(found.recording.spikes["cells"], plain.recording.spikes["cells"])
    one, two = found.graph.nodes["plastic"].weight, plain.graph.nodes["plastic"].weight
    assert np.ptp(two.data - graph.nodes["plastic"].data) > 1e-3  # it learns
    np.testing.assert_allclose(one.toarray(), two.toarray(), rtol=0, atol=1e-12)  # sums in another order


@pytest.mark.parametrize("backend", TWO)
@pytest.mark.parametrize(("first", "second", "spikes"), [(1, 3, [2, 5]), (3, 1, [3]), (0, 2, [1, 2])])
def test_a_delay_that_changes(backend: str, first: int, second: int, spikes: list[int]) -> None:
    """Inputs at steps 1 and 2, a change before step 3. What is remembered goes as far back as the old delay.

    1 to 3: 1 has arrived at 2; 2 is remembered and arrives at 5; 1 would come again at 4 and is forgotten.
    3 to 1: 2 arrives at 3. 0 to 2: nothing is remembered.
    """
    from scipy.sparse import csr_array

    given = np.zeros((8, 1))
    given[[1, 2]] = 1
    graph = chain(SparseLinear(csr_array(np.array([[1.0]])), delay=np.array([first])))
    found = run(graph, given, [Told(3, set_to(fc__delay=[second]))], backend)
    assert np.flatnonzero(found.recording.spikes["cells"][:, 0]).tolist() == spikes


def test_operations_are_those_of_the_network_of_the_time() -> None:
    """An event a step: one synapse for 3 steps, two for the next 3."""
    found = run(relay([[1.0], [0.0]]), np.ones((6, 1)), [Told(3, set_to(fc__weight=[[1.0], [1.0]]))])
    counts = found.recording.counts
    assert (counts.synaptic_operations["input"], counts.events["input"]) == (3 * 1 + 3 * 2, 6)
    assert (counts.connections["fc"].synapses, counts.connections["fc"].dense) == (2, 3 * 1 + 3 * 2)
    assert (counts.spikes["cells"], counts.neuron_updates["cells"]) == (3 + 6, 12)
    assert (counts.steps, counts.samples, counts.counted, counts.unknown) == (6, 1, True, ())


def test_events_under_way_are_counted_behind_a_change() -> None:
    """Inputs at 1 and 2 reach ``first`` two steps later, behind a change at 3: from there 2 events at 2 synapses."""
    graph = relay([[1.0], [1.0]])
    graph.nodes |= {"late": nir.Delay(np.array([2 * DT])), "first": nir.Linear(np.array([[1.0]]))}
    graph.edges = [("input", "late"), ("late", "first"), ("first", "fc"), ("fc", "cells"), ("cells", "output")]
    x = np.zeros((8, 1))
    x[[1, 2]] = 1
    found = run(graph, x, [Told(3, touched)])
    assert np.flatnonzero(found.recording.spikes["cells"][:, 0]).tolist() == [3, 4]
    assert found.recording.counts.synaptic_operations == {"input": 2, "first": 4}


def test_counts_of_chosen_nodes_alone() -> None:
    """Spikes of one of two populations: as in a run without controllers the others are not known."""
    graph = relay()
    graph.nodes |= {"second": nir.Linear(np.array([[1.0]])), "others": copy_graph(graph).nodes["cells"]}
    graph.edges = [("input", "fc"), ("fc", "cells"), ("cells", "second"), ("second", "others"), ("others", "output")]
    counts = run(graph, np.ones((5, 1)), [Told(2, touched)], record={"spikes": ["cells"]}).recording.counts
    assert (counts.spikes, counts.unknown, counts.counted, counts.steps) == ({"cells": 5}, ("others",), False, 5)


def test_what_is_thinned_goes_on_over_the_pieces() -> None:
    graph, inputs = relay(threshold=9.0), np.arange(10.0)[:, np.newaxis]
    found = run(graph, inputs, [Told(3, touched)], record="voltages", every=4)
    assert found.recording.voltages["cells"][:, 0].tolist() == [0.0, 4.0, 8.0]
    assert found.recording.recorded_steps.tolist() == [0, 4, 8]


def test_samples_without_learning() -> None:
    inputs = np.array([[[1.0], [0.0]]] * 4)
    found = run(relay(), inputs, [Told(2, set_to(cells__v_threshold=[2.0]))])
    assert found.recording.spikes["cells"][..., 0].tolist() == [[True, False]] * 2 + [[False, False]] * 2


def test_a_file_keeps_the_run(tmp_path: Path) -> None:
    found = run(relay(), np.ones((5, 1)), [Told(2, touched)], to=tmp_path / "run.npz")
    assert hasn.Recording.load(tmp_path / "run.npz").spikes["cells"].sum() == found.recording.spikes["cells"].sum() == 5


def test_progress() -> None:
    seen: list[tuple[int, int]] = []
    run(relay(), np.ones((5, 1)), [Told(2)], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_the_page_is_true() -> None:
    """docs/control.md runs, and its homeostasis holds 5 % of the steps to within a tenth."""
    page = (Path(__file__).parents[2] / "docs/control.md").read_text(encoding="utf8")
    found: dict[str, Any] = {}
    exec("".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), found)
    assert found["found"].recording.spikes["cells"][-500:].mean() == pytest.approx(0.05, rel=0.1)
    assert found["found"].log[0] == Action(100, "Homeostasis", ("cells.v_threshold",))


# --- what is refused


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_no_number_of_steps(every: Any) -> None:
    with pytest.raises(OptionError, match="Told: every: no number of steps"):
        run(relay(), np.ones((2, 1)), [Told(every)])


@pytest.mark.parametrize("controller", [idle, 3, "no", Told])
def test_no_controller(controller: Any) -> None:
    with pytest.raises(OptionError, match="not a controller"):
        run(relay(), np.ones((2, 1)), [controller])


def other_size(graph: nir.NIRGraph) -> nir.NIRGraph:
    return relay([[1.0], [1.0]])


def renamed(graph: nir.NIRGraph) -> nir.NIRGraph:
    graph.nodes["neurons"] = graph.nodes.pop("cells")
    graph.edges = [("input", "fc"), ("fc", "neurons"), ("neurons", "output")]
    return graph


def with_current(graph: nir.NIRGraph) -> nir.NIRGraph:
    one = np.ones(1)
    graph.nodes["cells"] = nir.CubaLIF(one * DT, one * DT, one, one * 0.0, one * 0.5, one * 0.0)
    return graph


def more_inputs(graph: nir.NIRGraph) -> nir.NIRGraph:
    graph.nodes["input"] = nir.Input(np.array([2]))
    graph.nodes["fc"].weight = np.ones((1, 2))
    return graph


@pytest.mark.parametrize(
    ("made", "node"),
    [(other_size, "output"), (renamed, "cells"), (with_current, "cells"), (more_inputs, "input")],
)
def test_other_populations_have_no_state(made: Callable[[nir.NIRGraph], nir.NIRGraph], node: str) -> None:
    with pytest.raises(GraphError, match="only in the same populations") as caught:
        run(relay(), np.ones((4, 1)), [Told(2, lambda graph, recording, step: made(graph))])
    assert caught.value.node in (node, "cells")
    assert "Told gave back before step 2" in "".join(caught.value.__notes__)


def test_another_dt_is_another_network() -> None:
    def slower(graph: nir.NIRGraph, recording: hasn.Recording, step: int) -> nir.NIRGraph:
        graph.metadata["dt"] = 2e-3
        return graph

    with pytest.raises(hasn.HasnError, match="dt"):
        run(relay(), np.ones((4, 1)), [Told(2, slower)])


def test_a_graph_that_is_not_one() -> None:
    def broken(graph: nir.NIRGraph, recording: hasn.Recording, step: int) -> nir.NIRGraph:
        graph.nodes["cells"].tau = graph.nodes["cells"].tau * -1
        return graph

    with pytest.raises(hasn.HasnError, match="tau") as caught:
        run(relay(), np.ones((4, 1)), [Told(2, broken)])
    assert "before step 2" in "".join(caught.value.__notes__)
    with pytest.raises(OptionError, match="gave back no graph; got int"):
        run(relay(), np.ones((4, 1)), [Told(2, lambda graph, recording, step: 5)])


def test_a_change_that_is_not_given_back() -> None:
    """It would be lost in silence."""

    def forgetful(graph: nir.NIRGraph, recording: hasn.Recording, step: int) -> None:
        graph.nodes["fc"].weight *= 2

    with pytest.raises(OptionError, match=r"did not give it back; got fc\.weight"):
        run(relay(), np.ones((4, 1)), [Told(2, forgetful)])


def test_samples_with_weights_of_their_own() -> None:
    case = CASES["pair-batch"] if "pair-batch" in CASES else CASES["pair-delays-batch"]
    with pytest.raises(OptionError, match="each sample learns weights of its own"):
        run(case.graph(), case.inputs(), [Told(2)], modulators=case.given() or None)


def test_weights_of_other_synapses_are_no_course() -> None:
    from scipy.sparse import csr_array

    graph = attach(chain(SparseLinear(csr_array(np.array([[1.0, 0.0]])))), "fc", STDP())

    def moved(graph: nir.NIRGraph, recording: hasn.Recording, step: int) -> nir.NIRGraph:
        graph.nodes["fc"].indices = np.array([1])
        return graph

    with pytest.raises(OptionError, match="no one course"):
        run(graph, np.ones((4, 2)), [Told(2, moved)], record="weights")
    assert run(graph, np.ones((4, 2)), [Told(2, moved)]).graph.nodes["fc"].indices.tolist() == [1]


def test_a_rule_that_comes_and_goes() -> None:
    """Traces of a rule that was not there begin at 0; those of one that is gone are gone."""

    def learns(graph: nir.NIRGraph, recording: hasn.Recording, step: int) -> nir.NIRGraph:
        return attach(graph, "fc", STDP(0.1, 0.0)) if step == 2 else detach(graph, "fc")

    found = run(relay(), np.ones((6, 1)), [Told(2, lambda g, r, s: learns(g, r, s) if s < 6 else None)])
    # spikes at 2 and 3 of both sides: at 3 the source's of 2 has decayed by one step of 20
    assert found.graph.nodes["fc"].weight[0, 0] == pytest.approx(1 + 0.1 * np.exp(-1 / 20), rel=1e-12)
    assert found.state.learned == {}


def test_a_program_without_state() -> None:
    with pytest.raises(UnsupportedError, match="standalone"):
        run(relay(), np.ones((4, 1)), [Told(2)], "brian2", target="cpp_standalone")


def test_a_modulator_that_goes() -> None:
    graph = attach(relay(), "fc", RewardSTDP())
    with pytest.raises(GraphError, match="node 'reward'"):
        run(graph, np.ones((4, 1)), [Told(2, lambda g, r, s: detach(g, "fc"))], modulators={"reward": np.ones(4)})


def test_only_graphs() -> None:
    with pytest.raises(OptionError, match="controllers change a NIR graph"):
        run(hasn.lower(relay()), np.ones((2, 1)), [])
