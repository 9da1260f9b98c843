"""The tour runs from its own folder, its claims asserted in its cells; it is stored with its outputs."""

import json
import re

import pytest
from tiny import REPOSITORY

TOUR = REPOSITORY / "notebooks" / "tour.ipynb"


def cells(kind: str) -> list[dict]:
    return [cell for cell in json.loads(TOUR.read_text())["cells"] if cell["cell_type"] == kind]


def pictures_by_step(tour: list) -> dict[int, int]:
    """How many pictures the cells of each of the five steps show."""
    step, found = 0, dict.fromkeys(range(1, 6), 0)
    for cell in tour:
        if heading := re.search(r"^## (\d)\.", "".join(cell["source"]), re.MULTILINE):
            step = int(heading[1])
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                found[step] += 1
    return found


def test_it_is_stored_as_it_ran_and_its_links_lead_somewhere():
    code = cells("code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = {output["output_type"] for cell in code for output in cell["outputs"]}
    assert "error" not in kinds
    assert all(pictures_by_step(json.loads(TOUR.read_text())["cells"]).values())
    prose = "\n".join("".join(cell["source"]) for cell in cells("markdown"))
    links = re.findall(r"\]\(([^)]+)\)", prose)
    assert len(links) >= 5
    assert all((TOUR.parent / link).is_file() for link in links)
    assert [int(n) for n in re.findall(r"^## (\d)\.", prose, re.MULTILINE)] == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_it_runs_and_every_step_has_pictures():
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    tour = nbformat.read(TOUR, as_version=4)
    nbclient.NotebookClient(tour, timeout=900, resources={"metadata": {"path": str(TOUR.parent)}}).execute()
    pictures = pictures_by_step(tour.cells)
    assert all(pictures.values()), f"pictures by step: {pictures}"
