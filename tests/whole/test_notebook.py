"""The tour runs from its own folder, its claims asserted in its cells; it is stored without outputs."""

import json
import re

import pytest
from tiny import REPOSITORY

TOUR = REPOSITORY / "notebooks" / "tour.ipynb"


def cells(kind: str) -> list[dict]:
    return [cell for cell in json.loads(TOUR.read_text())["cells"] if cell["cell_type"] == kind]


def test_it_is_stored_without_outputs_and_its_links_lead_somewhere():
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells("code"))
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
    step, pictures = 0, dict.fromkeys(range(1, 6), 0)
    for cell in tour.cells:
        if heading := re.search(r"^## (\d)\.", cell.source, re.MULTILINE):
            step = int(heading[1])
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                pictures[step] += 1
    assert all(pictures.values()), f"pictures by step: {pictures}"
