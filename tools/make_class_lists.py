"""Writes the lists of each VOC class: the images of a list whose label holds a pixel of the class.

    python tools/make_class_lists.py --root data/VOCdevkit/VOC2012

writes FWM_datalist_20Class/<class>/{train,val}_<class>_list.txt, ids one a line in the order of the official
list. It reads the labels only; the photographs need not be there.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(
    0, str(Path(__file__).resolve().parents[1])
)  # so that it runs from a clone that is not installed

from rws.data.classes import VOC2012, ClassSet
from rws.data.label_files import read_label
from rws.data.lists import find_list, read_list
from rws.data.sets.voc import LABELS, find_root
from rws.errors import UserError
from rws.runtime.bars import say, tracked


def class_lists(root: Path, list_name: str, classes: ClassSet = VOC2012) -> dict[str, list[str]]:
    """For each foreground class the ids of a list whose label holds it, in the list's order.

    Raises: UserError for a missing list or label, and for label values outside the classes.
    """
    ids = read_list(find_list(root, list_name))
    with ThreadPoolExecutor() as pool:
        values = pool.map(lambda image_id: _values(root / LABELS / f"{image_id}.png", classes), ids)
        present = dict(zip(ids, tracked(values, f"labels of {list_name}", len(ids))))
    return {
        classes.names[index]: [image_id for image_id in ids if index in present[image_id]]
        for index in classes.foreground
    }


def _values(path: Path, classes: ClassSet) -> set[int]:
    values = set(np.flatnonzero(np.bincount(read_label(path).ravel(), minlength=256)).tolist())
    outside = sorted(values - {*range(classes.num_classes), classes.ignore_index})
    if outside:
        raise UserError(
            f"{path}: label values {outside} are no VOC class (0..20, 255); is this a VOC 2012 label?"
        )
    return values


def write_lists(out: Path, split: str, lists: dict[str, list[str]]) -> None:
    """Writes out/<class>/<split>_<class>_list.txt for each class."""
    for name, ids in lists.items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{image_id}\n" for image_id in ids)
        (folder / f"{split}_{name}_list.txt").write_text(text, encoding="utf-8", newline="\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--root", required=True, help="VOC 2012's folder, or one above it")
    parser.add_argument("--train-list", default="train", help="list of training images (default: train)")
    parser.add_argument("--val-list", default="val", help="list of validation images (default: val)")
    parser.add_argument("--out", type=Path, default=Path("FWM_datalist_20Class"), help="folder of the lists")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        root = find_root(options.root, folders=(LABELS,))
        # Both before the first is written, so that a wrong list leaves no half of the lists behind.
        lists = {"train": class_lists(root, options.train_list), "val": class_lists(root, options.val_list)}
        for split, by_class in lists.items():
            write_lists(options.out, split, by_class)
    except (UserError, OSError) as error:
        say(f"error: {error}", file=sys.stderr)
        return 2
    for name in lists["train"]:
        say(f"{name:12} train {len(lists['train'][name]):4}  val {len(lists['val'][name]):4}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
