"""Pictures over a photograph of the report."""

from dataclasses import dataclass

import numpy as np

from rws.data import ClassSet

# Longest sides in pixels.
PHOTO, LABEL, HEAT, THUMBNAIL = 640, 480, 300, 96


@dataclass(frozen=True)
class Layer:
    """A picture over the photograph. arm and stage, its number, only where it belongs to one.

    title: with all that tells it from others; short: in its place among them.
    """

    kind: str
    title: str
    short: str
    uri: str
    caption: str = ""
    arm: str = ""
    stage: int | None = None


def percent(mask: np.ndarray, of: np.ndarray) -> str:
    """The share of pixels; shape: (H, W) bool each."""
    return f"{100 * mask.sum() / max(of.sum(), 1):.1f} %"


def clear_of(classes: ClassSet) -> list[int]:
    """The values of a label that are transparent: the background's."""
    return [] if classes.background is None else [classes.background]
