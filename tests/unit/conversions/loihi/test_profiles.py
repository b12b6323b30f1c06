"""Profiles: the published numbers, and a source for every one."""

from __future__ import annotations

from dataclasses import fields

import pytest

from hasn.conversions.loihi.profiles import LOIHI2, PROFILES, Profile, profile
from hasn.errors import OptionError


def test_loihi_has_what_was_published() -> None:
    chip = profile("loihi1")
    assert (chip.cores, chip.compartments, chip.in_axons, chip.out_axons) == (128, 1024, 4096, 4096)
    assert chip.memory_bits == 128 * 1024 * 8
    assert (chip.decay_groups, chip.threshold_groups) == (32, 16)
    assert (chip.neuron_bits, chip.axon_bits, chip.shares_convolutions) == (0, 0, False)
    assert chip.graded_spike_bits == 1
    assert 2**chip.index_bits == chip.compartments


def test_loihi_2_has_what_was_published() -> None:
    chip = profile("loihi2")
    assert (chip.cores, chip.cores * chip.compartments) == (128, 2**20)  # 1 million neurons
    assert chip.memory_bits == 192 * 1024 * 8
    assert (chip.in_axons, chip.out_axons, chip.decay_groups, chip.threshold_groups) == (None, None, None, None)
    # of Loihi's 208 KB, 128 of synapses and 1024 neurons of 24 bytes leave 2 x 4096 axons
    assert chip.neuron_bits == 24 * 8
    assert chip.axon_bits == ((208 - 128) * 1024 - 1024 * 24) * 8 // (2 * 4096)
    assert chip.shares_convolutions
    assert chip.graded_spike_bits == 24
    assert 2**chip.index_bits == chip.compartments
    assert "out of scope" in chip.neurons


@pytest.mark.parametrize("name", ["loihi1", "loihi2"])
def test_synapses_are_stored_as_was_published(name: str) -> None:
    chip = profile(name)
    assert (chip.weight_bits, chip.delay_bits, chip.max_delay) == (8, 6, 62)
    assert (chip.header_bits, chip.group_size, chip.word_bits) == (4 + 6, 64, 64)
    assert (chip.mesh, chip.cores_per_router) == ((8, 4), 4)


@pytest.mark.parametrize("chip", PROFILES.values(), ids=list(PROFILES))
def test_every_number_has_a_source(chip: Profile) -> None:
    numbers = {field.name for field in fields(Profile)} - {"name", "title", "sources"}
    assert set(chip.sources) == numbers
    assert all(len(text) > 10 for text in chip.sources.values())
    table = chip.source_table()
    assert f"compartments: {chip.compartments}  [{chip.sources['compartments']}]" in table


@pytest.mark.parametrize("chip", PROFILES.values(), ids=list(PROFILES))
def test_the_mesh_has_a_place_for_every_core(chip: Profile) -> None:
    assert chip.mesh[0] * chip.mesh[1] * chip.cores_per_router == chip.cores


def test_an_unknown_chip_is_refused_with_those_there_are() -> None:
    with pytest.raises(OptionError, match="got 'loihi3'; wanted loihi1 or loihi2"):
        profile("loihi3")
    assert profile("loihi2") is LOIHI2
