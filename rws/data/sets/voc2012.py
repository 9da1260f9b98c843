"""PASCAL VOC 2012, with its own 1,464 training images or with the 10,582 of the augmented set.

VOCdevkit/VOC2012 with JPEGImages, SegmentationClass (255 along the borders) and ImageSets/Segmentation; the
augmented set adds SegmentationClassAug, for the training images, and their list trainaug.txt (train_aug.txt).
"""

from pathlib import Path

from rws.data.classes import VOC2012 as CLASSES
from rws.data.lists import LIST_FOLDERS, find_list, read_list
from rws.data.reading import Reading
from rws.data.sets.paired_folders import ids_in
from rws.data.sets.voc import IMAGES, VocLayout, find_root
from rws.data.split import Split
from rws.errors import UserError
from rws.share import shipped

__all__ = ["CLASSES", "PUBLISHED", "PUBLISHED_AUG", "class_list", "open_aug", "open_voc2012"]

LABELS_AUG = "SegmentationClassAug"
PUBLISHED = {"train": 1464, "val": 1449}
PUBLISHED_AUG = {"train": 10582, "val": 1449}
_LISTS_AUG = ("trainaug", "train_aug")


def open_voc2012(root: str | Path, split: str, list_name: str | None, reading: Reading) -> Split:
    """One split of VOC 2012.

    Raises: UserError for a missing folder or list.
    """
    return VocLayout(root, list_name or split, CLASSES, reading=reading)


def open_aug(root: str | Path, split: str, list_name: str | None, reading: Reading) -> Split:
    """One split of the augmented set; what is not trained on is that of VOC 2012.

    Without a list of the training images these are all with a label in SegmentationClassAug that are not in
    VOC's val.txt.

    Raises: UserError for a missing folder or list.
    """
    if split != "train":
        return open_voc2012(root, split, list_name, reading)
    folder = find_root(root, (IMAGES, LABELS_AUG))
    ids = _aug_ids(folder) if list_name is None else read_list(find_list(folder, list_name))
    return VocLayout(folder, "train", CLASSES, ids=ids, labels=LABELS_AUG, reading=reading)


def _aug_ids(root: Path) -> list[str]:
    lists = [root / folder / f"{name}.txt" for folder in LIST_FOLDERS for name in _LISTS_AUG]
    for path in lists:
        if path.is_file():
            return read_list(path)
    val = set(read_list(find_list(root, "val")))
    ids = sorted(ids_in(root / LABELS_AUG, suffixes=(".png",)) - val)
    if not ids:
        raise UserError(f"{root / LABELS_AUG}: holds no label; `rws download voc2012_aug`")
    return ids


def class_list(lists_dir: str | Path, split: str, category: str) -> list[str]:
    """The images of one class, from `lists_dir`, looked for here, then among what comes with the code.

    Raises: UserError where there is no such list.
    """
    relative = Path(lists_dir).expanduser() / category / f"{split}_{category}_list.txt"
    for path in (relative, shipped(relative)):
        if path.is_file():
            return read_list(path)
    raise UserError(
        f"{relative}: no such list; make the lists of all classes with "
        f"`python tools/make_class_lists.py --root VOCROOT --out {lists_dir}`"
    )
