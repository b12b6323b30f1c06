"""docs/energy.md has every constant as the profiles have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hasn.energy import profile, profiles
from hasn.energy.page import BEGIN, END, main, written

PAGE = Path(__file__).parents[3] / "docs" / "energy.md"


def test_the_page_is_in_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(PAGE)]) == 0, capsys.readouterr().out


def test_every_constant_is_there_with_source_and_grade() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf8").splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(profile(name).constants) for name in profiles())
    for row in rows:
        assert len(row) == 6
        assert all(cell.strip(" |") for cell in row)
    (loihi,) = [row for row in rows if row[0] == "| `loihi1`" and row[1] == "synaptic operation"]
    assert loihi[2] == "at least 23.6 pJ"
    assert "Table 2" in loihi[4]
    assert loihi[5] == "simulated |"
    (albada,) = [row for row in rows if row[0] == "| `spinnaker1` (van Albada 2018)"]
    assert albada[1:3] == ["synaptic operation, all in", "5.9 uJ"]
    assert {row[2] for row in rows if row[0] == "| `loihi2`"} == {"unknown"}


def test_a_stale_page_is_noticed_and_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = PAGE.read_text(encoding="utf8")
    page = tmp_path / "energy.md"
    page.write_text(text.replace("23.6 pJ", "2.36 pJ"), encoding="utf8")
    assert main(["--check", str(page)]) == 1
    said = capsys.readouterr().out
    assert "is stale: run `python -m hasn.energy.page`" in said
    assert "2.36 pJ" in said
    assert "2.36 pJ" in page.read_text(encoding="utf8")
    assert main([str(page)]) == 0
    assert page.read_text(encoding="utf8") == text


@pytest.mark.parametrize("mark", [BEGIN, END])
def test_a_page_without_a_place_for_it(mark: str) -> None:
    with pytest.raises(ValueError, match="the page lacks"):
        written(f"{BEGIN}\n{END}".replace(mark, ""))
