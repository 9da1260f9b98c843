"""Outlines of the demo set's five objects: a bulky body each, and thin or small parts that a network misses.

Coordinates are (x, y) in units of half a body, y downwards, the body's centre at the origin.
"""

from typing import NamedTuple

import numpy as np

BODY, ACCENT = 0, 1  # which of an object's two textures a part wears


class Part(NamedTuple):
    """A filled polygon, or with `width` (same units) a stroke along its points. Shape: points (N, 2)."""

    points: np.ndarray
    width: float | None = None
    texture: int = BODY


def ellipse(
    x: float, y: float, radius_x: float, radius_y: float, angle: float = 0.0, texture: int = BODY
) -> Part:
    """An ellipse of 32 corners, turned by `angle` (radians)."""
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    points = np.stack([radius_x * np.cos(turn), radius_y * np.sin(turn)], 1)
    cos, sin = np.cos(angle), np.sin(angle)
    return Part(points @ np.array([[cos, sin], [-sin, cos]]) + (x, y), None, texture)


def polygon(*corners: tuple[float, float], texture: int = BODY) -> Part:
    """A filled polygon."""
    return Part(np.array(corners, float), None, texture)


def stroke(*points: tuple[float, float], width: float = 0.1, texture: int = ACCENT) -> Part:
    """A line of a width through points."""
    return Part(np.array(points, float), width, texture)


def kite(rng: np.random.Generator) -> list[Part]:
    """A diamond, its two spars, a long winding tail and the bows on it."""
    along = np.linspace(0, 1, 24)
    length, swing, phase = rng.uniform(1.6, 2.6), rng.uniform(0.15, 0.4), rng.uniform(0, 6)
    sway = swing * along * (np.sin(7 * along + phase) - np.sin(phase))
    tail = np.stack([sway, 1.1 + length * along], 1)
    bows = [_bow(*tail[index]) for index in (7, 13, 19)]
    spars = [stroke((0, -1.2), (0, 1.1), width=0.07), stroke((-0.8, -0.15), (0.8, -0.15), width=0.07)]
    diamond = polygon((0, -1.2), (0.8, -0.15), (0, 1.1), (-0.8, -0.15))
    return [Part(tail, 0.09, ACCENT), *bows, diamond, *spars]


def _bow(x: float, y: float) -> Part:
    corners = (
        (x, y),
        (x - 0.24, y - 0.13),
        (x - 0.24, y + 0.13),
        (x, y),
        (x + 0.24, y - 0.13),
        (x + 0.24, y + 0.13),
    )
    return polygon(*corners)


def fish(rng: np.random.Generator) -> list[Part]:
    """An ellipse with a forked tail on a thin stalk, fin rays on the back, a belly fin and barbels."""
    height = rng.uniform(0.45, 0.65)
    spread, rays = rng.uniform(0.4, 0.65), int(rng.integers(4, 7))
    tail = polygon((1.3, 0), (1.95, -spread), (1.7, 0), (1.95, spread))
    roots = np.linspace(-0.4, 0.6, rays)
    tips = [stroke((x, -0.6 * height), (x + 0.3, -height - 0.42), width=0.08) for x in roots]
    belly = polygon((-0.1, 0.7 * height), (0.45, height + 0.35), (0.3, 0.7 * height), texture=ACCENT)
    barbels = [stroke((-1.0, 0.12), (-1.35, bend), (-1.6, bend + 0.2), width=0.07) for bend in (0.1, 0.4)]
    stalk = stroke((0.95, 0), (1.45, 0), width=0.16, texture=BODY)
    eye = ellipse(-0.75, -0.12, 0.1, 0.1, texture=ACCENT)
    return [*tips, belly, *barbels, stalk, tail, ellipse(0, 0, 1.1, height), eye]


def lamp(rng: np.random.Generator) -> list[Part]:
    """A shade on a thin pole with a flat foot, and a chain with a small ball."""
    top, pole = rng.uniform(0.35, 0.6), rng.uniform(2.0, 2.9)
    chain, side = rng.uniform(1.1, 1.5), rng.choice((-0.55, 0.55))
    shade = polygon((-top, -0.7), (top, -0.7), (1.0, 0.6), (-1.0, 0.6))
    foot = polygon((-0.7, pole), (-0.5, pole - 0.16), (0.5, pole - 0.16), (0.7, pole))
    string = stroke((side, 0.5), (side, chain), width=0.06)
    ball = ellipse(side, chain, 0.12, 0.12, texture=ACCENT)
    knob = stroke((0, -0.7), (0, -0.95), width=0.1)
    return [stroke((0, 0.5), (0, pole), width=0.11), foot, string, ball, knob, shade]


def spider(rng: np.random.Generator) -> list[Part]:
    """Two ellipses on eight thin bent legs, with two feelers."""
    reach = rng.uniform(1.5, 2.0)
    legs = []
    for side in (-1, 1):
        for tilt in (-0.8, -0.3, 0.25, 0.8):
            bend = tilt + rng.uniform(-0.12, 0.12)
            knee = (side * 0.62 * reach * np.cos(bend), 0.62 * reach * np.sin(bend) - 0.35)
            tip = (side * reach * np.cos(bend), reach * np.sin(bend) + 0.2)
            legs.append(stroke((side * 0.3, 0.4 * tilt), knee, tip, width=0.09))
    feelers = [stroke((side * 0.15, -0.9), (side * 0.3, -1.5), width=0.07) for side in (-1, 1)]
    return [*legs, *feelers, ellipse(0, 0.3, 0.68, 0.8), ellipse(0, -0.65, 0.4, 0.38, texture=ACCENT)]


def flower(rng: np.random.Generator) -> list[Part]:
    """A bloom of petals around a disc, on a thin bent stem with two small leaves."""
    petals, start = int(rng.integers(5, 9)), rng.uniform(0, 6)
    angles = start + np.arange(petals) * 2 * np.pi / petals
    bloom = [ellipse(0.62 * np.cos(a), 0.62 * np.sin(a), 0.45, 0.24, a) for a in angles]
    along = np.linspace(0, 1, 12)
    length, lean = rng.uniform(2.0, 2.8), rng.uniform(-0.7, 0.7)
    stem = np.stack([lean * along**2, 0.3 + length * along], 1)
    leaves = [
        ellipse(stem[i, 0] + side * 0.36, stem[i, 1] - 0.12, 0.38, 0.12, -0.5 * side, ACCENT)
        for i, side in ((6, -1), (8, 1))
    ]
    return [Part(stem, 0.1, ACCENT), *leaves, *bloom, ellipse(0, 0, 0.34, 0.34, texture=ACCENT)]


OBJECTS = (kite, fish, lamp, spider, flower)  # class 1, 2, ... in this order


def distractor(rng: np.random.Generator) -> list[Part]:
    """A thing of the background: a blob or a body without its parts, or loose twigs without a body."""
    kind = rng.integers(6)
    if kind == 0:
        return [_blob(rng)]
    if kind == 1:
        return [ellipse(0, 0, 1.1, rng.uniform(0.5, 1.0))]
    if kind == 2:
        return [polygon((0, -1.1), (0.9, 0), (0, 1.1), (-0.9, 0))]
    if kind == 3:
        return [polygon((-0.6, -0.7), (0.6, -0.7), (1, 0.6), (-1, 0.6))]
    starts = rng.uniform(-1.2, 1.2, (int(rng.integers(2, 5)), 2))
    steps = rng.uniform(-1.4, 1.4, (len(starts), 2, 2))
    return [stroke(a, a + b, a + b + c, width=rng.uniform(0.06, 0.16)) for a, (b, c) in zip(starts, steps)]


def bar(rng: np.random.Generator) -> list[Part]:
    """A thing that stands before the objects: a blob, or a long bar that cuts them in two."""
    if rng.random() < 0.4:
        return [_blob(rng)]
    return [stroke((-12, 0), (0, rng.uniform(-1, 1)), (12, 0), width=rng.uniform(0.25, 0.5))]


def _blob(rng: np.random.Generator) -> Part:
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = 0.8 + sum(rng.uniform(-0.2, 0.2) * np.cos(k * turn + rng.uniform(0, 6)) for k in (2, 3, 4))
    return Part(np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1))
