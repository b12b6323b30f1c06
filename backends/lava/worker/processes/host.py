"""All that is not the network, in one process: feeds the Inputs, records, and sets stock processes where samples begin.

Lava declares ports in the class body and looks for process models in the module's names: so a pair of classes is made,
and put there, for each number of ports that is asked for.
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

Shape = tuple[int, ...]


class _Host(AbstractProcess):  # type: ignore[misc]
    """Ports ``out<i>`` (Inputs), ``in<i>`` (recordings) and ``ref<i>`` (Vars of stock processes).

    Args:
        engine: a :class:`~hasn_lava_worker.host_engine.HostEngine`.
        outs, ins, refs: the ports' shapes.
        tag: which of Lava's process models to run with.
    """

    def __init__(self, *, engine: Any, outs: list[Shape], ins: list[Shape], refs: list[Shape], tag: str) -> None:
        super().__init__(engine=engine, name="host")
        self.tag = tag
        for kind, port, shapes in (("out", OutPort, outs), ("in", InPort, ins), ("ref", RefPort, refs)):
            for i, shape in enumerate(shapes):
                setattr(self, f"{kind}{i}", port(shape=shape))


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
        """Read membrane potentials; set Vars at the start of a sample that goes on from a state, and at its end."""
        try:
            for i, var in enumerate(self.engine.vars):
                port = getattr(self, f"ref{i}")
                if self.engine.probes(var):
                    self.engine.probe(var, port.read())
                value = self.engine.setting(var)
                if value is not None:
                    port.write(value)
                    port.wait()
        except Exception:
            traceback.print_exc(file=sys.stderr)
            raise


def host_of(outs: int, ins: int, refs: int, number: type) -> Any:
    """The host class with these numbers of ports.

    ``number`` is what goes through them: Lava's channels take the sender's, and its integer models fail on floats.
    """
    name = f"Host{outs}x{ins}x{refs}{number.__name__}"
    if name not in globals():
        process = type(name, (_Host,), {"__module__": __name__})
        ports = {f"out{i}": LavaPyType(PyOutPort.VEC_DENSE, number) for i in range(outs)}
        ports |= {f"in{i}": LavaPyType(PyInPort.VEC_DENSE, number) for i in range(ins)}
        ports |= {f"ref{i}": LavaPyType(PyRefPort.VEC_DENSE, number) for i in range(refs)}
        model = type(f"Py{name}Model", (_PyHostModel,), {**ports, "__module__": __name__})
        globals()[model.__name__] = requires(CPU)(implements(proc=process, protocol=LoihiProtocol)(model))
        globals()[name] = process
    return globals()[name]
