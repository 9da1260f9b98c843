"""The labels of the augmented VOC 2012, from the Semantic Boundaries Dataset (SBD) of Hariharan et al.

The training images are VOC's 1,464 with VOC's own labels, and all images of SBD that are in neither of VOC's
lists train and val, 9,118, with SBD's labels.
"""

import shutil
from pathlib import Path

from PIL import Image

from rws.data.classes import VOC2012
from rws.data.label_files import read_mat
from rws.data.lists import find_list, read_list
from rws.data.sets.voc import LABELS, find_root
from rws.data.sets.voc2012 import LABELS_AUG, PUBLISHED_AUG
from rws.errors import UserError
from rws.runtime.bars import tracked


def make_aug(root: Path, sbd: Path, published: int = PUBLISHED_AUG["train"]) -> int:
    """Write SegmentationClassAug and trainaug.txt into VOC 2012's folder; the number of training images.

    `sbd` holds cls, train.txt and val.txt. Labels that are there are left.

    Raises: UserError for missing lists, a damaged label, and for another number of images than published.
    """
    voc = find_root(root)
    train, val = (read_list(find_list(voc, name)) for name in ("train", "val"))
    theirs = [image_id for name in ("train", "val") for image_id in read_list(sbd / f"{name}.txt")]
    extra = sorted(set(theirs) - set(train) - set(val))
    if len(train) + len(extra) != published:
        raise UserError(
            f"{sbd}: with {voc} it gives {len(train) + len(extra):,} training images, not {published:,}; "
            "delete both archives' folders and run the same command again"
        )
    (voc / LABELS_AUG).mkdir(exist_ok=True)
    for image_id in tracked(train, "labels of VOC"):
        if not (voc / LABELS_AUG / f"{image_id}.png").is_file():
            shutil.copyfile(voc / LABELS / f"{image_id}.png", voc / LABELS_AUG / f"{image_id}.png")
    for image_id in tracked(extra, "labels of SBD"):
        _convert(sbd / "cls" / f"{image_id}.mat", voc / LABELS_AUG / f"{image_id}.png")
    ids = "".join(f"{image_id}\n" for image_id in [*train, *extra])
    (find_list(voc, "train").parent / "trainaug.txt").write_text(ids, encoding="utf-8", newline="\n")
    return len(train) + len(extra)


def _convert(source: Path, path: Path) -> None:
    if path.is_file():
        return
    label = Image.fromarray(read_mat(source, "GTcls", "Segmentation"))
    label.putpalette(VOC2012.flat_palette())
    unfinished = path.with_suffix(".unfinished")
    label.save(unfinished, format="PNG")
    unfinished.replace(path)
