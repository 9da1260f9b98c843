"""Where the arrays of the authors' released functions lie."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "golden"


def golden(name):
    """A file of the golden folder; without RWS_GOLDEN and without the folder the test is skipped."""
    given = os.environ.get("RWS_GOLDEN")
    folder = Path(given) if given else BESIDE
    if not folder.is_dir():
        if given:
            pytest.fail(f"RWS_GOLDEN={given}: no such folder; name the one that holds {name}")
        pytest.skip("set RWS_GOLDEN to a folder with slice_windows.json, weak_slices.npz and advantage.npz")
    if not (folder / name).is_file():
        pytest.fail(f"{folder}: no {name} in it; set RWS_GOLDEN to the folder that holds it")
    return folder / name
