"""A label as annotations of other tools, so that people correct predictions there: COCO and labelme.

An outline runs between the centres of the pixels within and without, so that `rws.data.import_` fills it to
the same pixels again; `tolerance` leaves out corners that matter less.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from contourpy import FillType, contour_generator

from rws.data.classes import ClassSet
from rws.data.import_.shapes import Size, fill
from rws.errors import UserError
from rws.runtime.files import written

TOLERANCE = 0.3  # pixels
ONE_IMAGE, ALL_IMAGES = ".json", "annotations.coco.json"


@dataclass(frozen=True)
class Polygon:
    """A connected region of one class: its outline, and those of its holes.

    Shape: outlines (n, 2) of x, y in pixels, from (0, 0), the upper left corner of the image.
    """

    name: str
    number: int
    outline: np.ndarray
    holes: tuple[np.ndarray, ...] = ()

    def pixels(self, size: Size) -> np.ndarray:
        """The pixels in it.

        Shape: `size`, bool.
        """
        mask = np.zeros(size, bool)
        view, inside = fill([self.outline, *self.holes], size).within(mask)
        view |= inside
        return mask

    @property
    def box_xywh(self) -> list[float]:
        """The least box around it: x, y, width, height."""
        low, high = self.outline.min(0), self.outline.max(0)
        return [*low.tolist(), *(high - low).tolist()]

    def simple(self, tolerance: float) -> "Polygon":
        """The same with the corners alone that lie further than so many pixels from the line without them."""
        holes = tuple(_simple(hole, tolerance) for hole in self.holes)
        return replace(self, outline=_simple(self.outline, tolerance), holes=holes)


def polygons(label: np.ndarray, classes: ClassSet, tolerance: float = TOLERANCE) -> list[Polygon]:
    """The connected regions of all classes but background, class by class; with tolerance 0 to the pixel.

    Shape: label (H, W), class numbers.
    """
    found = []
    for number in classes.foreground:
        mask = label == number
        if not mask.any():
            continue
        lines = contour_generator(z=np.pad(mask.astype(np.float32), 1), fill_type=FillType.OuterOffset)
        for points, offsets in zip(*lines.filled(0.5, np.inf)):
            # The padding moves all by 1, the centre of a pixel lies at 0.5; the last corner is the first one.
            outline, *holes = (ring[:-1] - 0.5 for ring in np.split(points, offsets[1:-1]))
            found.append(Polygon(classes.names[number], number, outline, tuple(holes)))
    return [region.simple(tolerance) for region in found] if tolerance else found


def _simple(ring: np.ndarray, tolerance: float) -> np.ndarray:
    fewer = cv2.approxPolyDP(ring.astype(np.float32), tolerance, True)[:, 0]
    return fewer.astype(np.float64) if len(fewer) > 2 else ring


def runs(mask: np.ndarray) -> list[int]:
    """The run lengths of a mask by columns, the first one of pixels outside.

    Shape: mask (H, W) bool.
    """
    pixels = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(pixels, prepend=False)).tolist()
    ends = [*edges, len(pixels)]
    return [end - start for start, end in zip([0, *edges], ends)]


def labelme(label: np.ndarray, classes: ClassSet, image: Path, folder: Path) -> dict:
    """What labelme reads for an image from a JSON file in `folder`. A hole is cut to the outline by a line.

    Shape: label (H, W), of the image as a viewer shows it.
    """
    height, width = label.shape
    shapes = [
        {
            "label": region.name,
            "points": _in_one(region).round(2).tolist(),
            "group_id": None,
            "shape_type": "polygon",
            "flags": {},
        }
        for region in polygons(label, classes)
    ]
    path = Path(os.path.relpath(image.resolve(), folder.resolve())).as_posix()
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": path,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _in_one(region: Polygon) -> np.ndarray:
    """The outline with each hole joined to it at the nearest corners, by a line there and back.

    Shape: (n, 2).
    """
    ring = region.outline
    for hole in region.holes:
        apart = ((ring[:, None] - hole) ** 2).sum(-1)
        at, start = np.unravel_index(apart.argmin(), apart.shape)
        turned = np.roll(hole, -start, 0)
        ring = np.concatenate([ring[: at + 1], turned, turned[:1], ring[at:]])
    return ring


class CocoFile:
    """COCO's instances of several images, gathered one by one."""

    def __init__(self, classes: ClassSet) -> None:
        self.classes = classes
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add(self, name: str, label: np.ndarray) -> None:
        """Add an image under its file's name: outlines, and run lengths for a region with holes.

        Shape: label (H, W).
        """
        height, width = label.shape
        number = len(self.images) + 1
        self.images.append({"id": number, "file_name": name, "height": height, "width": width})
        for region in polygons(label, self.classes, tolerance=0):
            self.annotations.append(self._annotation(region, number, label.shape))

    def _annotation(self, region: Polygon, image: int, size: Size) -> dict:
        mask = region.pixels(size)
        form: object = {"size": list(size), "counts": runs(mask)}
        if not region.holes:
            form = [region.simple(TOLERANCE).outline.reshape(-1).round(2).tolist()]
        return {
            "id": len(self.annotations) + 1,
            "image_id": image,
            "category_id": region.number,
            "segmentation": form,
            "area": int(mask.sum()),
            "bbox": region.box_xywh,
            "iscrowd": 0,
        }

    def tree(self) -> dict:
        """All of it, as the JSON file holds it."""
        categories = [
            {"id": number, "name": self.classes.names[number], "supercategory": ""}
            for number in self.classes.foreground
        ]
        return {"images": self.images, "annotations": self.annotations, "categories": categories}


class Annotations:
    """Writes predictions as annotations: labelme's a file an image, COCO's in one file at the end.

    stems: where the results of each image go, without their endings.

    Raises: UserError for a file that is there already: people may have corrected it.
    """

    def __init__(self, form: str, classes: ClassSet, stems: dict[Path, Path], output: Path) -> None:
        self.classes, self.stems, self.output = classes, stems, output
        self.gathered = CocoFile(classes) if form == "coco" else None
        there = [path for path in map(self._path, stems) if path.exists()]
        if there:
            raise UserError(
                f"{there[0]}: is there, and may have been corrected; move it away, or give another --output"
            )

    def _path(self, image: Path) -> Path:
        """The file in which an image's annotations are."""
        stem = self.stems[image]
        return self.output / ALL_IMAGES if self.gathered else stem.with_name(stem.name + ONE_IMAGE)

    def add(self, image: Path, label: np.ndarray) -> None:
        """Write or gather what is predicted of an image.

        Shape: label (H, W), class numbers.
        Raises: UserError for a file that cannot be written.
        """
        path = self._path(image)
        if self.gathered is None:
            write_json(labelme(label, self.classes, image, path.parent), path)
        else:
            folder = self.stems[image].relative_to(self.output).parent
            self.gathered.add((folder / image.name).as_posix(), label)

    def close(self) -> None:
        """Write what has been gathered, if anything: an empty file would be in the way of the next call.

        Raises: UserError for a file that cannot be written.
        """
        if self.gathered is not None and self.gathered.images:
            write_json(self.gathered.tree(), self.output / ALL_IMAGES)


def write_json(tree: dict, path: Path) -> None:
    """Write a JSON file, whole or not at all.

    Raises: UserError that names the file.
    """
    try:
        with written(path) as file:
            file.write(json.dumps(tree).encode())
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None
