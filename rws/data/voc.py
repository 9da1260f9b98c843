"""One split of a data set in VOC layout: JPEGImages, SegmentationClass and the lists of ids."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rws.data.classes import ClassSet, named
from rws.errors import UserError

IMAGES, LABELS = "JPEGImages", "SegmentationClass"
LIST_FOLDERS = ("ImageSets/Segmentation", "JPEGImages/Segmentation")  # the second as the released code has it
SUFFIXES = (".jpg", ".jpeg", ".png")
LABEL_MODES = ("P", "L", "1")
# What Pillow raises on damaged files; SyntaxError is its word for a broken PNG chunk.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_GREY_SCALE = {
    "L;2": 85,
    "L;4": 17,
}  # Pillow spreads 2- and 4-bit grey values over 0..255; indices want them back
_EXTRA_COLUMN = re.compile(r"\s+-?[01]$")


def find_root(root: str | Path, folders: Sequence[str] = (IMAGES, LABELS)) -> Path:
    """The folder that holds `folders`: `root` itself, root/VOC2012 or root/VOCdevkit/VOC2012.

    Raises: UserError if `root` does not exist or none of the three holds all the folders.
    """
    root = Path(root).expanduser()
    advice = "put VOC 2012 into data/VOCdevkit/VOC2012, or give the folder of your set as the root"
    if not root.is_dir():
        raise UserError(f"{root}: no such folder for the data set; {advice}")
    candidates = (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012")
    for candidate in candidates:
        if all((candidate / folder).is_dir() for folder in folders):
            return candidate
    looked = ", ".join(map(str, candidates))
    raise UserError(f"{root}: {' and '.join(folders)} not found (looked in {looked}); {advice}")


def find_list(root: str | Path, name: str) -> Path:
    """The list `name`.txt of a set, from ImageSets/Segmentation or else from JPEGImages/Segmentation.

    Raises: UserError that names both places and the lists that are there.
    """
    folders = [Path(root) / folder for folder in LIST_FOLDERS]
    for folder in folders:
        if (folder / f"{name}.txt").is_file():
            return folder / f"{name}.txt"
    there = sorted({path.stem for folder in folders for path in folder.glob("*.txt")})
    have = f"the lists there are {', '.join(there)}" if there else "no list is there: write one, an id a line"
    raise UserError(f"{root}: no list {name}.txt in {' or '.join(LIST_FOLDERS)}; {have}")


def read_list(path: str | Path) -> list[str]:
    """The ids of a list, one a line, each once and in the list's order.

    A byte order mark, any line ends, blank lines, outer blanks and VOC's second column (1, 0, -1) are cut.

    Raises: UserError for a missing, unreadable or empty list, and for an id that would leave the data root.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such list; write it with one id a line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: list cannot be read ({error}); save it as UTF-8 text") from None
    lines = (_EXTRA_COLUMN.sub("", line.strip()) for line in text.splitlines())
    ids = list(dict.fromkeys(line for line in lines if line))
    if not ids:
        raise UserError(f"{path}: the list is empty; it needs at least one id, one a line")
    _refuse_paths(ids, path)
    return ids


def _refuse_paths(ids: Iterable[str], source: str | Path) -> None:
    for image_id in ids:
        if any(part in image_id for part in ("/", "\\", "..")):
            raise UserError(
                f"{source}: '{image_id}' is no id but a path; write the file's name without folder and ending"
            )


def read_header(path: str | Path) -> tuple[tuple[int, int], str]:
    """The (height, width) in pixels and Pillow's mode of an image file, without decoding it.

    Raises: UserError for a file that is no image.
    """
    try:
        with Image.open(path) as image:
            return (image.height, image.width), image.mode
    except DECODE_ERRORS as error:
        raise UserError(f"{path}: cannot be decoded ({error}); replace the file") from None


def read_label(path: str | Path) -> np.ndarray:
    """A label's numbers as the file holds them: palette indices or grey values, never colours.

    Shape: (H, W) uint8.

    Raises: UserError for a missing or damaged file and for one that does not hold class indices.
    """
    try:
        with Image.open(path) as label:
            if label.mode not in LABEL_MODES:
                raise UserError(
                    f"{path}: label in mode {label.mode}; labels must hold class indices, mode P or L "
                    "(8 bits): map its colours to indices first"
                )
            raw_mode = label.tile[0][3] if label.tile else None
            spread = _GREY_SCALE.get(raw_mode, 1) if isinstance(raw_mode, str) else 1
            return np.array(label, dtype=np.uint8) // np.uint8(spread)
    except FileNotFoundError:
        raise UserError(f"{path}: no such label; add it or take its id from the list") from None
    except DECODE_ERRORS as error:
        raise UserError(f"{path}: label cannot be decoded ({error}); replace the file") from None


class VocLayout:
    """One split of a data set in VOC layout, read image by image.

    `split` names the list unless `ids` are given; with `category` the labels become 0 (other), 1 (category,
    or 1, 2, ... for several) and the ignored value.

    Raises: UserError for a missing root or list, and for an unknown category.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        classes: ClassSet,
        *,
        ids: Sequence[str] | None = None,
        category: str | None = None,
    ) -> None:
        self.root = find_root(root)
        self.split = split
        self.category = category
        self.source_classes = classes
        self.classes = classes if category is None else classes.binary(category)
        self.ids = read_list(find_list(self.root, split)) if ids is None else list(ids)
        _refuse_paths(self.ids, f"ids of {split}")
        self._table = self._label_table()

    def __len__(self) -> int:
        return len(self.ids)

    def _label_table(self) -> np.ndarray | None:
        if self.category is None:
            return None
        table = np.zeros(256, np.uint8)
        for number, name in enumerate(named(self.category), 1):
            table[self.source_classes.index(name)] = number
        table[self.source_classes.ignore_index] = self.source_classes.ignore_index
        return table

    def find_image(self, image_id: str) -> Path | None:
        """The image's file, .jpg, .jpeg or .png, or None where there is none."""
        paths = (self.root / IMAGES / f"{image_id}{suffix}" for suffix in SUFFIXES)
        return next((path for path in paths if path.is_file()), None)

    def image_path(self, image_id: str) -> Path:
        """The image's file.

        Raises: UserError if there is none.
        """
        path = self.find_image(image_id)
        if path is None:
            endings = ", ".join(SUFFIXES)
            raise UserError(f"{self.root / IMAGES / image_id}: no such image with ending {endings}; add it")
        return path

    def label_path(self, image_id: str) -> Path:
        """Where the label of an image is or would be."""
        return self.root / LABELS / f"{image_id}.png"

    def image(self, image_id: str) -> Image.Image:
        """The image in RGB, as stored: an EXIF orientation is not applied, since labels know nothing of it.

        Raises: UserError for a missing or damaged file.
        """
        path = self.image_path(image_id)
        try:
            with Image.open(path) as image:
                return image.convert("RGB")
        except DECODE_ERRORS as error:
            raise UserError(f"{path}: image cannot be decoded ({error}); replace the file") from None

    def size(self, image_id: str) -> tuple[int, int]:
        """Height and width of the image in pixels, from the file's header alone.

        Raises: UserError for a missing or damaged file.
        """
        return read_header(self.image_path(image_id))[0]

    def label(self, image_id: str) -> np.ndarray:
        """The label; with a category 1 (2, ...) where it is, 0 elsewhere, the ignored value kept.

        Shape: (H, W) uint8.

        Raises: UserError for a missing or damaged file and for one that does not hold class indices.
        """
        return self.map_label(read_label(self.label_path(image_id)))

    def map_label(self, raw: np.ndarray) -> np.ndarray:
        """The file's numbers as those of `classes`: with a category 0, 1 (2, ...) and the ignored value.

        Shape: (H, W) uint8 in and out.
        """
        return raw if self._table is None else self._table[raw]

    def __repr__(self) -> str:
        task = f", category={self.category!r}" if self.category else ""
        return f"VocLayout({str(self.root)!r}, {self.split!r}, {len(self)} images{task})"
