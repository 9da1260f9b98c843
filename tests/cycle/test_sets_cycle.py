"""One cycle of RWS on every data set; its val score is held against another's, on what predict.py writes."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from layouts import LAYOUTS, Layout
from official import cityscapes_scores
from PIL import Image
from tiny import REPOSITORY, load_script
from torchmetrics.classification import MulticlassJaccardIndex
from torchvision.models._meta import _COCO_CATEGORIES

from rws.data import open_split

pytestmark = pytest.mark.usefixtures("tiny_runs")

train, predict = load_script("train"), load_script("predict")
LIGHT = "deeplabv3_efficientnet_lite0"
REAL = Path(os.environ.get("RWS_DATA", REPOSITORY.parent / "shared" / "data"))
# Classes of the numbers in label files, by tables that are not ours.
_COCO_IDS = [*(i for i, n in enumerate(_COCO_CATEGORIES) if i and n != "N/A"), *range(92, 183)]
NUMBERS = {
    "coco_stuff164k": {i - 1: index for index, i in enumerate(_COCO_IDS)},
    "coco_stuff10k": {i: index for index, i in enumerate(_COCO_IDS)},
    "ade20k": {i + 1: i for i in range(150)},
}


def run_cycle(name: str, root: Path, folder: Path, network: str, *flags: str) -> dict:
    """One cycle of a few epochs a training; the summary."""
    (folder / "c.yaml").write_text(
        f"runs: {folder / 'runs'}\nname: {name}\ndevice: cpu\nmodel: {{name: {network}, weights: none}}\n"
        f"data: {{name: {name}, root: {root}, partial: true, workers: 0}}\n"
        "train: {epochs: 4, eval_every: 4, batch_size: 2, eval_batch_size: 2, optimizer: adamw, lr: 0.01}\n"
        "slices: {step: 0.25, most_per_image: 2, attention_min: 0.5}\ncycles: {limit: 1, delta: 0}\n"
    )
    sizes = ("--data.base-size", "48", "--data.crop-size", "[48,64]")
    assert train.main(["--config", str(folder / "c.yaml"), *sizes, *flags]) == 0
    return json.loads((folder / "runs" / name / "summary.json").read_text())


def predicted(folder: Path, name: str, root: Path, **chosen: str) -> dict[str, np.ndarray]:
    """What predict.py writes for the images of val, by id: numbers as in the set's label files."""
    opened, images = open_split(name, root, "val", **chosen), folder / "images"
    images.mkdir()
    for image_id in opened.ids:
        path = opened.image_path(image_id)
        shutil.copyfile(path, images / f"{image_id}{path.suffix}")
    checkpoint = str(folder / "runs" / name / "last.pt")
    command = ["--checkpoint", checkpoint, "--input", str(images), "--output", str(folder / "out")]
    assert predict.main([*command, "--device", "cpu"]) == 0
    return {i: np.array(Image.open(folder / "out" / f"{i}.png")) for i in opened.ids}


def jaccard(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> float:
    """torchmetrics' IoU of (prediction, label) pairs, in percent: a mean over the classes that occur.

    255 in a label counts nowhere.
    """
    metric = MulticlassJaccardIndex(classes, ignore_index=255, average=None)
    seen: set[int] = set()
    for found, label in pairs:
        metric.update(torch.from_numpy(found.astype(int)), torch.from_numpy(label.astype(int)))
        seen |= {*np.unique(label).tolist(), *np.unique(found[label != 255]).tolist()} - {255}
    return 100 * float(metric.compute()[sorted(seen)].mean())


def assert_scored(summary: dict, pairs: list, classes: int, network: str) -> None:
    """The run's val score is that of torchmetrics; the quick network predicts several classes by then."""
    assert summary["rws"]["miou"] == pytest.approx(jaccard(pairs, classes), abs=0.05)
    assert network == LIGHT or len({int(v) for found, _ in pairs for v in np.unique(found)}) > 1


def in_classes(name: str, raw: np.ndarray) -> np.ndarray:
    """Numbers of a result as classes, by the tables above."""
    table = NUMBERS.get(name)
    return raw if table is None else np.vectorize(table.__getitem__)(raw)


def assert_agrees(layout: Layout, root: Path, folder: Path, summary: dict, network: str) -> None:
    """The val score is that of torchmetrics, on the labels as they were drawn."""
    name = layout.name
    written = list(predicted(folder, name, root).values())
    labels = [label for split, *_, label in layout.drawn(size=(96, 128)) if split == "val"]
    if layout is LAYOUTS["davis2016"]:  # has no number for what counts nowhere
        labels = [np.where(label == 255, 0, label) for label in labels]
    pairs = [(in_classes(name, found), label) for found, label in zip(written, labels)]
    assert_scored(summary, pairs, CLASSES[name], network)


def assert_cycled(summary: dict) -> None:
    """Weak slices were found, and some features fused."""
    assert summary["cycles"][0]["weak_slices"] > 0
    assert summary["cycles"][1]["fused_share"]


CLASSES = {
    "voc2012": 21,
    "voc2012_aug": 21,
    "coco_stuff164k": 171,
    "coco_stuff10k": 171,
    "ade20k": 150,
    "davis2017": 2,
    "camvid": 11,
    "folder": 3,
}


NETWORKS = ["tiny", pytest.param(LIGHT, marks=pytest.mark.slow)]
LONGER = ("--train.epochs", "12", "--train.eval-every", "12")
QUICK = ("coco_stuff10k", "ade20k", "davis2016", "folder")  # with the tiny network; the others are slow too
CYCLES = [
    pytest.param(key, network, marks=[] if network == "tiny" and key in QUICK else pytest.mark.slow)
    for network in ("tiny", LIGHT)
    for key in LAYOUTS
    if key != "cityscapes"
]


@pytest.fixture(autouse=True)
def without_report(monkeypatch):
    """What goes wrong with a run's page is a warning and fails nothing here."""
    monkeypatch.setattr("rws.report.write.write_or_warn", lambda *args: None)


@pytest.mark.parametrize(("key", "network"), CYCLES)
def test_one_cycle_and_its_score(tmp_path, key, network):
    layout = LAYOUTS[key]
    root = layout.make(tmp_path / "set", size=(96, 128))
    flags = () if key in QUICK and network == "tiny" else LONGER
    summary = run_cycle(layout.name, root, tmp_path, network, *flags)
    assert_cycled(summary)
    assert_agrees(layout, root, tmp_path, summary, network)


def cityscapes_score(root: Path, written: dict[str, np.ndarray], folder: Path) -> float:
    """cityscapesScripts' own score of the written labelIds, in percent."""
    truths = sorted(root.rglob("gtFine/val/*/*_labelIds.png"))
    results = [folder / "out" / f"{path.name.split('_gtFine')[0]}.png" for path in truths]
    assert len(results) == len(written)
    return 100 * float(cityscapes_scores(results, truths)["averageScoreClasses"])


@pytest.mark.parametrize("network", NETWORKS)
def test_one_cycle_on_cityscapes_and_the_official_score(tmp_path, network):
    root = LAYOUTS["cityscapes"].make(tmp_path / "set", size=(96, 128))
    summary = run_cycle("cityscapes", root, tmp_path, network)
    assert_cycled(summary)
    written = predicted(tmp_path, "cityscapes", root)
    assert set(np.unique(list(written.values()))) <= {7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33}
    assert summary["rws"]["miou"] == pytest.approx(cityscapes_score(root, written, tmp_path), abs=0.05)


# The real sets, a few images of each.


def real(name: str) -> Path:
    """Skips where the set is not there."""
    if not (REAL / name).is_dir():
        pytest.skip(f"no {name}: put the official set into $RWS_DATA/{name} or ../shared/data/{name}")
    return REAL / name


def linked(root: Path, source: Path, files: list[str]) -> None:
    """Some files of a set as links, so that the set has lists of its own."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).symlink_to(source / file)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("name", "classes"), [("camvid", 11), pytest.param("voc2012", 21, marks=pytest.mark.slow)]
)
def test_one_cycle_on_real_images_in_voc_layout(tmp_path, name, classes, network):
    source, root = real(name), tmp_path / "set"
    for split, count in (("train", 4), ("val", 2)):
        ids = (source / f"ImageSets/Segmentation/{split}.txt").read_text().split()[:count]
        ending = next(p.suffix for p in (source / "JPEGImages").iterdir() if p.stem == ids[0])
        linked(
            root,
            source,
            [f"JPEGImages/{i}{ending}" for i in ids] + [f"SegmentationClass/{i}.png" for i in ids],
        )
        (root / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
        (root / f"ImageSets/Segmentation/{split}.txt").write_text("\n".join(ids))
    summary = run_cycle(name, root, tmp_path, network, *LONGER)
    pairs = [
        (found, np.array(Image.open(source / "SegmentationClass" / f"{i}.png")))
        for i, found in predicted(tmp_path, name, root).items()
    ]
    assert_scored(summary, pairs, classes, network)


@pytest.mark.parametrize("network", NETWORKS)
def test_one_cycle_on_real_davis_frames(tmp_path, network):
    """Two dogs: trained on one, evaluated on the other, as one class."""
    source, root = real("davis"), tmp_path / "set"
    for sequence, count in (("libby", 4), ("dog", 2)):
        frames = [f"{sequence}/{n:05d}" for n in range(count)]
        linked(root, source, [f"JPEGImages/480p/{f}.jpg" for f in frames])
        linked(root, source, [f"Annotations/480p/{f}.png" for f in frames])
    flags = ("--data.train-list", "libby", "--data.val-list", "dog", "--data.category", "dog")
    summary = run_cycle("davis2017", root, tmp_path, network, *flags, *LONGER)
    masks = {i: root / f"Annotations/480p/{i.replace('-', '/')}.png" for i in ("dog-00000", "dog-00001")}
    written = predicted(tmp_path, "davis2017", root, list_name="dog", category="dog")
    pairs = [(written[i], np.array(Image.open(path)) // 255) for i, path in masks.items()]
    assert_scored(summary, pairs, 2, network)


@pytest.mark.parametrize("network", NETWORKS)
def test_one_cycle_on_real_ade20k_images(tmp_path, network):
    """The samples are of val alone: trained on it, too."""
    root = real("samples") / "ADEChallengeData2016"
    summary = run_cycle("ade20k", root, tmp_path, network, "--data.train-list", "val", "--data.allow-leak")
    pairs = [
        (
            in_classes("ade20k", found),
            np.array(Image.open(root / f"annotations/validation/{i}.png")) - np.uint8(1),
        )
        for i, found in predicted(tmp_path, "ade20k", root).items()
    ]
    assert_scored(summary, pairs, 150, network)


@pytest.mark.parametrize("network", NETWORKS)
def test_one_cycle_on_a_real_cityscapes_image_and_the_official_score(tmp_path, network):
    root = real("samples") / "cityscapes"
    summary = run_cycle(
        "cityscapes", root, tmp_path, network, "--data.train-list", "val", "--data.allow-leak"
    )
    written = predicted(tmp_path, "cityscapes", root)
    assert summary["rws"]["miou"] == pytest.approx(cityscapes_score(root, written, tmp_path), abs=0.05)
