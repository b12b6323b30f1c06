"""What a placement shows: the table, the data, and the heat map's squares, colours and lines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hasn.conversions.loihi import Placement, place
from hasn.conversions.loihi.placement.drawing import DARKEST, centres, fill_map, talk_map
from hasn.errors import FileError
from tests.unit.conversions.loihi import placing
from tests.unit.report.drawn import Page

pytest.importorskip("pymetis")


@pytest.fixture(scope="module")
def placement() -> Placement:
    network = placing.random_layers(4, 12, 20, 18, 8, density=0.4)
    x = (np.random.default_rng(0).random((20, 12)) < 0.3).astype(float)
    return place(network, x, target=placing.SMALL)


def test_the_table_has_a_row_for_each_core_and_the_sum(placement: Placement) -> None:
    text = placement.table()
    rows = [line for line in text.splitlines() if line.startswith("│")][1:]
    assert len(rows) == placement.cores > 2
    cells = [cell.strip() for cell in rows[1].split("│")]
    assert cells[1] == "1"
    assert str(placement.resources["in_axons"][1]) in cells
    assert f"{placement.between[1].sum():,}" in cells
    assert f"Spike messages between cores: {placement.traffic:,} over 1 sample of 20 steps" in text
    assert placement.baseline is not None
    assert placement.saving is not None
    assert f"{placement.baseline.traffic:,} on {placement.baseline.cores} cores" in text
    assert f"so {100 * placement.saving:.1f} % fewer" in text
    core, resource, share = placement.fullest
    assert f"Fullest: core {core}" in text
    assert f"({100 * share:.1f} %)" in text
    assert share == max(float(values.max()) for values in placement.shares.values())
    assert placement.resources[resource][core] / getattr(placing.SMALL, resource) == share


def test_the_data_is_json_and_adds_up(placement: Placement) -> None:
    data = json.loads(json.dumps(placement.to_dict()))
    assert data["traffic"] == sum(pair["messages"] for pair in data["pairs"])
    assert data["message_hops"] == sum(pair["messages"] * pair["hops"] for pair in data["pairs"])
    assert [len(cores) for cores in data["neurons"].values()] == [20, 18, 8]
    assert data["limits"]["compartments"] == 12


def test_the_map_has_every_core_of_the_chip_and_tints_by_share(placement: Placement) -> None:
    page = Page(fill_map(placement, "alt"))
    used, free = page.all("rect", "used"), page.all("rect", "free")
    assert len(used) == placement.cores
    assert len(free) == placing.SMALL.cores - placement.cores
    shares = np.max(list(placement.shares.values()), axis=0)
    order = np.argsort(placement.slots)  # as the squares stand
    tints = [float(square["fill-opacity"] or 0) for square in used]
    assert tints == pytest.approx(DARKEST * shares[order], abs=5e-4)
    labels = [text for _, text in page.texts]
    assert labels == [text for core in order for text in (str(core), f"{100 * shares[core]:.0f} %")]


def test_the_widest_line_joins_the_cores_that_talk_most(placement: Placement) -> None:
    page = Page(talk_map(placement, "alt"))
    both = np.triu(placement.between + placement.between.T, 1)
    lines = page.all("line", "messages")
    assert len(lines) == np.count_nonzero(both)
    a, b = np.unravel_index(int(both.argmax()), both.shape)
    widest = max(lines, key=lambda line: float(line["stroke-width"] or 0))
    assert widest["data-cores"] == f"{a} {b}"
    at = centres(placement)[placement.slots[[a, b]]]
    assert [[float(widest[f"{axis}{end}"] or 0) for axis in "xy"] for end in (1, 2)] == at.tolist()


def test_the_page_holds_the_map_the_cores_and_the_sources(placement: Placement, tmp_path: Path) -> None:
    path = tmp_path / "placement.html"
    placement.to_html(path)
    page = path.read_text(encoding="utf8")
    assert len(Page(page).all("rect", "used")) == 2 * placement.cores
    assert "how much of its fullest resource is in use" in page
    assert f"{placement.traffic:,}" in page
    assert "NengoLoihi, MAX_IN_AXONS" in page
    assert "nothing was measured on a chip" in page
    with pytest.raises(FileError, match="exists"):
        placement.to_html(path)
