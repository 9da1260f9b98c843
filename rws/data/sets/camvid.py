"""CamVid with 11 classes, as SegNet's authors give it and in VOC layout.

{train,val,test}/*.png and {train,val,test}annot/*.png, where 11 is void; or JPEGImages, SegmentationClass and
ImageSets/Segmentation, where 255 is.
"""

from dataclasses import replace
from pathlib import Path

from rws.data.classes import CAMVID as CLASSES
from rws.data.reading import Places, Reading
from rws.data.sets.paired_folders import open_folders
from rws.data.sets.voc import IMAGES, LABELS, VocLayout
from rws.data.split import Split, find_folders

__all__ = ["CLASSES", "CLASSES_SEGNET", "PUBLISHED", "open_camvid"]

CLASSES_SEGNET = replace(CLASSES, file_values=tuple(range(11)), void=(11,))
PUBLISHED = {"train": 367, "val": 101, "test": 233}
_BELOW = ("CamVid", "camvid")
_ADVICE = (
    "put CamVid into data/camvid: train, trainannot, val, valannot, or JPEGImages and SegmentationClass; "
    "or give that folder as the root"
)


def open_camvid(root: str | Path, split: str, list_name: str | None, reading: Reading) -> Split:
    """One split of CamVid, in whichever layout is there.

    Raises: UserError for a missing folder or list.
    """
    above = Path(root).expanduser()
    if not any((above / below / "trainannot").is_dir() for below in ("", *_BELOW)):
        root = find_folders(root, (IMAGES, LABELS), _BELOW, _ADVICE)
        return VocLayout(root, list_name or split, CLASSES, reading=reading)
    root = find_folders(root, ("train", "trainannot"), _BELOW, _ADVICE)
    places = {name: Places(name, f"{name}annot") for name in PUBLISHED}
    return open_folders(root, list_name or split, CLASSES_SEGNET, places, reading)
