"""Exports of annotation tools, changed and damaged: the import ends well, writes nothing but its folder, and
what it has written can be read."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from exports import EXPORTS
from fuzz import ODD, bent, changed, of_seed, sample_and_all, try_all, wrong

from rws.data.import_.__main__ import main
from rws.data.sets.classes_file import read_classes

KEYS = ("coco-runs", "coco-compressed", "labelme-masks", "cvat-outlines", "cvat-masks", "yolo", "voc-palette")
KEYS += ("roboflow-coco", "roboflow-masks")
NUMBERS = (
    float("nan"),
    float("inf"),
    1e300,
    -1e9,
    2**63,
    -1,
    0,
    10**30,
    "../../x",
    "a\0",
    "\ud800",
    "x" * 300,
)


@pytest.fixture(scope="module")
def exports(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("exports")
    return {key: EXPORTS[key][1](root / key) for key in KEYS}


def spoil(rng: random.Random, root: Path) -> None:
    """Change some of the files that are no photographs."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix != ".jpg"]
    for path in rng.sample(files, min(len(files), rng.choice((1, 1, 3)))):
        kind = rng.randrange(6)
        if kind == 0:
            path.unlink()
        elif path.suffix in (".json", ".yaml") and kind > 1:
            tree = (
                yaml.safe_load(path.read_text()) if path.suffix == ".yaml" else json.loads(path.read_bytes())
            )
            tree = changed(rng, tree, (*ODD, *NUMBERS))
            path.write_text(json.dumps(tree))
        elif path.suffix in (".xml", ".txt", ".csv") and kind > 2:
            path.write_text(swapped(rng, path.read_text()), errors="replace")
        else:
            path.write_bytes(bent(rng, path.read_bytes()))


def swapped(rng: random.Random, text: str) -> str:
    """A text with one of its numbers or words put in place of others, or an odd one."""
    words = text.split(" ")
    for _ in range(rng.choice((1, 3))):
        odd = rng.choice(
            (rng.choice(words), "nan", "-1", "1e999", '"', "9" * 400, 'width="1e9"', "<", "&x;", "")
        )
        words[rng.randrange(len(words))] = odd
    return " ".join(words)


def attempt(exports: dict[str, Path], key: str) -> Callable[[random.Random, Path], str]:
    def run(rng: random.Random, place: Path) -> str:
        shutil.copytree(exports[key], place / "export")
        spoil(rng, place / "export")
        before = set(place.rglob("*"))
        said = wrong(main, EXPORTS[key][0], place / "export", "--output", place / "mine")
        new = {path.relative_to(place).parts[0] for path in set(place.rglob("*")) - before}
        if said or not new <= {"mine"}:
            return said or f"has written {new}"
        if new:
            names = {path.stem for path in (place / "mine/images").iterdir()}
            if names != {path.stem for path in (place / "mine/masks").iterdir()} or not names:
                return "images and masks that are no pairs"
            read_classes(place / "mine/classes.txt")
        return ""

    return run


@sample_and_all(12, 250)
@pytest.mark.parametrize("key", KEYS)
def test_spoiled_exports(exports, tmp_path, numbers, key):
    try_all(tmp_path, numbers, attempt(exports, key), f"import {key}")


def test_the_spoiling_leaves_enough_to_read(exports, tmp_path):
    """Of exports that are spoiled a good part is still read, so that the rest of the way is tried, too."""
    for number in range(12):
        shutil.copytree(exports["coco-runs"], tmp_path / f"{number}/export")
        spoil(of_seed("import coco-runs", number), tmp_path / f"{number}/export")
    codes = [
        main(["coco", str(tmp_path / f"{n}/export"), "--output", str(tmp_path / f"{n}/mine")])
        for n in range(12)
    ]
    assert codes.count(0) >= 4
