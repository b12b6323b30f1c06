"""Profiles: the published numbers, and a source for every one."""

from __future__ import annotations

from dataclasses import fields

import pytest

from hasn.conversions.loihi.profiles import LOIHI1, LOIHI2, PROFILES, Profile, profile
from hasn.errors import OptionError


def test_loihi_has_what_was_published() -> None:
    assert (LOIHI1.cores, LOIHI1.compartments, LOIHI1.in_axons, LOIHI1.out_axons) == (128, 1024, 4096, 4096)
    assert LOIHI1.memory_bits == 128 * 1024 * 8
    assert LOIHI1.graded_spike_bits == 1


def test_loihi_2_has_what_was_published() -> None:
    assert LOIHI2.cores * LOIHI2.compartments == 2**20  # 1 million neurons
    assert LOIHI2.memory_bits == 192 * 1024 * 8
    assert LOIHI2.graded_spike_bits == 24
    assert "out of scope" in LOIHI2.neurons


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
