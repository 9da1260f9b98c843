"""Outlines and run lengths as pixels. An outline holds a pixel where it holds the pixel's centre.

pycocotools does the same for COCO; it is written for files that one trusts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Size = tuple[int, int]
MOST_COORDINATE = 1e6  # pixels: what lies further out is no annotation
_MOST_CROSSINGS = 20_000_000  # of an outline with the rows
_CORNERS = 180  # of an ellipse


class Unread(Exception):
    """Why an image cannot be read with its annotation."""


@dataclass(frozen=True)
class Patch:
    """Pixels of an object in a box, whose upper left corner lies at (top, left); shape: (h, w) bool.

    outside: its outline does not reach the image, so that the box is empty.
    """

    top: int
    left: int
    mask: np.ndarray
    outside: bool = False

    def within(self, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The part of a label that the box covers, as a view, and the mask of it.

        Shape: (H, W) -> (h, w) twice.
        """
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = self.top + self.mask.shape[0], self.left + self.mask.shape[1]
        view = label[top : max(bottom, top), left : max(right, left)]
        start = top - self.top, left - self.left
        return view, self.mask[start[0] : start[0] + view.shape[0], start[1] : start[1] + view.shape[1]]


def fill(rings: Sequence[np.ndarray], size: Size) -> Patch:
    """What lies within an odd number of rings: an outline, its holes, islands in these.

    Shape: rings (n, 2) of x, y in pixels; the upper left corner of the image is (0, 0).
    Raises: Unread for one that crosses the rows too often.
    """
    corners = np.concatenate(rings)
    low = np.clip(np.floor(corners.min(0)), 0, size[::-1]).astype(int)
    high = np.clip(np.ceil(corners.max(0)), 0, size[::-1]).astype(int)
    width, height = np.maximum(high - low, 0)
    turns = np.zeros((height, width + 1), np.uint8)
    for ring in rings:
        np.bitwise_xor.at(turns, _crossings(ring - low, height, width), 1)
    outside = bool((corners.max(0) < 0).any() or (corners.min(0) > size[::-1]).any())
    return Patch(low[1], low[0], np.bitwise_xor.accumulate(turns[:, :width], 1).astype(bool), outside)


def _crossings(ring: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The row and the first column behind it of each place where a ring crosses a row of pixel centres."""
    (x, y), (to_x, to_y) = ring.T, np.roll(ring, -1, 0).T
    # Of an edge the upper end counts, the lower does not: where two edges meet, a row is crossed once.
    first = np.clip(np.ceil(np.minimum(y, to_y) - 0.5), 0, height).astype(int)
    count = np.clip(np.ceil(np.maximum(y, to_y) - 0.5), 0, height).astype(int) - first
    if count.sum() > _MOST_CROSSINGS:
        raise Unread(f"an outline of {len(ring):,} corners crosses the image too often")
    edge = np.repeat(np.arange(len(ring)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    share = (row + 0.5 - y[edge]) / (to_y - y)[edge]
    at = x[edge] + share * (to_x - x)[edge]
    return row, np.clip(np.ceil(at - 0.5), 0, width).astype(int)


def fill_each(rings: Iterable[np.ndarray], size: Size) -> Patch:
    """What lies within any of the rings: the parts of one object."""
    label, outside = np.zeros(size, bool), True
    for ring in rings:
        part = fill([ring], size)
        view, mask = part.within(label)
        view |= mask
        outside &= part.outside
    return Patch(0, 0, label, outside)


def ring_of(numbers: object) -> np.ndarray:
    """The corners of an outline, from x, y, x, y, ... or from pairs.

    Shape: (n, 2) float64.
    Raises: Unread for what is no finite number, for an odd number of them, for points of three numbers, and
    for one far outside.
    """
    try:
        given = np.array(numbers, np.float64)
        corners = given.reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        raise Unread(f"an outline that is no list of x, y ({str(numbers)[:40]})") from None
    if given.ndim > 1 and given.shape[-1] != 2:
        raise Unread(f"an outline with points of {given.shape[-1]} numbers, where x, y are needed")
    if not np.isfinite(corners).all():
        raise Unread("an outline with a coordinate that is no finite number")
    if corners.size and np.abs(corners).max() > MOST_COORDINATE:
        raise Unread(f"an outline with a coordinate of {np.abs(corners).max():g} pixels")
    return corners


def box_ring(x: float, y: float, to_x: float, to_y: float, degrees: float = 0.0) -> np.ndarray:
    """A box as an outline, turned clockwise around its centre.

    Shape: (4, 2).
    """
    return _turned(ring_of([x, y, to_x, y, to_x, to_y, x, to_y]), degrees)


def ellipse_ring(x: float, y: float, radius_x: float, radius_y: float, degrees: float = 0.0) -> np.ndarray:
    """An ellipse as an outline, turned clockwise around its centre.

    Shape: (n, 2).
    """
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    ring = ring_of(np.stack([x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)], 1))
    return _turned(ring, degrees)


def _turned(ring: np.ndarray, degrees: float) -> np.ndarray:
    if not np.isfinite(degrees):
        raise Unread("a shape that is turned by no finite angle")
    centre, angle = ring.mean(0), np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return (ring - centre) @ np.array([[cos, sin], [-sin, cos]]) + centre


def from_runs(runs: object, size: Size, *, by_columns: bool) -> np.ndarray:
    """A mask from the lengths of its runs, the first one of pixels outside; what is missing lies outside.

    Shape: `size`, bool.
    Raises: Unread for lengths that are no whole numbers, or more than the mask has pixels.
    """
    if not isinstance(runs, list) or not all(type(run) is int for run in runs):
        raise Unread("run lengths that are no whole numbers")
    if min(runs, default=0) < 0 or sum(runs) > size[0] * size[1]:
        raise Unread("run lengths that do not fit the size of the mask")
    lengths = np.array(runs, np.int64)
    pixels = np.zeros(size[0] * size[1], bool)
    pixels[: lengths.sum()] = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return pixels.reshape(size[::-1]).T if by_columns else pixels.reshape(size)


def decompress(text: str) -> list[int]:
    """The run lengths in COCO's compressed form: numbers of 5 bits a character, the third and later ones as
    the difference to the last but one.

    Raises: Unread for a text that is none.
    """
    runs, number, shift = [], 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise Unread("compressed run lengths with a character that cannot be in them")
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        runs.append(number + runs[-2] if len(runs) > 2 else number)
        number = shift = 0
    if shift:
        raise Unread("compressed run lengths that are cut off")
    return runs
