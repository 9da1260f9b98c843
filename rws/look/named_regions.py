"""An overlay that names its classes: on the larger regions, and in a strip below."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from rws.data.classes import ClassSet
from rws.errors import safe
from rws.look.overlay import overlay
from rws.look.panels import INK, LARGEST_TEXT, PAPER, SMALLEST_TEXT, TEXT_BY_WIDTH, Legend, font_of

SMALLEST_NAMED = 0.01  # of the image's area: what a smaller region is, the strip says
LEAST_TEXT = 9  # pixels; smaller is not read
MARGIN = 1.3  # of the box that must lie inside a region over the text's
LOOKED_AT = 384  # pixels of the longer side of the label in which places for names are sought


@dataclass(frozen=True)
class Place:
    """Where a name of `width` x `height` pixels or less lies in a region: around (x, y)."""

    x: float
    y: float
    width: float
    height: float


def named_overlay(
    image: Image.Image, label: np.ndarray, classes: ClassSet, legend: str | None = None
) -> Image.Image:
    """An `overlay` with the names of its classes on the regions above 1 % of the image, and a strip below.

    The strip names the classes that are in the picture, the largest first; with `legend` None it is there
    where they are two or more. With "none" there are neither names nor strip.

    Shape: label (H, W) at the image's size.
    """
    picture = overlay(image, label, classes)
    if legend == "none":
        return picture
    size = round(min(max(picture.width * TEXT_BY_WIDTH, SMALLEST_TEXT), LARGEST_TEXT))
    for index, region in regions(label, classes):
        write_name(picture, safe(classes.names[index]), region, size)
    counts = np.bincount(label.ravel(), minlength=256)
    present = sorted((i for i in classes.foreground if counts[i]), key=lambda i: -counts[i])
    if legend is None and len(present) < 2:
        return picture
    return with_strip(picture, Legend(classes, picture.width, font_of(size)), present)


def regions(label: np.ndarray, classes: ClassSet) -> Iterator[tuple[int, np.ndarray]]:
    """The connected regions of foreground above 1 % of the image, and the class of each.

    Shape: label (H, W) -> (h, w) uint8, 1 inside the region, at most LOOKED_AT pixels long.
    """
    scale = min(1.0, LOOKED_AT / max(label.shape))
    across, down = (max(scale, 1 / side) for side in label.shape[::-1])  # of a strip a pixel is left
    small = cv2.resize(label, None, fx=across, fy=down, interpolation=cv2.INTER_NEAREST)
    counts = np.bincount(small.ravel(), minlength=256)
    for index in sorted(i for i in classes.foreground if counts[i] >= SMALLEST_NAMED * small.size):
        count, numbers, facts, _ = cv2.connectedComponentsWithStats((small == index).astype(np.uint8))
        for number in range(1, count):
            if facts[number, cv2.CC_STAT_AREA] >= SMALLEST_NAMED * small.size:
                yield index, (numbers == number).astype(np.uint8)


def place_in(region: np.ndarray, size: tuple[int, int], width_by_height: float) -> Place:
    """The largest box of some proportions inside a region, in pixels of a picture of `size` = (W, H).

    It lies around the pole of inaccessibility, the place farthest from the region's edge, where distances are
    those of boxes of these proportions. Of several such places that nearest to their mean is taken.

    Shape: region (h, w) uint8.
    """
    height = region.shape[0]
    width = max(1, round(height * size[0] / size[1] / width_by_height))
    inside = np.pad(cv2.resize(region, (width, height), interpolation=cv2.INTER_NEAREST), 1)
    distance = cv2.distanceTransform(inside, cv2.DIST_C, 3)[1:-1, 1:-1]
    poles = np.argwhere(distance == distance.max())
    y, x = poles[((poles - poles.mean(0)) ** 2).sum(1).argmin()]
    tall = (2 * float(distance[y, x]) - 1) * size[1] / height
    return Place((x + 0.5) * size[0] / width, (y + 0.5) * size[1] / height, tall * width_by_height, tall)


def write_name(picture: Image.Image, name: str, region: np.ndarray, size: int) -> None:
    """Write a name into a region, in letters of `size` pixels, or of fewer, or not at all where none fits."""
    left, top, right, bottom = font_of(size).getbbox(name)
    width, height = MARGIN * (right - left), MARGIN * (bottom - top)
    place = place_in(region, picture.size, width / height)
    size = round(size * min(1.0, place.height / height))
    if size >= LEAST_TEXT:
        drawn = ImageDraw.Draw(picture)
        outline = max(1, round(size / 8))
        font = font_of(size)
        drawn.text((place.x, place.y), name, PAPER, font, "mm", stroke_width=outline, stroke_fill=INK)


def with_strip(picture: Image.Image, legend: Legend, present: list[int]) -> Image.Image:
    """The picture and below it the colours and names of the classes that are in it."""
    strip = legend.of(present)
    whole = Image.new("RGB", (picture.width, picture.height + strip.height), PAPER)
    whole.paste(picture)
    whole.paste(strip, (0, picture.height))
    return whole
