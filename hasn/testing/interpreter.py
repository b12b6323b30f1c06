"""Two tiny executors, in plain NumPy, that run what hasn.program makes: they judge lowering and fusing by themselves.

``ProgramInterpreter`` follows a Program step by step; ``NetworkInterpreter`` the composed Network of populations and
sparse projections. Both are whole Executables, so they also exercise the base class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.errors import UnsupportedError
from hasn.executable import Executable, Raw
from hasn.program.fuse import bias_vector
from hasn.program.model import Connection, Neurons, Program, Threshold
from hasn.program.past import lag, needed
from hasn.program.simulate import Simulated
from hasn.signals import Signals
from hasn.state import Snapshot

Array = NDArray[Any]


class Interpreter(Executable):
    """Keeps, for every node, all values that it has sent since step ``first``; ``now`` is step t."""

    def __init__(self, program: Program) -> None:
        super().__init__(program, "float64")
        if program.learning:
            raise UnsupportedError("connections do not learn here", node=next(iter(program.learning)))
        self.populations: dict[str, Simulated] = {}
        self.sent: dict[str, list[Array]] = {}
        self.now = self.first = 0
        self.samples = 0

    def advance(self, inputs: dict[str, Array]) -> None:
        """One step of every node."""
        raise NotImplementedError

    def outputs(self) -> dict[str, Array]:
        """Output node -> its last value (batch, *shape)."""
        raise NotImplementedError

    def delayed(self, name: str, steps: int) -> Array | float:
        """What ``name`` sent some steps ago, flat (batch, elements); 0 before the start, and where nobody knows."""
        at = self.now - steps - self.first
        return self.sent[name][at].reshape(self.samples, -1) if at >= 0 else 0.0

    def evaluate(self, step: Any, total: Array, inputs: dict[str, Array]) -> Array:
        """The value (batch, *shape) of a Source, a population, a Threshold or a sum; ``total`` is what arrives."""
        x = total.reshape(self.samples, *step.shape)
        if step.name in inputs:
            return inputs[step.name]
        if isinstance(step, Threshold):
            return (x > step.threshold).astype(float)
        return self.populations[step.name].step(x) if isinstance(step, Neurons) else x

    # --- the Executable

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        other = type(self)(self.program)
        other._start_stream(given.batch)
        if given.start is not None:
            other._load_state(given.start)
        frames: list[tuple[dict[str, Array], dict[str, Array], dict[str, Array]]] = []
        for t in range(given.steps):
            outputs = other._step({name: array[t] for name, array in given.values.items()})
            spikes = {name: other.sent[name][-1] for name in self.program.recorded_spikes}
            voltages = {name: other.populations[name].states["v"] for name in self.program.recorded_voltages}
            frames.append((outputs, spikes, voltages))
        done = [{name: np.stack([frame[k][name] for frame in frames]) for name in frames[0][k]} for k in range(3)]
        end = other._state() if given.keep else None
        return Raw(done[0], done[1] if "spikes" in record else {}, done[2] if "voltages" in record else {}, end=end)

    def _start_stream(self, batch: int) -> None:
        self.samples, self.now, self.first = batch, 0, 0
        self.populations = {node.name: Simulated(node, (batch,)) for node in self.program.of(Neurons)}
        self.sent = {name: [] for name in {**self.program.by_name, **self.network.by_name}}

    def _step(self, inputs: dict[str, Array]) -> dict[str, Array]:
        self.advance(inputs)
        self.now += 1
        return self.outputs()

    def _end_stream(self) -> None:
        self.populations, self.sent = {}, {}

    def _state(self) -> Snapshot:
        def ago(name: str, steps: int) -> Array:
            silence = np.zeros((self.samples, *self.program.node(name).shape))
            sent = self.delayed(name, steps)
            return silence + (sent if isinstance(sent, float) else sent.reshape(silence.shape))

        return Snapshot(
            self.now,
            {name: {state: x.copy() for state, x in p.states.items()} for name, p in self.populations.items()},
            {name: p.left.copy() for name, p in self.populations.items() if p.spec.held is not None},
            {name: np.stack([ago(name, age) for age in range(d, 0, -1)]) for name, d in self.memory.items()},
        )

    def _load_state(self, state: Snapshot) -> None:
        for name, population in self.populations.items():
            population.states = {key: np.array(x, dtype=float) for key, x in state.states[name].items()}
            if name in state.held:
                population.left = np.array(state.held[name])
        self.first = max(0, state.step - self.window)
        for step in range(self.first, state.step):
            self.now, age = step, state.step - step
            self.recall({name: past[-age] if age <= len(past) else 0.0 * past[0] for name, past in state.past.items()})
        self.now = state.step

    @property
    def window(self) -> int:
        """Steps of the past that are gone through when a state is loaded."""
        return max(self.memory.values(), default=0)

    def recall(self, known: dict[str, Array]) -> None:
        """One step of the past: the values that a state holds."""
        for name, values in self.sent.items():
            values.append(np.asarray(known.get(name, np.zeros((self.samples, 1)))))


class ProgramInterpreter(Interpreter):
    """Steps in order, edges with delays, one sparse matrix for each Connection."""

    backend = "program"

    def advance(self, inputs: dict[str, Array]) -> None:
        self.evaluated(lambda step, total: self.evaluate(step, total, inputs))

    def recall(self, known: dict[str, Array]) -> None:
        self.evaluated(lambda step, total: np.zeros((self.samples, *step.shape)), known)

    @property
    def window(self) -> int:
        steps = needed(self.program, self.network.by_name)
        return max((steps[name] + lag(self.program, name) for name in steps), default=0)

    def evaluated(self, value_of: Any, known: dict[str, Array] | None = None) -> None:
        """Every node's value: a map's is made anew, another's by ``value_of``, unless it is known."""
        for step in self.program.nodes:
            edges = self.program.edges_into(step.name)
            size = int(np.prod(self.program.node(edges[0].source).shape if edges else step.shape))
            total = np.zeros((self.samples, size)) + sum(self.delayed(e.source, e.delay) for e in edges)
            value = self.connect(step, total) if isinstance(step, Connection) else value_of(step, total)
            self.sent[step.name].append((known or {}).get(step.name, value))

    def connect(self, step: Connection, total: Array) -> Array:
        edges = self.program.edges_into(step.name)
        given = self.sent.setdefault(f"{step.name} (given)", [])
        given.append(total)
        y = np.zeros((self.samples, int(np.prod(step.shape))))
        for late, matrix in step.map.parts(self.program.node(edges[0].source).shape) if edges else ():
            y = y + (0.0 if late > self.now - self.first else (matrix @ given[self.now - self.first - late].T).T)
        bias = bias_vector(step)
        y = y + (0.0 if bias is None else bias)
        if step.delay is not None:
            # Keep what arrives under a name of its own, and send each element's value of its own delay.
            line = self.sent.setdefault(f"{step.name} (arriving)", [])
            line.append(y)
            steps = step.delay.reshape(-1)
            past = [
                line[t][:, i] if t >= 0 else np.zeros(self.samples) for i, t in enumerate(self.now - self.first - steps)
            ]
            y = np.stack(past, axis=1)
        return np.asarray(y).reshape(self.samples, *step.shape)

    def outputs(self) -> dict[str, Array]:
        names = [step.name for step in self.program.nodes if type(step).__name__ == "Sink"]
        return {name: self.sent[name][-1] for name in names}


class NetworkInterpreter(Interpreter):
    """Populations in order, projections with delays, constant drives from their first step on."""

    backend = "network"

    def advance(self, inputs: dict[str, Array]) -> None:
        for population in self.network.populations:
            total = np.zeros((self.samples, int(np.prod(population.shape))))
            for projection in self.network.into(population.name):
                sent = self.delayed(projection.source, projection.delay)
                total = total + (0.0 if isinstance(sent, float) else (projection.weights @ sent.T).T)
            for onset, drive in self.network.drives.get(population.name, {}).items():
                total = total + (drive if self.now >= onset else 0.0)
            self.sent[population.name].append(self.evaluate(population, total, inputs))

    def outputs(self) -> dict[str, Array]:
        return {name: self.sent[shown][-1] for name, shown in self.network.outputs.items()}
