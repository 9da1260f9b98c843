"""Data sets in VOC layout; `open_split` opens one split by the set's name."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rws.data.classes import CAMVID, DEMO, VOC2012, ClassSet, named
from rws.data.voc import VocLayout, find_list, find_root, read_label, read_list
from rws.errors import UserError

__all__ = ["DATASETS", "SPLITS", "ClassSet", "VocLayout", "open_split"]

DATASETS = {"voc2012": VOC2012, "camvid": CAMVID, "demo": DEMO}
SPLITS = ("train", "val", "test")
_REPOSITORY = Path(__file__).resolve().parents[2]


def open_split(
    name: str,
    root: str | Path,
    split: str,
    *,
    category: str | None = None,
    list_name: str | None = None,
    lists_dir: str | Path = "FWM_datalist_20Class",
) -> VocLayout:
    """Opens one split of a data set, of all its classes or, with `category`, of the images that hold one.

    A category may be several classes with commas between them. VOC 2012 takes the images of one class from
    `lists_dir` (looked for here, then beside the package); several classes, the other sets, and any split
    with its own `list_name` take them from the labels. A missing demo set is generated.

    Raises: UserError for an unknown set, split or category, and for a missing root or list.
    """
    _require("data set", name, DATASETS)
    _require("split", split, SPLITS)
    classes = DATASETS[name]
    if category is not None:
        classes.binary(category)  # a wrong name is told before anything is generated or scanned
    if name == "demo" and not Path(root).expanduser().exists():
        from rws.data import demo  # here, since `python -m rws.data.demo` must not find itself imported

        demo.generate(root)
    ids = None
    listed = name == "voc2012" and list_name is None and split != "test"
    if category is not None and listed and len(named(category)) == 1:
        ids = _class_list(lists_dir, split, category)
    elif category is not None:
        ids = _ids_holding(find_root(root), list_name or split, classes, category)
    return VocLayout(root, list_name or split, classes, ids=ids, category=category)


def _require(what: str, value: str, known) -> None:
    if value not in known:
        raise UserError(f"no {what} '{value}': choose one of {', '.join(known)}")


def _class_list(lists_dir: str | Path, split: str, category: str) -> list[str]:
    relative = Path(lists_dir).expanduser() / category / f"{split}_{category}_list.txt"
    for path in (relative, _REPOSITORY / relative):
        if path.is_file():
            return read_list(path)
    raise UserError(
        f"{relative}: no such list; make the lists of all classes with "
        f"`python tools/make_class_lists.py --root VOCROOT --out {lists_dir}`"
    )


def _ids_holding(root: Path, list_name: str, classes: ClassSet, category: str) -> list[str]:
    ids = read_list(find_list(root, list_name))
    wanted = [classes.index(name) for name in named(category)]

    def holds(image_id: str) -> bool:
        path = root / "SegmentationClass" / f"{image_id}.png"
        # An id without label stays in: check_split then names it, together with all the others.
        return not path.is_file() or bool(np.isin(read_label(path), wanted).any())

    with ThreadPoolExecutor() as pool:
        found = list(tqdm(pool.map(holds, ids), f"labels with {category}", len(ids), leave=False))
    kept = [image_id for image_id, held in zip(ids, found) if held]
    if not kept:
        raise UserError(f"{root}: no label of the list {list_name} holds '{category}'; choose another class")
    return kept
