"""What the chips hold: one table of limits for each, every number with its source.

Where a number is not published, the profile says so and gives hasn's reading of what is. Both chips run the same LIF
neuron here (:mod:`hasn.program.integers.model`); Loihi 2's programmable neurons (microcode) are out of scope.

Sources, by the short names used below:

- Davies 2018: M. Davies et al., Loihi: A Neuromorphic Manycore Processor with On-Chip Learning, IEEE Micro 38 (1),
  2018, doi:10.1109/MM.2018.112130359.
- Intel 2021: Intel Labs, Taking Neuromorphic Computing to the Next Level with Loihi 2 (technology brief), 2021, the
  table that compares Loihi and Loihi 2.
- NengoLoihi: github.com/nengo/nengo-loihi, ``nengo_loihi/block.py`` and ``builder/validate.py`` (a compiler that ran
  on the chip; its limits are those of Intel's SDK).
- SANA-FE: J. A. Boyle et al., github.com/SLAM-Lab/SANA-FE, ``loihi.yaml`` (an architecture model held against the
  chip).
- Lava: lava-nc 0.10, ``fixed_pt`` models and weight quantisation.
- Brian2Loihi: C. Michaelis et al., Front. Neuroinform. 16:1015624, 2022 (an emulator held against the chip).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hasn.errors import OptionError

_KIB_BITS = 1024 * 8


@dataclass(frozen=True)
class Profile:
    """One chip, as the placement and the quantiser need it.

    Attributes:
        name, title: the target's name, and the chip's.
        cores: neuro cores of a chip.
        compartments: neurons a core has room for.
        in_axons: entries for arriving spikes a core has: one for each distinct source neuron, or Input element, that
            has a synapse on it. None: no limit is published, and entries are charged to the memory.
        out_axons: entries for leaving spikes: one for each pair of a neuron of the core and a core it sends to, its
            own included. None: as above.
        memory_bits: memory for synapses of a core, in bits; for states and axons too where the next two are above 0.
        neuron_bits, axon_bits: what a neuron's state and an axon entry take of that memory; 0 where they have memory
            of their own.
        decay_groups, threshold_groups: distinct (du, dv), and distinct vth, that a core holds; None: not limited.
        weight_bits: bits of a weight's mantissa.
        index_bits: bits that say which compartment a sparse synapse is for.
        max_delay: longest synaptic delay in steps; ``delay_bits`` are added to each synapse that has one.
        header_bits, group_size, word_bits: the synapses of an axon lie in groups of ``group_size``, each behind a
            header and padded to whole words.
        shares_convolutions: whether a core stores a convolution's kernel once, instead of each of its synapses.
        graded_spike_bits: bits of a spike's value; 1 = it has none.
        mesh: (columns, rows) of routers; ``cores_per_router`` cores sit on each. A hop is from router to router.
        neurons: what neuron models the profile covers.
        sources: attribute -> where its number is from, and what in it is hasn's reading.
    """

    name: str
    title: str
    cores: int
    compartments: int
    in_axons: int | None
    out_axons: int | None
    memory_bits: int
    neuron_bits: int
    axon_bits: int
    decay_groups: int | None
    threshold_groups: int | None
    weight_bits: int
    index_bits: int
    delay_bits: int
    max_delay: int
    header_bits: int
    group_size: int
    word_bits: int
    shares_convolutions: bool
    graded_spike_bits: int
    mesh: tuple[int, int]
    cores_per_router: int
    neurons: str
    sources: Mapping[str, str]

    def source_table(self) -> str:
        """Every limit, its value and its source, a line each."""
        rows = [f"{key}: {getattr(self, key)}  [{source}]" for key, source in self.sources.items()]
        return "\n".join([self.title, *rows])


_SYNAPSE_FORMAT = {
    "weight_bits": "Davies 2018 (synapse formats of 1 to 9 bits); Lava (8-bit mantissas)",
    "delay_bits": "Davies 2018 (synaptic delays, 6 bits); Brian2Loihi",
    "max_delay": "Brian2Loihi (delays of 0..62 steps)",
    "header_bits": "NengoLoihi, SynapseConfig.bits_per_axon (4 + 6 bits before each group of synapses)",
    "word_bits": "NengoLoihi, SynapseConfig.bits_per_axon (groups are padded to 64 bits)",
    "group_size": "NengoLoihi (n_synapses = 63, so groups of 64)",
}

LOIHI1 = Profile(
    name="loihi1",
    title="Loihi (1)",
    cores=128,
    compartments=1024,
    in_axons=4096,
    out_axons=4096,
    memory_bits=128 * _KIB_BITS,
    neuron_bits=0,
    axon_bits=0,
    decay_groups=32,
    threshold_groups=16,
    weight_bits=8,
    index_bits=10,
    delay_bits=6,
    max_delay=62,
    header_bits=10,
    group_size=64,
    word_bits=64,
    shares_convolutions=False,
    graded_spike_bits=1,
    mesh=(8, 4),
    cores_per_router=4,
    neurons="LIF (current-based, two states)",
    sources=MappingProxyType(
        {
            "cores": "Davies 2018, Chip overview: 128 neuromorphic cores",
            "compartments": "Davies 2018: each core implements 1,024 compartments",
            "in_axons": "NengoLoihi, MAX_IN_AXONS",
            "out_axons": "NengoLoihi, MAX_OUT_AXONS",
            "memory_bits": "Davies 2018 (16 MB of synaptic memory on 128 cores); NengoLoihi, MAX_SYNAPSE_BITS",
            "neuron_bits": "Intel 2021: fixed allocation, so a neuron's 24 bytes are not taken from the synapses'",
            "axon_bits": "Intel 2021: fixed allocation",
            "decay_groups": "NengoLoihi, validate_core: at most 32 compartment configurations",
            "threshold_groups": "NengoLoihi, validate_core: at most 16 threshold configurations",
            "index_bits": "NengoLoihi, INDEX_BITS_MAP: 10 bits tell 1024 compartments apart",
            **_SYNAPSE_FORMAT,
            "shares_convolutions": "hasn's reading, on the safe side: Davies 2018 names connectivity templates for "
            "weight sharing, but not what they cost; so each synapse of a convolution is counted",
            "graded_spike_bits": "Intel 2021: binary spike events",
            "mesh": "Davies 2018 gives times and energies per tile hop, SANA-FE has 8 x 4 tiles of 4 cores",
            "cores_per_router": "SANA-FE: 4 cores a tile",
            "neurons": "Davies 2018; Lava (LIF, fixed_pt)",
        }
    ),
)

LOIHI2 = Profile(
    name="loihi2",
    title="Loihi 2",
    cores=128,
    compartments=8192,
    in_axons=None,
    out_axons=None,
    memory_bits=192 * _KIB_BITS,
    neuron_bits=24 * 8,
    axon_bits=56,
    decay_groups=None,
    threshold_groups=None,
    weight_bits=8,
    index_bits=13,
    delay_bits=6,
    max_delay=62,
    header_bits=10,
    group_size=64,
    word_bits=64,
    shares_convolutions=True,
    graded_spike_bits=24,
    mesh=(8, 4),
    cores_per_router=4,
    neurons="LIF (current-based, two states); programmable neurons are out of scope",
    sources=MappingProxyType(
        {
            "cores": "Intel 2021: at most 128 neuron cores a chip (papers report 120 to 128 in use)",
            "compartments": "Intel 2021: up to 1 million neurons a chip, that is 8192 a core",
            "in_axons": "not published; hasn's reading: entries come out of the core's memory",
            "out_axons": "not published; hasn's reading: entries come out of the core's memory",
            "memory_bits": "Intel 2021: 192 KB a core, flexible allocation, so for synapses, states and axons together",
            "neuron_bits": "Intel 2021: 0 to 4096 bytes, by model; hasn's reading: Loihi's 24 bytes for the same LIF",
            "axon_bits": "hasn's reading, from Intel 2021 on Loihi: of its 208 KB, 128 KB of synapses and 1024 neurons "
            "of 24 bytes leave 56 KB for 2 x 4096 axons",
            "decay_groups": "hasn's reading: not limited, decays are variables of a neuron's program (Intel 2021)",
            "threshold_groups": "hasn's reading: not limited, as decays",
            "index_bits": "hasn's reading: 13 bits tell 8192 neurons apart",
            **{key: f"{text}; hasn's reading: as on Loihi" for key, text in _SYNAPSE_FORMAT.items()},
            "shares_convolutions": "Intel 2021: convolutional synapses; hasn's reading: each kernel weight that the "
            "neurons of a core use is stored once",
            "graded_spike_bits": "Intel 2021: up to 32-bit payload; Lava: num_message_bits of 0..24",
            "mesh": "not published; hasn's reading: as on Loihi",
            "cores_per_router": "not published; hasn's reading: as on Loihi",
            "neurons": "Intel 2021 (fully programmable); hasn covers the LIF that Lava's fixed_pt model has",
        }
    ),
)

#: Target -> profile.
PROFILES: Mapping[str, Profile] = MappingProxyType({p.name: p for p in (LOIHI1, LOIHI2)})


def profile(target: str) -> Profile:
    """The profile of a target.

    Raises:
        OptionError: there is none of that name.
    """
    if target not in PROFILES:
        raise OptionError("no such chip", parameter="target", got=repr(target), wanted=" or ".join(PROFILES))
    return PROFILES[target]
