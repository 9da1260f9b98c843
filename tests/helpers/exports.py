"""Exports of annotation tools, made of the demo set's scenes, for the tests of `rws.data.import_`."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import yaml
from PIL import Image

from rws.data.classes import DEMO, voc_colour
from rws.data.sets.demo_scene import HEIGHT, WIDTH, scene
from rws.predict.annotations import Polygon, polygons, runs

NAMES = DEMO.names[1:]
SIZE = HEIGHT, WIDTH


@dataclass(frozen=True)
class Scene:
    """An image, its label and its split; all classes are in the first five."""

    name: str
    image: np.ndarray
    label: np.ndarray
    split: str

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.image).save(path, quality=95)

    @property
    def regions(self) -> list[Polygon]:
        return polygons(self.label, DEMO, tolerance=0)

    @property
    def masks(self) -> list[tuple[int, np.ndarray]]:
        return [(n, self.label == n) for n in range(1, len(DEMO.names)) if (self.label == n).any()]


@cache
def scenes() -> tuple[Scene, ...]:
    """Five scenes for train and two for val."""
    drawn = [scene(np.random.default_rng([20, k]), 1 + k % 5) for k in range(7)]
    return tuple(Scene(f"foto {k} ö", *pair, "train" if k < 5 else "val") for k, pair in enumerate(drawn))


def categories() -> list[dict]:
    return [{"id": 10 * n, "name": name, "supercategory": ""} for n, name in enumerate(NAMES, 1)]


def in_one(region: Polygon) -> np.ndarray:
    """The outline with its holes, joined at the first corners; shape: (n, 2)."""
    ring = region.outline
    for hole in region.holes:
        ring = np.concatenate([ring, ring[:1], hole, hole[:1], ring[:1]])
    return ring


# COCO.


def coco(root: Path, segmentation: Callable[[Scene], list[dict]]) -> Path:
    """As the data set lies: annotations/instances_train2017.json, images/train2017."""
    for split in ("train", "val"):
        tree = {"images": [], "annotations": [], "categories": categories()}
        for number, each in enumerate(s for s in scenes() if s.split == split):
            each.save(root / f"images/{split}2017/{each.name}.jpg")
            image = {"id": number, "file_name": f"{each.name}.jpg", "height": HEIGHT, "width": WIDTH}
            tree["images"].append(image)
            tree["annotations"] += [{"image_id": number, **one} for one in segmentation(each)]
        for number, one in enumerate(tree["annotations"]):
            one["id"] = number
        save_json(root / f"annotations/instances_{split}2017.json", tree)
        save_json(root / f"annotations/captions_{split}2017.json", {"annotations": [{"caption": "a"}]})
    return root


def save_json(path: Path, tree: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree))
    return path


def _runs(each: Scene) -> list[dict]:
    form = [({"size": list(SIZE), "counts": runs(mask)}, n) for n, mask in each.masks]
    return [{"category_id": 10 * n, "iscrowd": 1, "segmentation": f} for f, n in form]


def compressed(lengths: list[int]) -> str:
    """Run lengths in COCO's compressed form."""
    text = ""
    for k, length in enumerate(lengths):
        number, more = length - (lengths[k - 2] if k > 2 else 0), True
        while more:
            bits, number = number & 31, number >> 5
            more = number != (-1 if bits & 16 else 0)
            text += chr((bits | 32 if more else bits) + 48)
    return text


def _compressed(each: Scene) -> list[dict]:
    records = _runs(each)
    for record in records:
        form = record["segmentation"]
        record |= {"iscrowd": 0, "segmentation": {**form, "counts": compressed(form["counts"])}}
    return records


def _outlines(each: Scene) -> list[dict]:
    """All parts of a class as one object, without holes where it has none."""
    records = []
    for n, name in enumerate(NAMES, 1):
        parts = [in_one(region).ravel().tolist() for region in each.regions if region.name == name]
        records += [{"category_id": 10 * n, "iscrowd": 0, "segmentation": parts}] if parts else []
    return records


# labelme.


def labelme(root: Path, shapes: Callable[[Scene], list[dict]], embedded: bool = False) -> Path:
    """A JSON file beside each image, in a folder for each split."""
    for each in scenes():
        path = root / each.split / f"{each.name}.jpg"
        each.save(path)
        data = base64.b64encode(path.read_bytes()).decode() if embedded else None
        tree = {"version": "5.5.0", "shapes": shapes(each), "imagePath": path.name, "imageData": data}
        save_json(path.with_suffix(".json"), tree | {"imageHeight": HEIGHT, "imageWidth": WIDTH})
        if embedded:
            path.unlink()
    labels = "".join(f"{name}\n" for name in ("__ignore__", "_background_", *NAMES))
    (root / "labels.txt").write_text(labels)
    return root


def _labelme_outlines(each: Scene) -> list[dict]:
    return [{"label": r.name, "points": in_one(r).tolist(), "shape_type": "polygon"} for r in each.regions]


def _labelme_masks(each: Scene) -> list[dict]:
    shapes = []
    for n, mask in each.masks:
        top, left, part = cut_out(mask)
        file = io.BytesIO()
        Image.fromarray(part).save(file, "PNG")
        corner = [left + part.shape[1] - 1, top + part.shape[0] - 1]
        data = base64.b64encode(file.getvalue()).decode()
        one = {"label": DEMO.names[n], "points": [[left, top], corner], "shape_type": "mask", "mask": data}
        shapes.append(one)
    return shapes


def cut_out(mask: np.ndarray) -> tuple[int, int, np.ndarray]:
    """The least box around a mask: top, left, and the mask in it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(columns[0]), mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


# CVAT.


def cvat(root: Path, shapes: Callable[[Scene], list[tuple[str, dict]]]) -> Path:
    """As a project is exported: annotations.xml, and the images in a folder for each subset."""
    tree = ElementTree.Element("annotations")
    ElementTree.SubElement(tree, "version").text = "1.1"
    labels = ElementTree.SubElement(ElementTree.SubElement(tree, "meta"), "labels")
    for name in NAMES:
        ElementTree.SubElement(ElementTree.SubElement(labels, "label"), "name").text = name
    for number, each in enumerate(scenes()):
        subset = {"train": "Train", "val": "Validation"}[each.split]
        each.save(root / f"images/{subset}/{each.name}.jpg")
        size = {"width": str(WIDTH), "height": str(HEIGHT)}
        head = {"id": str(number), "name": f"{each.name}.jpg", "subset": subset, **size}
        image = ElementTree.SubElement(tree, "image", head)
        for kind, one in shapes(each):
            ElementTree.SubElement(image, kind, {"occluded": "0", "z_order": "0", **one})
    ElementTree.ElementTree(tree).write(root / "annotations.xml", encoding="utf-8", xml_declaration=True)
    return root


def _cvat_outlines(each: Scene) -> list[tuple[str, dict]]:
    points = [";".join(f"{x:.2f},{y:.2f}" for x, y in in_one(region)) for region in each.regions]
    return [("polygon", {"label": r.name, "points": text}) for r, text in zip(each.regions, points)]


def _cvat_masks(each: Scene) -> list[tuple[str, dict]]:
    shapes = []
    for n, mask in each.masks:
        top, left, part = cut_out(mask)
        box = {"left": left, "top": top, "width": part.shape[1], "height": part.shape[0]}
        text = ", ".join(map(str, runs(part.T)))
        box = {name: str(value) for name, value in box.items()}
        shapes.append(("mask", {"label": DEMO.names[n], "rle": text, **box}))
    return shapes


# YOLO.


def yolo(root: Path) -> Path:
    """As Ultralytics' export lies: data.yaml, images/train, labels/train."""
    for each in scenes():
        each.save(root / f"images/{each.split}/{each.name}.jpg")
        path = root / f"labels/{each.split}/{each.name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        for region in each.regions:
            numbers = (in_one(region) / SIZE[::-1]).ravel()
            lines.append(" ".join([str(region.number - 1), *(f"{number:.6f}" for number in numbers)]))
        path.write_text("".join(f"{line}\n" for line in lines))
    names = dict(enumerate(NAMES))
    (root / "data.yaml").write_text(
        yaml.safe_dump(
            {"path": "../datasets/x", "train": "images/train", "val": "images/val", "names": names}
        )
    )
    return root


# VOC, and CVAT's masks.


def voc(root: Path, mode: str = "P", listed: bool = True) -> Path:
    """JPEGImages, SegmentationClass, SegmentationObject, labelmap.txt with colours of its own, the lists."""
    colours = [(0, 0, 0), *(voc_colour(40 + n) for n in range(len(NAMES)))]
    lines = [f"{name}:{','.join(map(str, colour))}::\n" for name, colour in zip(DEMO.names, colours)]
    for folder in ("SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    if listed:
        (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "".join(lines))
    for each in scenes():
        each.save(root / f"JPEGImages/{each.name}.jpg")
        mask = Image.fromarray(each.label)
        if mode != "L":
            mask.putpalette([level for colour in colours for level in colour])
        for folder in ("SegmentationClass", "SegmentationObject"):
            mask.convert(mode).save(root / folder / f"{each.name}.png")
    for split in ("train", "val"):
        ids = "".join(f"{each.name}\n" for each in scenes() if each.split == split)
        (root / f"ImageSets/Segmentation/{split}.txt").write_text(ids)
    return root


# Roboflow.


def roboflow_coco(root: Path) -> Path:
    above = {"id": 0, "name": "things", "supercategory": "none"}
    listed = [above, *({**one, "supercategory": "things"} for one in categories())]
    for split, folder in (("train", "train"), ("val", "valid")):
        tree = {"images": [], "annotations": [], "categories": listed}
        for number, each in enumerate(s for s in scenes() if s.split == split):
            each.save(root / folder / f"{each.name}.jpg")
            image = {"id": number, "file_name": f"{each.name}.jpg", "height": HEIGHT, "width": WIDTH}
            tree["images"].append(image)
            tree["annotations"] += [{"id": 1, "image_id": number, **one} for one in _outlines(each)]
        save_json(root / folder / "_annotations.coco.json", tree)
    return root


def roboflow_masks(root: Path) -> Path:
    for each in scenes():
        folder = root / {"train": "train", "val": "valid"}[each.split]
        each.save(folder / f"{each.name}.jpg")
        Image.fromarray(each.label).save(folder / f"{each.name}_mask.png")
        rows = "".join(f"{n}, {name}\n" for n, name in enumerate(DEMO.names))
        (folder / "_classes.csv").write_text(f"Pixel Value, Class\n{rows}")
    return root


# By name the format and what makes the export in a folder.
EXPORTS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "coco-runs": ("coco", lambda root: coco(root, _runs)),
    "coco-compressed": ("coco", lambda root: coco(root, _compressed)),
    "coco-outlines": ("coco", lambda root: coco(root, _outlines)),
    "labelme-outlines": ("labelme", lambda root: labelme(root, _labelme_outlines)),
    "labelme-embedded": ("labelme", lambda root: labelme(root, _labelme_outlines, embedded=True)),
    "labelme-masks": ("labelme", lambda root: labelme(root, _labelme_masks)),
    "cvat-outlines": ("cvat", lambda root: cvat(root, _cvat_outlines)),
    "cvat-masks": ("cvat", lambda root: cvat(root, _cvat_masks)),
    "cvat-pictures": ("cvat", voc),
    "yolo": ("yolo", yolo),
    "voc-palette": ("voc", voc),
    "voc-colours": ("voc", lambda root: voc(root, "RGB")),
    "voc-numbers": ("voc", lambda root: voc(root, "L")),
    "roboflow-coco": ("roboflow", roboflow_coco),
    "roboflow-masks": ("roboflow", roboflow_masks),
}
