"""Bundle and job -> connected Lava processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import engines
from .host_engine import Feed, HostEngine, Tape, Variable
from .lava_network import Bundle, Cell
from .learning import Learners
from .memory import Alarm, Clock, Memory
from .processes.bounded import BoundedLearningDense
from .processes.element import Element
from .processes.host import host_of

#: Kinds of stock process -> their ports.
IN_PORT = {"lif": "a_in", "lif_refractory": "a_in"}
OUT_PORT = {"lif": "s_out", "lif_refractory": "s_out"}
for _kind in ("dense", "delay_dense", "sparse", "learning_dense"):
    IN_PORT[_kind], OUT_PORT[_kind] = "s_in", "a_out"
#: Vars of stock processes that must be 0 when a sample starts.
CARRIES = {
    "lif": ("u", "v"),
    "lif_refractory": ("u", "v", "refractory_period_end"),
    "dense": ("a_buff",),
    "delay_dense": ("a_buff",),
    "sparse": ("a_buff",),
    "learning_dense": ("a_buff", "weights", "tag_1", "x1", "x2", "y1", "y2", "y3"),
}
#: What an integer current keeps nothing of: u <- 0 * u + input.
NO_MEMORY = {"floating_pt": 1.0, "fixed_pt": 4095}


class Job:
    """One run or stream of a bundle.

    Args:
        bundle: the mapped network.
        request: ``samples``, ``period`` (steps a sample takes; 0 in a stream), ``stride`` (steps that a canonical one
            takes), ``graded`` (Inputs whose data is not 0 or 1), ``inputs``, ``tapes`` ({population: .npy file}),
            ``states`` ({"v" or "u": {population: .npy file}, "weights": {connection that learns: .npy file}}),
            ``length`` (canonical steps; a file of fewer holds the last ones), ``late`` (steps that all begins late),
            ``leads`` ({cell: {Var: .npy file}}, as in :class:`Variable`); in a stream also ``folder`` and ``batch``.
            ``alarms``: .npy file with a place for each cell, for :class:`~hasn_lava_worker.memory.Alarm`; left out
            where nothing can stop being finite.
    """

    def __init__(self, bundle: Bundle, request: dict[str, Any]) -> None:
        self.bundle = bundle
        self.request = request
        self.folder: str | None = request.get("folder")
        self.lead: tuple[int, ...] = (int(request["batch"]),) if self.folder else ()
        control = None if self.folder is None else np.load(Path(self.folder) / "control.npy", mmap_mode="r")
        self.stride = int(request["stride"])
        self.clock: Callable[[], Clock] = lambda: Clock(request["period"], control, self.stride)
        alarms = None if "alarms" not in request else _open(request["alarms"], "r+")
        self.alarms = {} if alarms is None else {name: Alarm(alarms[i : i + 1]) for i, name in enumerate(bundle.cells)}
        self.late = int(request["late"])
        self.states = {
            var: {name: _open(path, "r+") for name, path in of.items()} for var, of in request["states"].items()
        }

    def host(self) -> Any:
        """All processes, connected; running the host runs them all."""
        manifest, cells = self.bundle.manifest, self.bundle.cells
        built = {name: self._process(cell) for name, cell in cells.items()}
        for source, target in manifest["wires"]:
            self._port(built, source, OUT_PORT).connect(self._port(built, target, IN_PORT))
        for learner in (cell for cell in cells.values() if cell["kind"] == "learning_dense"):
            self._port(built, learner["post"], OUT_PORT).connect(built[learner["name"]].s_in_bap)
        variables = self._variables(cells)
        feeds, tapes = self._feeds(), self._tapes()
        host = self._host([feed for _, feed in feeds], [tape for _, tape in tapes], variables)
        for i, (name, _) in enumerate(feeds):
            for target in manifest["inputs"][name]["targets"]:
                getattr(host, f"out{i}").connect(self._port(built, target, IN_PORT))
        for i, (cell, _) in enumerate(tapes):
            self._port(built, cell, OUT_PORT).connect(getattr(host, f"in{i}"))
        for i, var in enumerate(variables):
            getattr(host, f"ref{i}").connect_var(getattr(built[var.cell], var.name))
        return host

    def _host(self, feeds: list[Feed], tapes: list[Tape], variables: list[Variable]) -> Any:
        number = np.int32 if self.bundle.fixed else float
        made = host_of(len(feeds), len(tapes), len(variables), number)
        return made(
            engine=HostEngine(self.clock(), feeds, tapes, variables),
            outs=[feed.shape for feed in feeds],
            ins=[tape.shape for tape in tapes],
            refs=[tuple(var.initial.shape) for var in variables],
            tag=self.bundle.tag,
        )

    def _feeds(self) -> list[tuple[str, Feed]]:
        entries = self.bundle.manifest["inputs"]
        return [
            (name, Feed(_open(path, "r"), entries[name]["shift"] + self.late, (*self.lead, int(entries[name]["size"]))))
            for name, path in self.request["inputs"].items()
        ]

    def _tapes(self) -> list[tuple[str, Tape]]:
        """(cell, its part of a population's recording)."""
        found = []
        for name, path in self.request["tapes"].items():
            place = self.bundle.manifest["populations"][name]
            array = _open(path, "r+")
            for cell in place["cells"]:
                shape = (*self.lead, int(self.bundle.cells[cell]["size_out"]))
                found.append((cell, self._tape(array, place["shift"], shape, cell)))
        return found

    def _tape(self, array: Any, shift: int, shape: tuple[int, ...], cell: str) -> Tape:
        """Of the last steps, as many as the array has."""
        first = int(self.request["length"]) - len(array)
        return Tape(array, shift + self.late + self.stride * first, shape, self._members(cell))

    def _members(self, cell: str) -> Any:
        """Which of the population's neurons a cell holds; all where nothing is said."""
        return self.bundle.arrays[cell].get("members", slice(None))

    def _variables(self, cells: dict[str, Cell]) -> list[Variable]:
        """Vars of stock processes that the host reads or sets."""
        several = int(self.request["samples"]) > 1
        found = []
        for name, cell in cells.items():
            for var in CARRIES.get(cell["kind"], ()):
                array = self.states.get(var, {}).get(cell["node"])
                clear = several and not (var == "u" and cell["du"] == NO_MEMORY[self.bundle.tag])
                lead = self.request["leads"].get(name, {}).get(var)
                alarm = self.alarms.get(name) if var in ("u", "v") else None
                if not clear and array is None and lead is None and alarm is None:
                    continue
                arrays, shape = self.bundle.arrays[name], _shape(var, cell)
                initial = arrays.get(var, np.zeros(shape)) if var in ("v", "weights") else np.zeros(shape)
                tape = None if array is None else self._tape(array, cell["onset"], shape, name)
                lead = None if lead is None else _open(lead, "r")
                found.append(Variable(name, var, tape, arrays.get(f"{var}_offset", 0), clear, initial, lead, alarm))
        return found

    def _port(self, built: dict[str, Any], name: str, ports: dict[str, str]) -> Any:
        default = "x_in" if ports is IN_PORT else "y_out"
        return getattr(built[name], ports.get(self.bundle.cells[name]["kind"], default))

    def _process(self, cell: Cell) -> Any:
        if cell["kind"] not in IN_PORT:
            return self._element(cell)
        graded = cell.get("graded", False) or cell.get("source") in self.request["graded"]
        return self.bundle.process(cell["name"], graded, BoundedLearningDense)

    def _element(self, cell: Cell) -> Any:
        shape_in, shape_out = ((*self.lead, int(cell[size])) for size in ("size_in", "size_out"))
        clock, memory = self.clock(), Memory(self.folder, cell["name"])
        arrays = self.bundle.arrays[cell["name"]]
        engine: engines.Engine
        if cell["kind"] == "instant":
            engine = engines.Instant(clock, memory, self.bundle.matrix(cell["name"], "weights"))
        elif cell["kind"] == "delayed":
            weights = [(int(d), self.bundle.matrix(cell["name"], f"weights{d}")) for d in cell["delays"]]
            engine = engines.Delayed(clock, memory, weights, shape_in, shape_out)
        elif cell["kind"] == "neurons":
            tape = self.states.get("v", {}).get(cell["node"])
            kind = Learners if cell.get("learners") else engines.Neurons
            engine = kind(clock, memory, cell, arrays, shape_out, tape)
        else:
            simple = {"relay": engines.Relay, "compare": engines.Threshold}[cell["kind"]]
            engine = simple(clock, memory, cell, arrays, shape_out)
        if isinstance(engine, engines.Population):
            engine.alarm = self.alarms.get(cell["name"])
        return Element(engine=engine, shape_in=shape_in, shape_out=shape_out, name=cell["name"])


def _shape(var: str, cell: Cell) -> tuple[int, ...]:
    """Of a stock process's Var."""
    size_in, size_out = int(cell["size_in"]), int(cell["size_out"])
    if var in ("weights", "tag_1"):
        return size_out, size_in
    if cell["kind"] == "delay_dense":
        return size_out, int(cell["slots"])
    return (size_in if var in ("x1", "x2") else size_out,)


def _open(path: str, mode: Any) -> Any:
    # A plain view: np.memmap's own class makes every operation slower.
    return np.asarray(np.load(path, mmap_mode=mode))
