"""``--target netx``: the HDF5 file (``.net``) that lava-dl's NetX reads, if the network is one that NetX can say.

What NetX reads (lava-dl 0.6.0, ``netx/hdf5.py``, ``netx/blocks``), for each layer ``layer/<i>``:

    type            b"input" (shape alone: the network takes spikes), b"conv", b"flatten", b"dense", b"dense_rec";
                    pooling and averaging are names without a reader, so sums of windows go as convolutions with groups
    shape           (C, H, W), or (n,)
    weight          integers in weight units: (outputs, inputs), or (C, C_in / groups, height, width), cross-correlated.
                    NetX picks exponent and bits itself: see :mod:`hasn.conversions.loihi.export.netx.weights`
    weight_rec      (outputs, outputs): from the layer's own spikes of the step before; dense_rec only
    delay           steps beyond the one that every layer takes, (outputs, inputs), at most 62; dense layers only
    bias            mantissas of Lava's bias, whose exponent is always 6: weight units added to v at every step
    stride, padding, dilation (vertical, horizontal), groups
    neuron/type     "CUBA": Lava's LIF;  neuron/iDecay = du + 1,  neuron/vDecay = dv,  neuron/vThMant = vth

``wgtExp``, ``refDelay``, ``gradedSpike`` are written as lava-dl writes them and read by nobody. Arrays between the
layers lie as (W, H, C): a first convolution takes its input so, and the last layer gives its spikes so; a first dense
layer takes the Input flat, in the order of (C, H, W).

Time: each layer takes a step, so layer ``k`` runs ``k`` steps late (0 where every connection has a delay of its own).
Neurons with a bias would run ahead in these steps. NetX's own reset stops that: it sets u and v of layer ``k`` to 0 at
the start of step ``k + 1`` (Lava counts from 1) with ``reset_offset=1``, and so for the next sample ``reset_interval``
steps on. :attr:`NetxFile.reading` is the call that does it.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hasn.conversions.loihi.export.netx.layers import Layer, layers_of
from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.ir.outputs import ready_to_write
from hasn.ir.whole import whole_file

#: Bits of a graded spike, as NetX is told that its input has values.
GRADED_BITS = 24


@dataclass(frozen=True)
class NetxFile:
    """A file that was written, and what its reader must know.

    Attributes:
        path: the file.
        layers: population -> its number among ``Network.layers`` of NetX.
        shifts: population -> steps that it runs late.
        input_shape: what ``Network.inp`` takes a step: (n,), or (W, H, C).
        output_shape: what ``Network.out`` gives a step.
        transposed: whether the input's / the output's axes are those of the graph, reversed.
        needs_reset: whether a bias makes ``reset_interval`` necessary.
        graded: whether the input has values (``input_message_bits``).
    """

    path: Path
    layers: dict[str, int]
    shifts: dict[str, int]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    transposed: tuple[bool, bool]
    needs_reset: bool
    graded: bool

    def options(self, steps: int) -> dict[str, int]:
        """What ``netx.hdf5.Network`` must be given for samples of ``steps`` steps, one after the other.

        Its reset clears u and v, not the spikes that are still under way on connections with a delay.
        """
        found = {"input_message_bits": GRADED_BITS} if self.graded else {}
        return {**found, "reset_interval": steps, "reset_offset": 1} if self.needs_reset else found

    @property
    def reading(self) -> str:
        """The call that reads the file; STEPS stands for the length of a sample."""
        given = "".join(
            f", {name}={'STEPS' if name == 'reset_interval' else value}" for name, value in self.options(2).items()
        )
        return f"lava.lib.dl.netx.hdf5.Network(net_config={self.path.name!r}{given})"


def export_netx(network: QuantisedNetwork, path: str | Path, *, force: bool = False) -> NetxFile:
    """Write the network as a NetX file: a chain of one Input, populations, and one Output that shows the last spikes.

    Read back by lava-dl and run in Lava's ``fixed_pt`` models, its spikes are those of precision "loihi", late by
    :attr:`NetxFile.shifts`. A convolution, or a sum over windows, that stands alone between two populations in 3-D is
    written as one; every other chain of stateless nodes becomes one dense layer.

    Args:
        network: in the chip's integers; not changed.
        path: the file; the folder must exist.
        force: replace a file that is already there.

    Raises:
        UnsupportedError: NetX has no words for it: branches, feedback between layers, several Inputs or Outputs,
            voltages as output, weights above 8 bits, several registers in a population, initial values, constant
            currents; names the node.
        FileError: the file exists and ``force`` is False, or cannot be written.
    """
    ready_to_write(path, force=force)
    first, layers = layers_of(network.integers)
    source = network.integers.inputs[first]
    made = NetxFile(
        Path(path),
        {layer.name: i for i, layer in enumerate(layers)},
        {layer.name: layer.shift for layer in layers},
        source.shape[::-1] if layers[0].window is not None else (source.size,),
        layers[-1].shape[::-1],
        (layers[0].window is not None, layers[-1].window is not None),
        any(layer.bias is not None and layer.shift > 0 for layer in layers),
        network.input_scales.get(first, 1.0) != 1.0,
    )
    # HDF5 writes to memory: when a disk is full its library leaves handles open and complains at exit.
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        _write(file, source.shape, layers)
        file["simulation/Ts"] = 1  # steps, as lava-dl has it; its reader looks at layers alone
        file.attrs["hasn"] = json.dumps({"dt": network.dt, "shifts": made.shifts, "read with": made.reading})
    with whole_file(path, force=force) as temporary:
        temporary.write_bytes(content.getbuffer())
    return made


def _write(file: h5py.File, shape: tuple[int, ...], layers: list[Layer]) -> None:
    entries: list[dict[str, Any]] = [{"type": b"input", "shape": shape}]
    for layer in layers:
        if layer.window is None and len(shape) > 1:
            entries.append({"type": b"flatten", "shape": (int(np.prod(shape)),)})
        entries.append(_entry(layer))
        shape = layer.shape
    for i, entry in enumerate(entries):
        for key, value in entry.items():
            packed = {"compression": "gzip"} if np.size(value) > 1 else {}
            file.create_dataset(f"layer/{i}/{key}", data=value, **packed)


def _entry(layer: Layer) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": b"dense", "shape": layer.shape, "weight": layer.weight.astype(np.int16)}
    if layer.window is None:
        entry |= {"outFeatures": layer.weight.shape[0], "inFeatures": layer.weight.shape[1]}
    else:
        outs, ins, *kernel = layer.weight.shape
        window = layer.window
        entry |= {"type": b"conv", "outChannels": outs, "inChannels": ins * window.groups, "kernelSize": kernel}
        entry |= {"stride": window.stride, "dilation": window.dilation, "groups": window.groups}
        entry["padding"] = [low for low, _ in window.pads]
    if layer.recurrent is not None:
        entry |= {"type": b"dense_rec", "weight_rec": layer.recurrent.astype(np.int16)}
    if layer.delay is not None:
        entry["delay"] = layer.delay.astype(np.int16)
    if layer.bias is not None:
        entry["bias"] = layer.bias.astype(np.int32)
    neuron = {"type": b"CUBA", "iDecay": layer.du + 1, "vDecay": layer.dv, "vThMant": layer.vth}
    neuron |= {"refDelay": 1, "wgtExp": 0, "gradedSpike": False}
    return entry | {f"neuron/{key}": value for key, value in neuron.items()}
