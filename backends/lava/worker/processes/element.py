"""A part of the network that stock Lava cannot express: an engine between one input and one output port."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Element(AbstractProcess):  # type: ignore[misc]
    """Runs ``engine`` each step: ``y_out`` for ``x_in``."""

    def __init__(self, *, engine: Any, shape_in: tuple[int, ...], shape_out: tuple[int, ...], name: str) -> None:
        super().__init__(engine=engine, name=name)
        self.x_in = InPort(shape=shape_in)
        self.y_out = OutPort(shape=shape_out)


@implements(proc=Element, protocol=LoihiProtocol)
@requires(CPU)
class PyElementModel(PyLoihiProcessModel):  # type: ignore[misc]
    """In Python, in float64."""

    x_in = LavaPyType(PyInPort.VEC_DENSE, float)
    y_out = LavaPyType(PyOutPort.VEC_DENSE, float)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.engine = proc_params["engine"]

    def run_spk(self) -> None:
        """One step."""
        try:
            engine = self.engine
            engine.clock.tick(self.time_step - 1)
            if engine.buffered:
                self.y_out.send(engine.emit())
                engine.take(self.x_in.recv())
            else:
                self.y_out.send(engine.respond(self.x_in.recv()))
            engine.end()
        except Exception:  # Lava itself does not show it
            traceback.print_exc(file=sys.stderr)
            raise
