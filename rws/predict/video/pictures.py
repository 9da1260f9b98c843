"""Films made of pictures: an animated GIF, WebP or PNG, a folder of images, a sequence of DAVIS."""

import re
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from rws.data.files import displayed, read_image
from rws.data.levels import Levels
from rws.data.opening import DECODE_ERRORS
from rws.data.reading import READING
from rws.data.sets.davis import IMAGES, LABELS, Sequences
from rws.data.split import find_folders
from rws.data.value_range import levels_of
from rws.errors import UserError
from rws.predict.images import SUFFIXES
from rws.predict.video.frames import Frame, Source

DAVIS_RATE = Fraction(24)
MILLISECOND = Fraction(1, 1000)
# Browsers show a frame of a GIF that asks for less time than the first for the second.
SHORTEST_MS, INSTEAD_MS = 20, 100


def is_animated(path: Path) -> bool:
    """Whether a file is a picture that moves."""
    try:
        # A size that is too large is refused, with the way out, where the photograph is read.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return bool(getattr(image, "is_animated", False))
    except DECODE_ERRORS:
        return False


class Animation(Source):
    """An animated GIF, WebP or PNG, each frame for its own time, as a browser shows it.

    Raises: UserError for a file that cannot be decoded.
    """

    tick = MILLISECOND

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.paths, self.name = path, (path,), path.stem
        try:
            with Image.open(path) as image:
                self.count, self.rate = getattr(image, "n_frames", 1), 1000 / _milliseconds(image)
        except DECODE_ERRORS as error:
            raise UserError(f"{path}: cannot be decoded ({error}); replace the file") from None

    def frames(self) -> Iterator[Frame]:
        time = Fraction(0)
        with Image.open(self.path) as image:
            for number in range(self.count):
                try:
                    image.seek(number)
                    picture, duration = displayed(image), _milliseconds(image) * MILLISECOND
                except (EOFError, *DECODE_ERRORS) as error:
                    there = f"{number} of its {self.count} frames can be decoded ({error})"
                    self.problems.append(f"{self.path}: only {there}; replace the file")
                    if not number:
                        raise UserError(self.problems.pop()) from None
                    return
                yield Frame(picture, time, duration)
                time += duration


def _milliseconds(image: Image.Image) -> Fraction:
    asked = round(image.info.get("duration") or 0)
    return Fraction(asked if asked >= SHORTEST_MS else INSTEAD_MS)


class ImageSequence(Source):
    """Images as the frames of a film, at a constant rate; a damaged one is left out.

    masks: the sequence of a data set whose masks are known.
    """

    def __init__(
        self, name: str, images: list[Path], rate: Fraction = DAVIS_RATE, masks: Sequences | None = None
    ) -> None:
        super().__init__()
        self.name, self.paths, self.rate, self.tick = name, tuple(images), rate, 1 / rate
        self.count, self._masks, self.has_masks = len(images), masks, masks is not None

    def frames(self) -> Iterator[Frame]:
        number, levels = None, Levels(*self.levels) if self.levels else levels_of(self.paths)
        for number, path in enumerate(self.paths):
            try:
                yield Frame(read_image(path, levels), number * self.tick, self.tick, path.stem, path)
            except UserError as error:
                self.problems.append(f"{error}; left out")
        if len(self.problems) == len(self.paths):
            raise UserError(f"{self.paths[0].parent}: none of its {self.count} images can be decoded")

    def mask(self, name: str) -> np.ndarray | None:
        image_id = f"{self.name}-{name}"
        if self._masks is None or not self._masks.label_path(image_id).is_file():
            return None
        return self._masks.read_raw(image_id)


def _in_order(path: Path) -> list:
    """2.jpg before 10.jpg."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [int(part) if part.isdigit() else part for part in parts]


def open_folder(folder: Path, rate: Fraction | None) -> ImageSequence:
    """The images of one folder in the order of their names, with masks where it is a sequence of DAVIS.

    Raises: UserError for a folder without image.
    """
    images = sorted((p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES), key=_in_order)
    images = [path for path in images if path.is_file() and not path.name.startswith(".")]
    if not images:
        raise UserError(f"{folder}: no image in this folder (endings {', '.join(SUFFIXES)})")
    return ImageSequence(folder.resolve().name, images, rate or DAVIS_RATE, _masks(folder.resolve()))


def open_sequences(root: Path, names: str, rate: Fraction | None) -> list[ImageSequence]:
    """Sequences of DAVIS by name, with commas between them.

    Raises: UserError for a root that is not DAVIS, and for an unknown name, with those there are.
    """
    advice = f"give the folder of DAVIS that holds {IMAGES}"
    root = find_folders(root, (IMAGES,), ("DAVIS", "davis"), advice)
    there = sorted(path.name for path in (root / IMAGES).iterdir() if path.is_dir())
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",")))
    if unknown := [name for name in wanted if name not in there]:
        raise UserError(f"{root / IMAGES}: no sequence {', '.join(unknown)}; there are {', '.join(there)}")
    return [open_folder(root / IMAGES / name, rate) for name in wanted]


def _masks(folder: Path) -> Sequences | None:
    """The sequence of DAVIS whose frames lie in a folder; None if it is none, or has no masks."""
    root = folder.parent.parent.parent
    if folder != root / IMAGES / folder.name or not any((root / LABELS / folder.name).glob("*.png")):
        return None
    return Sequences(root, folder.name, [folder.name], READING)
