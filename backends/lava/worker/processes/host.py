"""All that is not the network, in one process: feeds the Inputs, records, and clears stock processes between samples.

Lava declares ports in the class body, so there is a class for 4 ports of each kind, one for 8, and so on.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

SIZES = tuple(4 << i for i in range(9))


class _Host(AbstractProcess):  # type: ignore[misc]
    """Ports ``out<i>`` (Inputs), ``in<i>`` (recordings) and ``ref<i>`` (Vars of stock processes).

    Args:
        engine: a :class:`~hasn_lava_worker.host_engine.HostEngine`.
        outs, ins, refs: the ports' shapes.
    """

    size = 0

    def __init__(
        self, *, engine: Any, outs: list[tuple[int, ...]], ins: list[tuple[int, ...]], refs: list[tuple[int, ...]]
    ) -> None:
        super().__init__(engine=engine, name="host")
        for i in range(self.size):
            setattr(self, f"out{i}", OutPort(shape=outs[i] if i < len(outs) else (1,)))
            setattr(self, f"in{i}", InPort(shape=ins[i] if i < len(ins) else (1,)))
            setattr(self, f"ref{i}", RefPort(shape=refs[i] if i < len(refs) else (1,)))


class _PyHostModel(PyLoihiProcessModel):  # type: ignore[misc]
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.engine = proc_params["engine"]

    def run_spk(self) -> None:
        """Send the step's Inputs, then receive what is recorded."""
        try:
            engine = self.engine
            engine.clock.tick(self.time_step - 1)
            for i, _ in enumerate(engine.feeds):
                getattr(self, f"out{i}").send(engine.feed(i))
            for i, _ in enumerate(engine.tapes):
                engine.record(i, getattr(self, f"in{i}").recv())
        except Exception:  # Lava itself does not show it
            traceback.print_exc(file=sys.stderr)
            raise

    def post_guard(self) -> bool:
        """Whether Vars are read or written in this step."""
        return bool(self.engine.reads_vars)

    def run_post_mgmt(self) -> None:
        """Read membrane potentials; clear Vars at the end of a sample."""
        try:
            for i, var in enumerate(self.engine.vars):
                port = getattr(self, f"ref{i}")
                if self.engine.probes(var):
                    self.engine.probe(var, port.read())
                if self.engine.clears(var):
                    port.write(var["zero"])
                    port.wait()
        except Exception:
            traceback.print_exc(file=sys.stderr)
            raise


def _make(size: int) -> None:
    process = type(f"Host{size}", (_Host,), {"size": size, "__module__": __name__})
    ports = {}
    for i in range(size):
        ports[f"out{i}"] = LavaPyType(PyOutPort.VEC_DENSE, float)
        ports[f"in{i}"] = LavaPyType(PyInPort.VEC_DENSE, float)
        ports[f"ref{i}"] = LavaPyType(PyRefPort.VEC_DENSE, float)
    model = type(f"PyHost{size}Model", (_PyHostModel,), {**ports, "__module__": __name__})
    globals()[process.__name__] = process
    globals()[model.__name__] = requires(CPU)(implements(proc=process, protocol=LoihiProtocol)(model))


for _size in SIZES:
    _make(_size)


def host_of(count: int) -> Any:
    """The smallest host class with ``count`` ports of each kind.

    Raises:
        ValueError: there is none.
    """
    for size in SIZES:
        if count <= size:
            return globals()[f"Host{size}"]
    raise ValueError(f"{count} Inputs, recordings or stock processes; this worker takes {SIZES[-1]}")
