"""Bundle and job -> connected Lava processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.lif.process import LIF
from lava.proc.sparse.process import Sparse

from . import engines
from .bundle import Bundle
from .host_engine import HostEngine
from .memory import Clock, Memory
from .processes.element import Element
from .processes.host import host_of

IN_PORT = {"lif": "a_in", "dense": "s_in", "delay_dense": "s_in", "sparse": "s_in"}
OUT_PORT = {"lif": "s_out", "dense": "a_out", "delay_dense": "a_out", "sparse": "a_out"}
#: Vars of stock processes that must be 0 when a sample starts.
CARRIES = {"lif": ("u", "v"), "dense": ("a_buff",), "delay_dense": ("a_buff",), "sparse": ("a_buff",)}
#: Any number of bits makes Lava's floating-point connections multiply instead of select.
GRADED_BITS = 24

Cell = dict[str, Any]


class Job:
    """One run or stream of a bundle.

    Args:
        bundle: the mapped network.
        request: ``samples``, ``period`` (steps a sample takes; 0 in a stream), ``graded`` (Inputs whose data is not 0
            or 1), ``inputs``, ``tapes`` and ``voltages`` ({population: .npy file}); in a stream also ``folder`` and
            ``batch``.
    """

    def __init__(self, bundle: Bundle, request: dict[str, Any]) -> None:
        self.bundle = bundle
        self.request = request
        self.folder: str | None = request.get("folder")
        self.lead: tuple[int, ...] = (int(request["batch"]),) if self.folder else ()
        control = None if self.folder is None else np.load(Path(self.folder) / "control.npy", mmap_mode="r")
        self.clock: Callable[[], Clock] = lambda: Clock(int(request["period"]), control)
        self.voltages = {name: _open(path, "r+") for name, path in request["voltages"].items()}

    def host(self) -> Any:
        """All processes, connected; running the host runs them all."""
        manifest = self.bundle.manifest
        cells = {cell["name"]: cell for cell in manifest["cells"]}
        built = {name: self._process(cell) for name, cell in cells.items()}
        for source, target in manifest["wires"]:
            self._port(built, cells, source, OUT_PORT).connect(self._port(built, cells, target, IN_PORT))
        feeds = list(self.request["inputs"])
        tapes = list(self.request["tapes"])
        variables = self._variables(cells)
        host = self._host(feeds, tapes, variables, cells)
        for i, name in enumerate(feeds):
            for target in manifest["inputs"][name]["targets"]:
                getattr(host, f"out{i}").connect(self._port(built, cells, target, IN_PORT))
        for i, name in enumerate(tapes):
            cell = manifest["populations"][name]["cell"]
            self._port(built, cells, cell, OUT_PORT).connect(getattr(host, f"in{i}"))
        for i, var in enumerate(variables):
            getattr(host, f"ref{i}").connect_var(getattr(built[var["cell"]], var["var"]))
        return host

    def _host(self, feeds: list[str], tapes: list[str], variables: list[Any], cells: dict[str, Cell]) -> Any:
        manifest = self.bundle.manifest
        outs = [(*self.lead, int(manifest["inputs"][name]["size"])) for name in feeds]
        places = [manifest["populations"][name] for name in tapes]
        ins = [(*self.lead, int(place["size"])) for place in places]
        refs = [tuple(var["zero"].shape) for var in variables]
        engine = HostEngine(
            self.clock(),
            [
                (_open(self.request["inputs"][name], "r"), int(manifest["inputs"][name]["shift"]), shape)
                for name, shape in zip(feeds, outs, strict=True)
            ],
            [
                (_open(self.request["tapes"][name], "r+"), int(place["shift"]))
                for name, place in zip(tapes, places, strict=True)
            ],
            variables,
        )
        return host_of(len(outs), len(ins), len(refs))(engine=engine, outs=outs, ins=ins, refs=refs)

    def _variables(self, cells: dict[str, Cell]) -> list[dict[str, Any]]:
        """Vars of stock processes that the host reads or clears."""
        several = int(self.request["samples"]) > 1
        found = []
        for name, cell in cells.items():
            for var in CARRIES.get(cell["kind"], ()):
                tape = self.voltages.get(cell["node"]) if var == "v" else None
                probe = None if tape is None else (tape, int(cell["onset"]))
                idle = var == "u" and cell["du"] == 1.0  # u <- 0 * u + input
                clear = several and not idle
                if clear or probe is not None:
                    size = int(cell["size_out"])
                    shape = (size, int(cell["slots"])) if cell["kind"] == "delay_dense" else (size,)
                    found.append({"cell": name, "var": var, "probe": probe, "clear": clear, "zero": np.zeros(shape)})
        return found

    def _port(self, built: dict[str, Any], cells: dict[str, Cell], name: str, ports: dict[str, str]) -> Any:
        default = "x_in" if ports is IN_PORT else "y_out"
        return getattr(built[name], ports.get(cells[name]["kind"], default))

    def _process(self, cell: Cell) -> Any:
        return _STOCK[cell["kind"]](self, cell) if cell["kind"] in _STOCK else self._element(cell)

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
            tape = self.voltages.get(cell["node"])
            engine = engines.Neurons(clock, memory, cell, arrays, shape_out, tape)
        else:
            kind = {"relay": engines.Relay, "compare": engines.Compare}[cell["kind"]]
            engine = kind(clock, memory, cell, arrays, shape_out)
        return Element(engine=engine, shape_in=shape_in, shape_out=shape_out, name=cell["name"])

    def bits(self, cell: Cell) -> int:
        """Message bits of a stock connection: 0 selects columns, more multiplies."""
        graded = cell["graded"] or cell["source"] in self.request["graded"]
        return GRADED_BITS if graded else 0


def _lif(job: Job, cell: Cell) -> Any:
    bias = job.bundle.arrays[cell["name"]].get("bias", 0.0)
    return LIF(
        shape=(int(cell["size_out"]),), du=cell["du"], dv=cell["dv"], vth=cell["vth"], bias_mant=bias, name=cell["name"]
    )  # fmt: skip


def _dense(job: Job, cell: Cell) -> Any:
    weights = job.bundle.matrix(cell["name"], "weights")
    return Dense(weights=weights, num_message_bits=job.bits(cell), name=cell["name"])


def _delay_dense(job: Job, cell: Cell) -> Any:
    arrays = job.bundle.arrays[cell["name"]]
    delays = arrays["delays"].astype(int)
    return DelayDense(weights=arrays["weights"], delays=delays, num_message_bits=job.bits(cell), name=cell["name"])


def _sparse(job: Job, cell: Cell) -> Any:
    weights = job.bundle.matrix(cell["name"], "weights")
    return Sparse(weights=weights, num_message_bits=job.bits(cell), name=cell["name"])


_STOCK: dict[str, Callable[[Job, Cell], Any]] = {
    "lif": _lif,
    "dense": _dense,
    "delay_dense": _delay_dense,
    "sparse": _sparse,
}


def _open(path: str, mode: Any) -> Any:
    # A plain view: np.memmap's own class makes every operation slower.
    return np.asarray(np.load(path, mmap_mode=mode))
