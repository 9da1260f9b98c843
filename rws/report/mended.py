"""One image looked at again: where the network was unsure, the windows, and what they mended and spoilt."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rws.data import ClassSet
from rws.data.boxes import Box
from rws.evaluate.passes import first_windows
from rws.method.look_again import look_again
from rws.predict.ways import LookAgain
from rws.report import encode
from rws.report.layers import HEAT, LABEL, Layer, clear_of, percent
from rws.report.looking import PageNetwork

KIND = "again"
UNSURE_COLOURS = "magma"
SAME, MENDED, SPOILT, STRIPE = range(4)
# Blue and orange, which everybody tells apart; what is spoilt has dark stripes as well.
COLOURS = {MENDED: (86, 180, 233), SPOILT: (230, 159, 0), STRIPE: (40, 20, 0)}
STRIPES = 60  # across the longest side


@dataclass(frozen=True)
class Mended:
    """layers: of one image. windows (y, x, h, w) in their order; mended, spoilt: numbers of pixels.

    larger: not windows, but the whole image was seen enlarged.
    """

    layers: tuple[Layer, ...]
    windows: tuple[Box, ...]
    mended: int
    spoilt: int
    larger: bool = False

    @property
    def sentence(self) -> str:
        """What the windows did, in words."""
        seen = "A larger view" if self.larger else f"{len(self.windows)} windows"
        return f"{seen} mended {self.mended:,} pixels and spoilt {self.spoilt:,}."


def changes(label: np.ndarray, before: np.ndarray, after: np.ndarray, ignore_index: int) -> np.ndarray:
    """Which pixels became right, MENDED, and which wrong, SPOILT; those that are not labelled count not.

    Shape: three (H, W) -> (H, W) uint8.
    """
    known, was, is_now = label != ignore_index, before == label, after == label
    return np.select([known & is_now & ~was, known & was & ~is_now], [MENDED, SPOILT], SAME).astype(np.uint8)


def mended(network: PageNetwork, image: Image.Image, label: np.ndarray, passes: int) -> Mended:
    """What a network sees of an image in so many passes, beside what it saw in the first.

    Shape: label (H, W) uint8.
    """
    classes = network.card.classes
    seen = look_again(network.scored.network, network.card, image, LookAgain(passes, passes))
    before, after = first_windows(seen, 0).label(), seen.label()
    kinds = changes(label, before, after, classes.ignore_index)
    counts = int((kinds == MENDED).sum()), int((kinds == SPOILT).sum())
    unsure = seen.unsure.float().cpu().numpy()
    heat = encode.heat(unsure, np.ones(unsure.shape, bool), UNSURE_COLOURS, HEAT)
    layers = (
        _layer("Unsure, and the windows", heat, f"mean {unsure.mean():.2f}", network),
        _prediction("One pass", label, before, classes, network),
        _prediction(f"{passes} passes", label, after, classes, network),
        _layer("Mended and spoilt", _striped(kinds), f"{counts[0]:,} and {counts[1]:,} pixels", network),
    )
    return Mended(layers, tuple(map(tuple, seen.boxes_yxhw.tolist())), *counts, seen.larger)


def _layer(short: str, uri: str, caption: str, network: PageNetwork) -> Layer:
    return Layer(KIND, f"Looked again, {network.name}: {short.lower()}", short, uri, caption)


def _prediction(
    short: str, label: np.ndarray, predicted: np.ndarray, classes: ClassSet, network: PageNetwork
) -> Layer:
    known = label != classes.ignore_index
    uri = encode.indexed(predicted, classes.flat_palette(), clear_of(classes), LABEL)
    return _layer(short, uri, f"{percent(known & (predicted == label), known)} right", network)


def _striped(kinds: np.ndarray) -> str:
    """The picture of `changes`; stripes are drawn at its own size, where they stay as wide as they are."""
    height, width = kinds.shape
    size = encode.fitted((width, height), LABEL)
    small = np.array(Image.fromarray(kinds).resize(size, Image.Resampling.NEAREST))
    wide = max(2, max(size) // STRIPES)
    dark = (np.add.outer(np.arange(size[1]), np.arange(size[0])) // wide) % 3 == 0
    small[(small == SPOILT) & dark] = STRIPE
    palette = [0] * 768
    for kind, colour in COLOURS.items():
        palette[3 * kind : 3 * kind + 3] = colour
    return encode.indexed(small, palette, [SAME], LABEL)
