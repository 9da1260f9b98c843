"""A tiny run of train.py on a folder whose names would break a page that does not escape them."""

from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from tiny import load_script

train = load_script("train")
CLASSES = ("background", '<script>alert(1)</script> & "co\'w"', "$x^2$ fish")
IDS = tuple(f"im <b>{i}" for i in range(9))


def folder_set(root: Path, classes: tuple[str, ...] = CLASSES) -> Path:
    """Nine images with a rectangle of each foreground class, each elsewhere; the first row is ignored."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    (root / "classes.txt").write_text("\n".join(classes) + "\n")
    (root / "train.txt").write_text("\n".join(IDS[:6]) + "\n")
    (root / "val.txt").write_text("\n".join(IDS[6:]) + "\n")
    for place, image_id in enumerate(IDS):
        rng = np.random.default_rng(place)
        pixels = rng.integers(60, 120, (48, 64, 3), np.uint8)
        label = np.zeros((48, 64), np.uint8)
        for number in (1, 2):
            y, x = rng.integers(2, 24), 2 + 30 * (number - 1) + rng.integers(0, 8)
            label[y : y + 20, x : x + 22] = number
            pixels[y : y + 20, x : x + 22, number] += 120
        label[0] = 255
        Image.fromarray(pixels).save(root / "images" / f"{image_id}.png")
        Image.fromarray(label).save(root / "masks" / f"{image_id}.png")
    return root


def configuration(root: Path, runs: Path, **sections: dict) -> dict:
    tree = {
        "name": "tiny run",
        "seed": 1,
        "runs": str(runs),
        "device": "cpu",
        "model": {"name": "tiny", "weights": "none"},
        "data": {
            "name": "folder",
            "root": str(root),
            "base_size": 32,
            "crop_size": [32, 40],
            "scale": [0.8, 1.5],
            "workers": 0,
        },
        "train": {"epochs": 2, "batch_size": 2, "optimizer": "adamw", "lr": 0.01},
        "slices": {"step": 0.25, "most_per_image": 3},
        "cycles": {"limit": 1, "delta": 0, "start": "last"},
    }
    for name, values in sections.items():
        tree[name] = {**tree.get(name, {}), **values} if isinstance(values, dict) else values
    return tree


def run(place: Path, root: Path, *flags: str, **sections: dict) -> Path:
    """Run train.py in this process, where a test has registered the network `tiny`; the run's folder."""
    place.mkdir(parents=True, exist_ok=True)
    tree = configuration(root, place / "runs", **sections)
    (place / "run.yaml").write_text(yaml.safe_dump(tree))
    assert train.main(["--config", str(place / "run.yaml"), *flags]) == 0
    return place / "runs" / tree["name"]
