"""A small set in VOC layout to spoil, and the real sets where they are."""

import os
from pathlib import Path

import pytest
from tiny import REPOSITORY
from voc_folder import VocFolder

REAL = Path(os.environ.get("RWS_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture
def voc(tmp_path) -> VocFolder:
    """Images a, b (cat), c (dog), listed in train.txt."""
    folder = VocFolder(tmp_path / "set")
    for name, value in (("a", 1), ("b", 1), ("c", 2)):
        folder.pair(name, value)
    folder.list("train", "abc")
    return folder


@pytest.fixture
def real_set():
    """A function from the name of a real set to its folder; skips where the set is not there."""

    def find(name: str) -> Path:
        root = REAL / name
        if not (root / "SegmentationClass").is_dir():
            pytest.skip(
                f"no {name} in VOC layout: put the official set (JPEGImages, SegmentationClass, "
                f"ImageSets/Segmentation) into $RWS_DATA/{name} or ../shared/data/{name}"
            )
        return root

    return find


@pytest.fixture
def samples() -> Path:
    """A folder with ADEChallengeData2016 and cityscapes, a few images of each in their official layout."""
    if not (REAL / "samples").is_dir():
        pytest.skip(
            "no samples: put ADEChallengeData2016 and cityscapes (official layout) into $RWS_DATA/samples or "
            "../shared/data/samples"
        )
    return REAL / "samples"


@pytest.fixture
def real_davis() -> Path:
    """DAVIS sequences dog, libby and cows."""
    if not (REAL / "davis/JPEGImages/480p").is_dir():
        pytest.skip(
            "no DAVIS: put JPEGImages/480p and Annotations/480p of the sequences dog, libby and cows into "
            "$RWS_DATA/davis or ../shared/data/davis"
        )
    return REAL / "davis"
