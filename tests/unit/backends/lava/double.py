"""A double of lava-nc in this process: what the worker's code uses of it, from its documentation, in plain NumPy.

With it the worker's own modules run here, in milliseconds and on a machine without Lava: :func:`lava` puts it among the
modules, :class:`InProcess` takes the place of the worker's process. The same tests run on it and on Lava, against the
same judges (``conftest.py``): so it cannot stray from Lava unseen.

Processes take their turns in one thread: one that asks for a value which is not there yet is called again, and what it
has sent already in this step stays as it was. Where nobody can go on, the network is stuck, as it would be on Lava.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np

_MODELS: dict[type, type] = {}
_LEARNING: dict[Any, type] = {}
#: What a learning rule moves -> its name there.
_MOVED = {"weights": "dw", "tag_1": "dt"}
#: What runs, and has not been stopped.
RUNNING: list[Any] = []


class NotYet(BaseException):
    """A value is not there yet. Not an Exception: a process's own ``except`` is not to see it."""


# --- processes, ports, Vars


class Var:
    """A variable of a process."""

    def __init__(self, shape: tuple[int, ...], init: Any) -> None:
        self.shape = shape
        self.value = np.array(np.broadcast_to(np.asarray(init), shape))
        self.readers = Port(())
        self.running: Callable[[], bool] = lambda: True

    def get(self) -> Any:
        """As Lava's: only while the process runs."""
        assert self.running(), "the process was stopped before its Var was read"
        return self.value.copy()


class Port:
    """Input or output."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = tuple(shape)
        self.owner: Any = None
        self.others: list[Port] = []
        self.kind: Any = float
        self.sent: Any = None

    def connect(self, other: Port) -> None:
        """Output to input, of one shape."""
        assert self.shape == other.shape, f"ports of {self.shape} and {other.shape}"
        self.others.append(other)
        other.others.append(self)

    def send(self, value: Any) -> None:
        """To all targets; a channel has the sender's type."""
        if self.sent is None:
            self.sent = np.broadcast_to(np.asarray(value), self.shape).astype(self.kind)

    def recv(self) -> Any:
        """The sum of what all sources sent."""
        total = np.zeros(self.shape, int if issubclass(self.kind, np.integer) else float)
        for source in self.others:
            if source.sent is None:
                raise NotYet
            total = total + source.sent
        return total


class RefPort(Port):
    """Reads and writes a Var of another process."""

    def connect_var(self, var: Var) -> None:
        """The Var, of the same shape."""
        assert self.shape == var.shape, f"a port of {self.shape} and a Var of {var.shape}"
        self.var = var
        self.others.append(var.readers)
        var.readers.others.append(self)

    def read(self) -> Any:
        """Its value."""
        return self.var.value.copy()

    def write(self, value: Any) -> None:
        """A new one."""
        self.var.value[...] = value

    def wait(self) -> None:
        """Lava's waits until it is written."""


class Process:
    """``AbstractProcess``: ports and Vars are its attributes."""

    def __init__(self, name: str | None = None, **params: Any) -> None:
        self.name = name
        self.params = params
        self.runtime: Any = None

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if isinstance(value, Port):
            value.owner = self
        if isinstance(value, Var):
            value.running = lambda: self.runtime is not None
            value.readers.owner = self

    @property
    def ports(self) -> list[Port]:
        """All of them, those of its Vars too."""
        found = [x.readers if isinstance(x, Var) else x for x in vars(self).values() if isinstance(x, Port | Var)]
        return [port for port in found if port.owner is self]

    def create_runtime(self, run_cfg: Any, compile_config: Any = None) -> None:
        """Find all that is connected."""
        found, left = [self], [self]
        while left:
            for other in [other.owner for port in left.pop().ports for other in port.others]:
                if other not in found:
                    found.append(other)
                    left.append(other)
        runtime = _Runtime(found, run_cfg.select_tag)
        RUNNING.append(runtime)
        for process in found:
            process.runtime = runtime

    def run(self, condition: Any, run_cfg: Any = None) -> None:
        """Run steps."""
        if self.runtime is None:
            self.create_runtime(run_cfg)
        self.runtime.run(condition.num_steps)

    def stop(self) -> None:
        """For good."""
        RUNNING.remove(self.runtime)
        for process in self.runtime.processes:
            process.runtime = None


# --- stock processes: SEMANTICS' integer rules, and the equations at the top of hasn.backends.lava.neurons


class LIF(Process):
    """Stock LIF."""

    def __init__(self, *, shape: Any, name: Any, du: Any, dv: Any, vth: Any, bias_mant: Any = 0, bias_exp: Any = 0,
                 v: Any = 0, u: Any = 0) -> None:  # fmt: skip
        super().__init__(name)
        self.a_in, self.s_out = Port(shape), Port(shape)
        self.du, self.dv, self.vth = du, dv, vth
        self.bias_mant, self.bias_exp = np.asarray(bias_mant), np.asarray(bias_exp)
        for given in (self.bias_mant, self.bias_exp, np.asarray(v), np.asarray(u)):
            assert given.shape in ((), tuple(shape)), "Lava refuses an initial value of another shape"
        self.u, self.v = Var(shape, np.asarray(u)), Var(shape, np.asarray(v))

    def begin(self, fixed: bool) -> None:
        """Types of the process model."""
        kind = np.int64 if fixed else float
        self.a_in.kind = self.s_out.kind = kind
        self.u.value, self.v.value = self.u.value.astype(kind), self.v.value.astype(kind)
        self.fixed = fixed

    def step(self) -> None:
        """One step."""
        a, u, v = self.a_in.recv(), self.u.value, self.v.value
        if self.fixed:
            u[...] = _decayed(u, self.du + 1) + (a << 6)
            u[u > 2**23] -= 2**24
            u[u <= -(2**23)] += 2**24
            v[...] = np.clip(
                _decayed(v, self.dv) + u + (self.bias_mant.astype(int) << self.bias_exp), 1 - 2**23, 2**23 - 1
            )
            spikes = v > self.vth << 6
        else:
            u[...] = u * (1 - self.du) + a
            v[...] = v * (1 - self.dv) + u + self.bias_mant
            spikes = v > self.vth
        v[spikes] = 0
        self.s_out.send(spikes)


class LIFRefractory(LIF):
    """Stock LIFRefractory, which Lava has in floating point alone: for ``refractory_period`` steps after a spike
    ``v`` stays where it was reset to; ``u`` goes on."""

    def __init__(self, *, shape: Any, refractory_period: int, **common: Any) -> None:
        super().__init__(shape=shape, **common)
        assert isinstance(refractory_period, int), "Lava takes one period for all"
        assert refractory_period >= 1, "Lava refuses a period under 1"
        self.period, self.refractory_period_end = refractory_period, Var(shape, np.zeros(shape))

    def begin(self, fixed: bool) -> None:
        """It runs in floating point alone."""
        assert not fixed, "Lava has no model of LIFRefractory in fixed point"
        super().begin(fixed)
        self.now = 0

    def step(self) -> None:
        """One step."""
        self.now += 1
        a, u, v, end = self.a_in.recv(), self.u.value, self.v.value, self.refractory_period_end.value
        u[...] = u * (1 - self.du) + a
        free = end < self.now
        v[free] = (v * (1 - self.dv) + u + self.bias_mant)[free]
        spikes = v > self.vth
        end[spikes] = self.now + self.period
        v[spikes] = 0
        self.s_out.send(spikes)


def _decayed(x: Any, decay: int) -> Any:
    return np.sign(x) * (np.abs(x) * (4096 - decay) >> 12)


class Dense(Process):
    """Stock Dense: sends what came the step before. Mixed weights of the chip are even, and all have 8 bits."""

    def __init__(
        self, *, weights: Any, name: Any, num_message_bits: int, weight_exp: int = 0, num_weight_bits: int = 8
    ):
        super().__init__(name)
        assert num_weight_bits == 8
        rows, columns = weights.shape
        self.s_in, self.a_out = Port((columns,)), Port((rows,))
        self.weights = weights
        self.graded, self.weight_exp = num_message_bits > 0, weight_exp
        self.a_buff = Var((rows,), 0)

    def begin(self, fixed: bool) -> None:
        """Types of the process model, and the chip's weights."""
        kind = np.int64 if fixed else float
        self.s_in.kind = self.a_out.kind = kind
        self.a_buff.value = self.a_buff.value.astype(kind)
        self.fixed = fixed
        self._weights = self.weights.toarray() if hasattr(self.weights, "toarray") else np.asarray(self.weights)
        if fixed:
            w = self._weights.astype(int)
            self._weights = np.clip(w, -256, 255) >> 1 << 1 if w.min() < 0 < w.max() else np.clip(w, -255, 255)

    def received(self) -> Any:
        """Numbers as they are, or spikes: whatever is not 0."""
        x = self.s_in.recv()
        return x if self.graded else x != 0

    def shifted(self, total: Any) -> Any:
        """By the weights' exponent."""
        if not self.fixed:
            return total
        return total << self.weight_exp if self.weight_exp > 0 else total >> -self.weight_exp

    def step(self) -> None:
        """One step."""
        self.a_out.send(self.a_buff.value)
        x = self.received()
        # Lava sums the chosen columns of spikes one after the other, and leaves products to BLAS.
        w = self._weights
        self.a_buff.value[...] = self.shifted(w.dot(x) if self.graded else w[:, x].sum(axis=1))


class Sparse(Dense):
    """Stock Sparse takes csr alone."""

    def __init__(self, *, weights: Any, **params: Any) -> None:
        assert weights.format == "csr"
        super().__init__(weights=weights, **params)


class DelayDense(Dense):
    """Stock DelayDense: a delay for each synapse, beyond the step of its own."""

    def __init__(self, *, weights: Any, delays: Any, **params: Any) -> None:
        super().__init__(weights=weights, **params)
        assert delays.shape == weights.shape
        assert delays.min() >= 0
        self.delays = delays
        self.a_buff = Var((weights.shape[0], int(delays.max()) + 1), 0)

    def step(self) -> None:
        """One step: slot k is what will be sent in k + 1 steps."""
        assert not self.fixed or self.delays.max() <= 63
        buffer = self.a_buff.value
        self.a_out.send(buffer[:, 0])
        x = self.received()
        buffer[...] = np.hstack([buffer[:, 1:], np.zeros((len(buffer), 1), buffer.dtype)])
        for k in range(buffer.shape[1]):
            buffer[:, k] += self.shifted(np.sum(np.where(self.delays == k, self._weights, 0) * x, axis=1))


class LearningModel:
    """``PyLearningDenseModelFloat``, as far as a model of ours changes it."""

    implements_process: Any = None

    def __init__(self, proc_params: Any) -> None:
        self.proc_params = proc_params

    def __init_subclass__(cls) -> None:
        _LEARNING[cls.implements_process] = cls

    def _saturate_synaptic_variable(self, synaptic_variable_name: str, synaptic_variable_values: Any) -> Any:
        bounds = {"EXCITATORY": (0, np.inf), "INHIBITORY": (-np.inf, 0), "MIXED": (-np.inf, np.inf)}
        if synaptic_variable_name != "weights":
            return synaptic_variable_values
        return np.clip(synaptic_variable_values, *bounds[self.proc_params["sign_mode"]])


class LearningDense(Dense):
    """Stock LearningDense in floating point. At the end of an epoch each trace is followed through its steps, in which
    it decays and then has the step's spikes; a product with x0 reads all traces at the source's spike, one with y0 at
    the target's, one with u0 at the end; all are evaluated at once. Of one neuron an epoch has one spike here."""

    def __init__(self, *, learning_rule: Any, sign_mode: str, bounds: Any = None, **common: Any) -> None:
        super().__init__(**common)
        self.rule = dict(learning_rule)
        kind = _LEARNING.get(type(self), LearningModel)
        self.model = kind({"sign_mode": sign_mode, "bounds": bounds})
        rows, columns = self.weights.shape
        self.s_in_bap = Port((rows,))
        self.weights, self.tag_1 = Var((rows, columns), self.weights.copy()), Var((rows, columns), 0.0)
        self.x1, self.x2 = Var((columns,), 0.0), Var((columns,), 0.0)
        self.y1, self.y2, self.y3 = (Var((rows,), 0.0) for _ in range(3))
        self.times, self.now = {"x": np.zeros(columns, int), "y": np.zeros(rows, int)}, 0

    def begin(self, fixed: bool) -> None:
        """Floating point alone."""
        assert not fixed
        self.fixed = fixed
        self.a_buff.value = self.a_buff.value.astype(float)

    def step(self) -> None:
        """One step."""
        self.a_out.send(self.a_buff.value)
        x, y = self.received(), self.s_in_bap.recv() != 0
        self.a_buff.value[...] = self.weights.value[:, x].sum(axis=1)
        self.now += 1
        for side, spikes in (("x", x), ("y", y)):
            assert not np.any(self.times[side][spikes])
            self.times[side][spikes] = self.now
        if self.now == self.rule["t_epoch"]:
            self._learn()
            self.now = 0
            for times in self.times.values():
                times[...] = 0

    def _learn(self) -> None:
        shown = {name: self._followed(name) for name in ("x1", "x2", "y1", "y2", "y3")}
        moved = {}
        for var, of in _MOVED.items():
            terms = _terms(self.rule[of].replace("^", "**")) if of in self.rule else []
            moved[var] = sum(self._term(term, shown) for term in terms)
        for var, change in moved.items():
            value = getattr(self, var).value
            value[...] = self.model._saturate_synaptic_variable(var, value + change)

    def _followed(self, name: str) -> Any:
        """A trace after each step of the epoch, and before it: (steps + 1, neurons)."""
        tau, impulse = self.rule.get(f"{name}_tau", 0.0), self.rule.get(f"{name}_impulse", 0.0)
        found = [getattr(self, name).value.copy()]
        for t in range(1, self.now + 1):
            # Lava fills a trace with NaN that has no time constant: nobody may read it.
            found.append(found[-1] * np.exp(-1 / tau) if tau else np.nan + found[-1])
            found[-1] = found[-1] + impulse * (self.times[name[0]] == t)
        getattr(self, name).value[...] = found[-1]
        return np.array(found)

    def _term(self, term: str, shown: Any) -> Any:
        """A product, (outputs, inputs)."""
        rows, columns = self.weights.shape
        x, y = (
            np.zeros((rows, columns), int) + self.times["x"],
            np.zeros((rows, columns), int) + self.times["y"][:, None],
        )
        at = x if "x0" in term else y if "y0" in term else np.full((rows, columns), self.now)
        known = {"x0": 1.0 * (x > 0), "y0": 1.0 * (y > 0), "u0": 1.0, "w": self.weights.value, "t": self.tag_1.value}
        for name, course in shown.items():
            owner = np.arange(columns) if name[0] == "x" else np.arange(rows)[:, None]
            known[name] = course[at, owner]
        return eval(term, {}, known)


def _terms(formula: str) -> list[str]:
    """Of a sum, with their signs; brackets stay whole."""
    found, depth = [""], 0
    for word in formula.split():
        if word in "+-" and not depth:
            found.append("")
        found[-1] += f" {word}"
        depth += word.count("(") - word.count(")")
    return [term.strip() for term in found if term]


class Source(Process):
    """``lava.proc.io.source.RingBuffer``."""

    def __init__(self, *, data: Any) -> None:
        super().__init__()
        self.given, self.t = data, 0
        self.s_out = Port(data.shape[:-1])

    def begin(self, fixed: bool) -> None:
        """Integers, or real numbers."""
        self.s_out.kind = np.int64 if fixed else float

    def step(self) -> None:
        """The step's column."""
        self.s_out.send(self.given[..., self.t % self.given.shape[-1]])
        self.t += 1


class Sink(Process):
    """``lava.proc.io.sink.RingBuffer``."""

    def __init__(self, *, shape: Any, buffer: int) -> None:
        super().__init__()
        self.a_in, self.t = Port(shape), 0
        self.data = Var((*shape, buffer), 0)

    def begin(self, fixed: bool) -> None:
        """Integers, or real numbers."""
        self.a_in.kind = np.int64 if fixed else float

    def step(self) -> None:
        """Into the step's column."""
        self.data.value[..., self.t % self.data.shape[-1]] = self.a_in.recv()
        self.t += 1


class Monitor(Process):
    """``lava.proc.monitor.process.Monitor``, of one Var."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = RefPort(())

    def probe(self, var: Var, steps: int) -> None:
        """At every step."""
        self.rows: list[Any] = []
        self.steps = steps
        self.reader.shape = var.shape
        self.reader.connect_var(var)

    def begin(self, fixed: bool) -> None:
        """Nothing to be done."""

    def step(self) -> None:
        """Nothing is sent."""

    def after(self) -> None:
        """The value at the end of a step."""
        if len(self.rows) < self.steps:
            self.rows.append(self.reader.read())

    def get_data(self) -> Any:
        """As Lava gives it."""
        assert self.runtime is not None, "the process was stopped before it was read"
        of = self.reader.var.readers.owner
        (name,) = [key for key, value in vars(of).items() if value is self.reader.var]
        return {of.name: {name: np.array(self.rows)}}


class Adapter(Process):
    """``lava.proc.embedded_io.spike.PyToNxAdapter``."""

    #: All that were made.
    made: ClassVar[list[Any]] = []

    def __init__(self, *, shape: Any, num_message_bits: int = 0) -> None:
        super().__init__()
        self.bits, self.graded = num_message_bits, num_message_bits > 0
        self.made.append(self)
        self.inp, self.out = Port(shape), Port(shape)

    def begin(self, fixed: bool) -> None:
        """Integers."""
        self.inp.kind = self.out.kind = np.int64
        self.held = np.zeros(self.out.shape, np.int64)

    def step(self) -> None:
        """Passed on; spikes without a value are 1."""
        x = self.inp.recv()
        self.out.send(x if self.graded else x != 0)


class LateAdapter(Adapter):
    """``lava.proc.embedded_io.spike.NxToPyAdapter``."""

    def step(self) -> None:
        """Passed on a step later."""
        x = self.inp.recv()
        self.out.send(self.held)
        self.held = x


# --- running


class Model:
    """``PyLoihiProcessModel``."""

    time_step = 0

    def __init__(self, proc_params: Any) -> None:
        self.proc_params = proc_params

    def post_guard(self) -> bool:
        """Whether there is a management phase."""
        return False

    def run_post_mgmt(self) -> None:
        """Management."""


class _Runtime:
    """Runs processes that are connected, step by step."""

    def __init__(self, processes: list[Any], tag: str) -> None:
        self.processes, self.time = processes, 0
        self._messaging_infrastructure = SimpleNamespace(
            actors=[SimpleNamespace(pid=1_000_000 + i, exception=None) for i, _ in enumerate(processes)]
        )
        self.models: dict[Any, Any] = {}
        for process in processes:
            if type(process) in _MODELS:
                self.models[process] = self._model(process)
            else:
                process.begin(tag == "fixed_pt")

    def _model(self, process: Any) -> Any:
        kind = _MODELS[type(process)]
        model = kind(process.params)
        for name, value in vars(process).items():
            if isinstance(value, Port):
                value.kind = getattr(kind, name).kind
                setattr(model, name, value)
        return model

    def run(self, steps: int) -> None:
        """Every step: all processes, then Vars are read and written."""
        for _ in range(steps):
            self.time += 1
            ports = [port for process in self.processes for port in process.ports]
            for port in ports:
                port.sent = None
            left, done = self.processes, []
            while left:
                before = sum(port.sent is not None for port in ports)
                waiting = [process for process in left if not self._turn(process)]
                if len(waiting) == len(left) and sum(port.sent is not None for port in ports) == before:
                    raise RuntimeError(f"stuck: {[process.name for process in left]} wait for each other")
                done += [process for process in left if process not in waiting]
                left = waiting
            self.processes = done  # most find their values there the next time
            for process in self.processes:
                if isinstance(process, Monitor):
                    process.after()
                if process in self.models and self.models[process].post_guard():
                    self.models[process].run_post_mgmt()

    def _turn(self, process: Any) -> bool:
        """Whether it could do its step."""
        try:
            if process in self.models:
                self.models[process].time_step = self.time
                self.models[process].run_spk()
            else:
                process.step()
        except NotYet:
            return False
        return True


# --- the modules


def _implements(proc: type, protocol: Any) -> Callable[[type], type]:
    def wrapped(model: type) -> type:
        _MODELS[proc] = model
        return model

    return wrapped


def _requires(*_: Any) -> Callable[[type], type]:
    return lambda model: model


class _PyType:
    def __init__(self, cls: Any, d_type: type) -> None:
        self.kind = d_type


_PORTS = SimpleNamespace(VEC_DENSE=object())
_MODULES: dict[str, dict[str, Any]] = {
    "lava": {"__version__": "double"},
    "lava.magma.core.decorator": {"implements": _implements, "requires": _requires},
    "lava.magma.core.model.py.model": {"PyLoihiProcessModel": Model},
    "lava.magma.core.model.py.ports": {"PyInPort": _PORTS, "PyOutPort": _PORTS, "PyRefPort": _PORTS},
    "lava.magma.core.model.py.type": {"LavaPyType": _PyType},
    "lava.magma.core.process.ports.ports": {"InPort": Port, "OutPort": Port, "RefPort": RefPort},
    "lava.magma.core.process.process": {"AbstractProcess": Process},
    "lava.magma.core.resources": {"CPU": object()},
    "lava.magma.core.sync.protocols.loihi_protocol": {"LoihiProtocol": object()},
    "lava.magma.core.run_conditions": {"RunSteps": SimpleNamespace},
    "lava.magma.core.run_configs": {"Loihi2SimCfg": SimpleNamespace, "Loihi2HwCfg": SimpleNamespace},
    "lava.proc.lif.process": {"LIF": LIF, "LIFRefractory": LIFRefractory},
    "lava.magma.core.learning.learning_rule": {"Loihi2FLearningRule": dict},
    "lava.utils.weightutils": {"SignMode": dict(zip(*[("EXCITATORY", "INHIBITORY", "MIXED")] * 2, strict=True))},
    "lava.proc.dense.models": {"PyLearningDenseModelFloat": LearningModel},
    "lava.proc.dense.process": {"Dense": Dense, "DelayDense": DelayDense, "LearningDense": LearningDense},
    "lava.proc.sparse.process": {"Sparse": Sparse},
    "lava.proc.io.source": {"RingBuffer": Source},
    "lava.proc.io.sink": {"RingBuffer": Sink},
    "lava.proc.monitor.process": {"Monitor": Monitor},
}
_WORKER = "hasn.backends.lava.worker"
_ON_LAVA = tuple(f"{_WORKER}.{name}" for name in (
    "build", "processes", "processes.bounded", "processes.element", "processes.host",
))  # fmt: skip


#: What Intel's extension brings: a chip's spike adapters; the one out of the chip takes a step.
_CHIP: dict[str, dict[str, Any]] = {
    "lava.proc.embedded_io.spike": {"PyToNxAdapter": Adapter, "NxToPyAdapter": LateAdapter},
    "lava.utils.loihi": {"is_installed": lambda: True},
}


@contextmanager
def lava(chip: bool = False) -> Iterator[dict[str, ModuleType]]:
    """``import lava`` gives the double within the block, with a chip on request; the modules."""
    made: dict[str, ModuleType] = {}
    for name, content in (_MODULES | (_CHIP if chip else {})).items():
        parts = name.split(".")
        for i in range(1, len(parts) + 1):
            parent = ".".join(parts[:i])
            if parent not in made:
                made[parent] = ModuleType(parent)
                made[parent].__path__ = []  # type: ignore[attr-defined]
                made[parent].__spec__ = importlib.machinery.ModuleSpec(parent, None)
        vars(made[name]).update(content)
    kept = {name: module for name, module in sys.modules.items() if name == "lava" or name.startswith("lava.")}
    for name in (*kept, *_ON_LAVA):
        sys.modules.pop(name, None)
    sys.modules.update(made)
    try:
        yield made
    finally:
        for name in (*made, *_ON_LAVA):
            sys.modules.pop(name, None)
        sys.modules.update(kept)
        _MODELS.clear()
        RUNNING.clear()
        Adapter.made.clear()


class InProcess:
    """In place of a :class:`WorkerProcess`: the worker's server, called rather than asked over a pipe."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hasn-double-"))
        self.alive, self.time_limit = True, 0.0
        self.said: list[dict[str, Any]] = []
        server = importlib.import_module(f"{_WORKER}.serve").Server
        self.server = server(self.folder, -1, -1)
        self.server.send = self._hear

    def _hear(self, message: dict[str, Any]) -> None:
        self.said.append(json.loads(json.dumps(message)))
        if self.progress is not None:
            self.progress(*message["progress"])

    def ask(self, request: dict[str, Any], progress: Any = None) -> dict[str, Any]:
        """What the server's handler answers."""
        self.progress = progress
        request = json.loads(json.dumps(request))
        answer: dict[str, Any] = self.server.handlers[request["op"]](request)
        return answer

    def close(self) -> None:
        """Nothing more can be asked."""
        self.alive = False
