"""DAVIS 2017 and 2016: frames of sequences, in order, with masks of objects.

JPEGImages/480p/<sequence>/*.jpg, Annotations/480p/<sequence>/*.png and ImageSets/{2017,2016}/*.txt, or, as
DAVIS 2016 came, ImageSets/480p/*.txt. All objects are one class, which a category names; an id is
<sequence>-<frame>. Masks hold object numbers and 255 where nothing counts (2017), or 0 and 255 (2016).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rws.data.classes import ClassSet, voc_colour
from rws.data.lists import find_list, refuse_paths
from rws.data.lookup import joined
from rws.data.reading import Places, Reading
from rws.data.sets.paired_folders import ids_in
from rws.data.sets.voc2012 import CLASSES as VOC2012
from rws.data.split import Split, find_folders
from rws.errors import UserError

CLASSES = ClassSet(("background", "object"), ((0, 0, 0), voc_colour(1)), background=0)
PUBLISHED = {"train": 60, "val": 30}
IMAGES, LABELS = "JPEGImages/480p", "Annotations/480p"
_LIST_FOLDERS = ("ImageSets/2017", "ImageSets/2016", "ImageSets/480p", "ImageSets")
_ADVICE = (
    "put DAVIS into data/DAVIS, or give the folder with JPEGImages/480p and Annotations/480p as the root"
)


def open_davis(root: str | Path, split: str, list_name: str | None, reading: Reading) -> Split:
    """The sequences of a list, or those named, with commas between them, instead of one.

    Raises: UserError for a missing folder, list or sequence.
    """
    root = find_folders(root, (IMAGES, LABELS), ("DAVIS", "davis"), _ADVICE)
    name = list_name or split
    there = {path.name for path in (root / IMAGES).iterdir() if path.is_dir()}
    named = list(dict.fromkeys(part.strip() for part in name.split(",")))
    sequences = named if there.issuperset(named) else _listed(root, name, there)
    return Sequences(root, name, sequences, reading)


def _listed(root: Path, name: str, there: set[str]) -> list[str]:
    """The sequences of a list, each once; lines may hold the paths of a frame and its mask, as in 2016."""
    try:
        path = find_list(root, name, _LIST_FOLDERS)
    except UserError as error:
        raise UserError(f"{error}; or name sequences: {', '.join(sorted(there))}") from None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: list cannot be read ({error}); save it as UTF-8 text") from None
    lines = (line.split() for line in text.splitlines())
    names = (Path(words[0]).parent.name if "/" in words[0] else words[0] for words in lines if words)
    sequences = list(dict.fromkeys(names))
    if missing := [sequence for sequence in sequences if sequence not in there]:
        raise UserError(f"{path}: no frames of {', '.join(missing[:5])} in {root / IMAGES}; add them")
    if not sequences:
        raise UserError(f"{path}: the list is empty; it needs at least one sequence, one a line")
    return sequences


class Sequences(Split):
    """Frames in order, one sequence after another."""

    def __init__(self, root: Path, split: str, sequences: Sequence[str], reading: Reading) -> None:
        refuse_paths(sequences, f"sequences of {split}")
        ids = [f"{s}-{frame}" for s in sequences for frame in _frames(root, s)]
        super().__init__(root, split, CLASSES, ids, Places(IMAGES, LABELS), reading)
        self.sequences = list(sequences)
        self._two_valued: dict[str, bool] = {}

    def counted(self) -> tuple[int, str]:
        """Sequences: that is what is published."""
        return len(self.sequences), "sequences"

    def stem(self, image_id: str) -> str:
        """<sequence>/<frame>."""
        return "/".join(image_id.rsplit("-", 1))

    def read_raw(self, image_id: str) -> np.ndarray:
        """1 for every object, 0 elsewhere, 255 where nothing counts.

        Shape: (H, W) uint8.
        """
        raw = super().read_raw(image_id)
        if self._is_two_valued(image_id.rsplit("-", 1)[0]):
            return (raw > 0).astype(np.uint8)
        return np.where(raw == CLASSES.ignore_index, raw, raw > 0).astype(np.uint8)

    def _is_two_valued(self, sequence: str) -> bool:
        """Whether the masks hold 0 and 255, by the first frame that shows an object."""
        if sequence not in self._two_valued:
            for image_id in (i for i in self.ids if i.rsplit("-", 1)[0] == sequence):
                values = np.unique(super().read_raw(image_id)) if self.label_path(image_id).is_file() else []
                if any(values):
                    self._two_valued[sequence] = set(values) <= {0, 255}
                    break
        return self._two_valued.get(sequence, False)

    def holding(self, category: str) -> list[str]:
        """All frames: nothing is published about what the objects are."""
        return self.ids

    def _take(self, category: str) -> None:
        """Call the objects by a category; the labels stay."""
        if "," in category:
            raise UserError(f"data.category {category}: the objects of DAVIS are of one class; name one")
        known = dict(zip(VOC2012.names, VOC2012.palette))
        colour = known.get(category, CLASSES.palette[1])
        self.category, self.classes = category, ClassSet(("background", category), ((0, 0, 0), colour), 0)


def _frames(root: Path, sequence: str) -> list[str]:
    frames = joined(ids_in(root / IMAGES / sequence), ids_in(root / LABELS / sequence, suffixes=(".png",)))
    if not frames:
        raise UserError(f"{root / IMAGES / sequence}: holds no frame; add them")
    return sorted(frames)
