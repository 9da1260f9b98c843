"""Data sets, each from its official layout; `open_split` opens one split by the set's name."""

from dataclasses import replace
from pathlib import Path

from rws.data.classes import DEMO, ClassSet, named
from rws.data.reading import READING, Official, Reading
from rws.data.sets import ade20k, camvid, cityscapes, coco_stuff, davis, folder, voc2012
from rws.data.sets.voc import VocLayout
from rws.data.split import Split
from rws.errors import UserError

__all__ = ["DATASETS", "NAMES", "SPLITS", "ClassSet", "Reading", "Split", "VocLayout", "open_split"]
__all__ += ["require_official"]


def _open_demo(root: str | Path, split: str, list_name: str | None, reading: Reading) -> Split:
    """One split of the demo set, which is generated where it is missing."""
    if not Path(root).expanduser().exists():
        from rws.data.sets import (
            demo,  # here, since `python -m rws.data.sets.demo` must not find itself imported
        )

        demo.generate(root)
    return VocLayout(root, list_name or split, DEMO, reading=reading)


_OPENERS = {
    "demo": _open_demo,
    "voc2012": voc2012.open_voc2012,
    "voc2012_aug": voc2012.open_aug,
    "coco_stuff164k": coco_stuff.open_164k,
    "coco_stuff10k": coco_stuff.open_10k,
    "ade20k": ade20k.open_ade20k,
    "cityscapes": cityscapes.open_cityscapes,
    "davis2017": davis.open_davis,
    "camvid": camvid.open_camvid,
    "folder": folder.open_folder,
}
NAMES = tuple(_OPENERS)
# The classes of the sets that have their own; those of a folder are in its classes.txt.
DATASETS: dict[str, ClassSet] = {
    "demo": DEMO,
    "voc2012": voc2012.CLASSES,
    "voc2012_aug": voc2012.CLASSES,
    "coco_stuff164k": coco_stuff.CLASSES_164K,
    "coco_stuff10k": coco_stuff.CLASSES_10K,
    "ade20k": ade20k.CLASSES,
    "cityscapes": cityscapes.CLASSES,
    "camvid": camvid.CLASSES,
}
# Images of each split as its publisher gives it; of DAVIS, sequences.
_PUBLISHED = {
    "voc2012": voc2012.PUBLISHED,
    "voc2012_aug": voc2012.PUBLISHED_AUG,
    "coco_stuff164k": coco_stuff.PUBLISHED_164K,
    "coco_stuff10k": coco_stuff.PUBLISHED_10K,
    "ade20k": ade20k.PUBLISHED,
    "cityscapes": cityscapes.PUBLISHED,
    "davis2017": davis.PUBLISHED,
    "camvid": camvid.PUBLISHED,
}
# Their labels belong to the pixels of the files, whatever EXIF says: tools of their time did not heed it.
_LABELS_AS_STORED = {"coco_stuff164k", "coco_stuff10k", "ade20k", "cityscapes", "davis2017", "camvid"}
SPLITS = ("train", "val", "test")


def open_split(
    name: str,
    root: str | Path,
    split: str,
    *,
    category: str | None = None,
    list_name: str | None = None,
    lists_dir: str | Path = "FWM_datalist_20Class",
    reading: Reading = READING,
) -> Split:
    """Opens one split of a data set, of all its classes or, with `category`, of the images that hold one.

    A category may be several classes with commas between them. VOC 2012 takes the images of one class from
    `lists_dir` (looked for here, then among what comes with the code); several classes, the other sets, and
    any split with its own `list_name` take them from the labels. A missing demo set is generated.

    Raises: UserError for an unknown set, split or category, and for a missing root or list.
    """
    _require("data set", name, NAMES)
    if name in _LABELS_AS_STORED and reading.orientation is None:
        reading = replace(reading, orientation="stored")
    _require("split", split, SPLITS)
    if category is not None and name in DATASETS:
        DATASETS[name].binary(category)  # a wrong name is told before anything is generated or scanned
    listed = name == "voc2012" and list_name is None and split != "test"
    if category is not None and listed and len(named(category)) == 1:
        ids = voc2012.class_list(lists_dir, split, category)
        return VocLayout(root, split, voc2012.CLASSES, ids=ids, category=category, reading=reading)
    opened = _OPENERS[name](root, split, list_name, reading)
    if category is not None:
        return opened.of_category(category, opened.holding(category))
    published = _PUBLISHED.get(name, {}).get(split)
    if list_name is None and published is not None:
        found, of = opened.counted()
        opened.official = Official(found, published, of)
    return opened


def _require(what: str, value: str, known) -> None:
    if value not in known:
        raise UserError(f"no {what} '{value}': choose one of {', '.join(known)}")


def require_official(split: Split) -> None:
    """Raises: UserError for a split with another number of images than its publisher gives it."""
    count = split.official
    if count is not None and count.found != count.published:
        raise UserError(
            f"{split.root}: {split.split} has {count.found:,} {count.of}, the official set "
            f"{count.published:,}; complete the set, take the name of the right one, or allow a part with "
            "--data.partial"
        )
