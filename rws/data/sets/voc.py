"""VOC layout: JPEGImages, SegmentationClass and the lists of ids."""

from collections.abc import Sequence
from pathlib import Path

from rws.data.classes import ClassSet
from rws.data.files import read_header
from rws.data.label_files import read_label
from rws.data.lists import LIST_FOLDERS, find_list, read_list
from rws.data.opening import DECODE_ERRORS
from rws.data.reading import READING, Places, Reading
from rws.data.split import Split, find_folders

__all__ = ["DECODE_ERRORS", "IMAGES", "LABELS", "LIST_FOLDERS", "VocLayout", "find_list", "find_root"]
__all__ += ["read_header", "read_label", "read_list"]

IMAGES, LABELS = "JPEGImages", "SegmentationClass"
_ADVICE = "put VOC 2012 into data/VOCdevkit/VOC2012, or give the folder of your set as the root"


def find_root(root: str | Path, folders: Sequence[str] = (IMAGES, LABELS)) -> Path:
    """The folder that holds `folders`: `root` itself, root/VOC2012 or root/VOCdevkit/VOC2012.

    Raises: UserError if `root` does not exist or none of the three holds all the folders.
    """
    return find_folders(root, folders, ("VOC2012", "VOCdevkit/VOC2012"), _ADVICE)


class VocLayout(Split):
    """One split of a data set in VOC layout.

    `split` names the list unless `ids` are given; with `category` the labels become 0 (other), 1 (category,
    or 1, 2, ... for several) and the ignored value. `labels` is the folder of the labels.

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
        labels: str = LABELS,
        reading: Reading = READING,
    ) -> None:
        root = find_root(root, (IMAGES, labels))
        ids = read_list(find_list(root, split)) if ids is None else ids
        super().__init__(root, split, classes, ids, Places(IMAGES, labels), reading)
        if category is not None:
            self._take(category)
