"""The regions of a label as polygons."""

from typing import NamedTuple

import cv2
import numpy as np

from rws.data.classes import ClassSet


class Polygon(NamedTuple):
    """A connected region of one class: its outer ring and the holes in it.

    Each ring holds the pixels (x, y) along the region's border, those of a hole as well: they are inside. A
    ring is closed, its first point is not repeated. cv2.drawContours fills exactly the region with them.

    Shape: outer (P, 2) int32, each hole (Q, 2) int32.
    """

    category: str
    outer: np.ndarray
    holes: tuple[np.ndarray, ...] = ()


def polygons_of(label: np.ndarray, classes: ClassSet) -> list[Polygon]:
    """The regions of every class but the background; pixels that touch at a corner are of one region.

    Shape: label (H, W) uint8.
    """
    found = []
    for index in sorted(set(np.unique(label).tolist()) & set(classes.foreground)):
        mask = (label == index).astype(np.uint8)
        rings, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        parents = tree.reshape(-1, 4)[:, 3].tolist()  # -1 of an outer ring
        holes: dict[int, list[np.ndarray]] = {}
        for ring, parent in zip(rings, parents):
            holes.setdefault(parent, []).append(ring.reshape(-1, 2))
        for place, parent in enumerate(parents):
            if parent < 0:
                inner = tuple(holes.get(place, ()))
                found.append(Polygon(classes.names[index], rings[place].reshape(-1, 2), inner))
    return found
