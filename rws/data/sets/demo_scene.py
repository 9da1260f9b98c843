"""One image of the demo set and its label, drawn from a random generator alone."""

import cv2
import numpy as np

from rws.data.sets.demo_shapes import ACCENT, BODY, OBJECTS, Part, bar, distractor

HEIGHT, WIDTH = 120, 160
_OVER = 2  # the scene is drawn this many times larger and averaged down
_MIN_OBJECT_PIXELS = 150
_RADII = (16, 22, 29, 36)  # of a body, in image pixels
_FIELDS = ("stripes", "checks", "dots", "waves", "clouds", "rings")


def scene(rng: np.random.Generator, main_class: int) -> tuple[np.ndarray, np.ndarray]:
    """An image that shows `main_class` and up to two other objects, and its label.

    Shape: (120, 160, 3) uint8 RGB and (120, 160) uint8.
    """
    while True:
        image, label = _draw_scene(rng, main_class)
        if np.count_nonzero(label == main_class) >= _MIN_OBJECT_PIXELS:
            return image, label


def _draw_scene(rng: np.random.Generator, main_class: int) -> tuple[np.ndarray, np.ndarray]:
    # All things of an image share a few colours, so that colour alone tells no class from the background.
    colours = _image_colours(rng)
    canvas = _Canvas(rng, colours)
    for _ in range(rng.integers(1, 4)):
        canvas.paint(distractor(rng), 0, rng.uniform(7, 18))
    others = rng.integers(1, len(OBJECTS) + 1, rng.integers(0, 3)).tolist()
    for category in rng.permutation([main_class, *others]).tolist():
        canvas.paint(OBJECTS[category - 1](rng), category, rng.choice(_RADII) * rng.uniform(0.85, 1.15))
        if rng.random() < 0.25:
            canvas.paint(distractor(rng), 0, rng.uniform(6, 14))
    for _ in range(rng.integers(0, 2)):
        canvas.paint(bar(rng), 0, rng.uniform(6, 12))
    return canvas.photograph(), canvas.labels()


def _image_colours(rng: np.random.Generator) -> np.ndarray:
    hsv = np.stack([rng.uniform(0, 180, 5), rng.uniform(30, 140, 5), np.linspace(70, 225, 5)], 1)
    rgb = cv2.cvtColor(hsv[None].astype(np.uint8), cv2.COLOR_HSV2RGB)[0].astype(np.float32)
    return rng.permutation(rgb)


class _Canvas:
    """The scene while it is painted, `_OVER` times larger than the image."""

    def __init__(self, rng: np.random.Generator, colours: np.ndarray) -> None:
        # The first colour is the ground's alone, or a thing could vanish in it altogether.
        self.rng, self.colours = rng, colours[1:]
        self.size = (HEIGHT * _OVER, WIDTH * _OVER)
        kind = "clouds" if rng.random() < 0.4 else str(rng.choice(_FIELDS))
        ground = colours[[0, rng.integers(1, len(colours))]]
        self.pixels = _texture(rng, self.size, ground, kind, rng.uniform(0.2, 0.6)) * _light(rng, self.size)
        self.classes = np.zeros(self.size, np.uint8)

    def paint(self, parts: list[Part], category: int, radius: float) -> None:
        """Paints a thing of `radius` image pixels at a random place and angle over what is there."""
        placed = self._place(parts, radius * _OVER)
        corners = np.concatenate([part.points for part in placed])
        margin = max(part.width or 0 for part in placed) + 1
        low = np.maximum(corners.min(0) - margin, 0).astype(int)
        high = np.minimum(corners.max(0) + margin + 1, self.size[::-1]).astype(int)
        if (high <= low).any():  # wholly outside the image
            return
        mask = _mask(placed, low, high)
        box = np.s_[low[1] : high[1], low[0] : high[0]]
        self._shade_below(mask, low)
        for texture in (BODY, ACCENT):
            kind, contrast = self._texture_kind(category), self.rng.uniform(0.5, 1)
            surface = _texture(self.rng, mask.shape, self.colours, kind, contrast) * _light(
                self.rng, mask.shape
            )
            np.copyto(self.pixels[box], surface, where=(mask == texture + 1)[..., None])
        self.classes[box][mask > 0] = category

    def _place(self, parts: list[Part], scale: float) -> list[Part]:
        """The parts in canvas pixels."""
        height, width = self.size
        angle = self.rng.normal(0, 0.35) if self.rng.random() < 0.85 else self.rng.uniform(0, 2 * np.pi)
        centre = self.rng.uniform((0.12 * width, 0.15 * height), (0.88 * width, 0.8 * height))
        flip, cos, sin = self.rng.choice((-1.0, 1.0)), np.cos(angle), np.sin(angle)
        matrix = scale * np.array([[flip * cos, flip * sin], [-sin, cos]])
        thinnest = 1.4 * _OVER
        return [
            part._replace(
                points=part.points @ matrix + centre,
                width=part.width if part.width is None else max(part.width * scale, thinnest),
            )
            for part in parts
        ]

    def _shade_below(self, mask: np.ndarray, low: np.ndarray) -> None:
        x, y = low + round(1.5 * _OVER)  # the shadow falls down and to the right
        below = self.pixels[y : y + mask.shape[0], x : x + mask.shape[1]]
        shadow = cv2.blur(
            (mask > 0).astype(np.float32), (3 * _OVER, 3 * _OVER), borderType=cv2.BORDER_CONSTANT
        )
        below *= 1 - 0.35 * shadow[: below.shape[0], : below.shape[1], None]

    def _texture_kind(self, category: int) -> str:
        if category and self.rng.random() < 0.8:  # a hint of the class, which distractors wear as well
            return _FIELDS[category]
        return str(self.rng.choice(_FIELDS))

    def photograph(self) -> np.ndarray:
        """The image: averaged down, a little out of focus, with noise. Shape: (120, 160, 3) uint8."""
        image = cv2.resize(self.pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        image = cv2.GaussianBlur(image, (0, 0), self.rng.uniform(0.2, 0.7))
        image += self.rng.normal(0, self.rng.uniform(2, 6), image.shape)
        return np.clip(np.round(image), 0, 255).astype(np.uint8)

    def labels(self) -> np.ndarray:
        """The class that covers most of each image pixel. Shape: (120, 160) uint8."""
        share = [
            cv2.resize(
                (self.classes == index).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA
            )
            for index in range(len(OBJECTS) + 1)
        ]
        share[0] *= 0.8  # so that a line of one pixel does not break where it lies between two
        return np.argmax(share, 0).astype(np.uint8)


def _mask(parts: list[Part], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """What shows in the box from `low` to `high` (x, y): 0 nothing, 1 body, 2 accent. Shape: (H, W) uint8."""
    mask = np.zeros((high - low)[::-1], np.uint8)
    for part in parts:
        points = [np.round(part.points - low).astype(np.int32)[:, None]]
        if part.width is None:
            cv2.fillPoly(mask, points, part.texture + 1)
        else:
            cv2.polylines(mask, points, False, part.texture + 1, round(part.width))
    return mask


def _light(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    down = np.linspace(-1, 1, size[0], dtype=np.float32)[:, None] * np.float32(0.22 * np.cos(angle))
    across = np.linspace(-1, 1, size[1], dtype=np.float32) * np.float32(0.22 * np.sin(angle))
    return (1 + down + across)[..., None]


def _texture(
    rng: np.random.Generator, size: tuple[int, int], colours: np.ndarray, kind: str, contrast: float
) -> np.ndarray:
    first, second = colours[rng.choice(len(colours), 2, replace=False)] + rng.normal(0, 10, (2, 3))
    step = (contrast * (second - first)).astype(np.float32)
    return first.astype(np.float32) + _field(rng, size, kind)[..., None] * step


def _field(rng: np.random.Generator, size: tuple[int, int], kind: str) -> np.ndarray:
    """A pattern between 0 and 1. Shape: (H, W)."""
    if kind == "clouds":
        return _clouds(rng, size)
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 13) * _OVER
    y, x = (np.arange(length, dtype=np.float32) * np.float32(2 * np.pi / period) for length in size)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = cos * x + (sin * y)[:, None], (cos * y)[:, None] - sin * x
    if kind == "stripes":
        wave = np.sin(u)
    elif kind == "checks":
        wave = 3 * np.sin(u) * np.sin(v)
    elif kind == "dots":
        wave = 2 * (np.sin(u) * np.sin(v) - 0.4)
    elif kind == "waves":
        wave = np.sin(u + 1.5 * np.sin(0.6 * v))
    else:
        wave = np.sin(np.hypot(u - u.mean(), v - v.mean()))
    return np.clip(0.5 + 0.9 * wave, 0, 1)


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    field = np.zeros(size, np.float32)
    for cell, weight in ((14, 0.6), (5, 0.4)):
        grid = rng.random((size[0] // (cell * _OVER) + 3, size[1] // (cell * _OVER) + 3), np.float32)
        field += weight * cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(2.2 * field - 0.6, 0, 1)
