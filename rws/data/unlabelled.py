"""Photographs without labels: those of a folder, or the training images whose labels are not to be used."""

import copy
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rws.data.files import refuse_strip
from rws.data.leaks import find_leaks, refuse_leaks
from rws.data.reading import Places
from rws.data.sets.paired_folders import ids_in, no_image, two_of_one_name
from rws.data.split import Split
from rws.errors import UserError
from rws.runtime.bars import say, tracked
from rws.runtime.distributed import is_first

NAME = "data.unlabelled"  # of the split, in messages


def share_of(ids: Sequence[str], share: float) -> list[str]:
    """A share of ids, spread evenly over them in sorted order: a quarter is every fourth from the first."""
    places = [int(place * share + 1e-9) for place in range(-1, len(ids))]
    taken = {i for i, before, now in zip(sorted(ids), places, places[1:]) if now > before or i == min(ids)}
    return [i for i in ids if i in taken]


def with_share(train: Split, share: float) -> tuple[Split, Split]:
    """The images whose labels are used, by `share_of`, and the rest."""
    used = share_of(train.ids, share)
    left_out = set(train.ids) - set(used)
    return _only(train, used, train.split), _only(train, [i for i in train.ids if i in left_out], NAME)


def _only(split: Split, ids: Sequence[str], name: str) -> Split:
    other = copy.copy(split)
    other.ids, other.split = list(ids), name
    return other


def photographs_in(folder: str | Path, train: Split) -> Split:
    """The photographs of a folder, not of those in it, to be read as the training images are.

    Raises: UserError for a folder that is missing or holds none.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise UserError(
            f"data.unlabelled {folder}: no such folder; give one of photographs, or rest for the training "
            "images that data.label_share leaves out"
        )
    ids = sorted(ids_in(root))
    if twice := two_of_one_name(root):
        raise UserError(
            f"data.unlabelled {root}: two files are named {Path(twice[0]).stem}, {' and '.join(twice)}; "
            "rename one"
        )
    if not ids:
        raise UserError(f"data.unlabelled {no_image(root, 'give a folder of photographs')}")
    return Split(root, NAME, train.classes, ids, Places("", ""), train.reading)


def without_labelled(photographs: Split, train: Split) -> Split:
    """The photographs without those that are training images too, byte for byte, which it says.

    Raises: UserError where none is left.
    """
    known = {other for _, other in find_leaks(train, photographs)}
    left = [i for i in photographs.ids if i not in known]
    if not left:
        raise UserError(
            f"data.unlabelled {photographs.root}: all {len(known)} photographs are training images, byte for "
            "byte; give others"
        )
    if known and is_first():
        say(f"note: data.unlabelled: {len(known)} photographs are training images and left out")
    return _only(photographs, left, NAME)


def check_photographs(photographs: Split, val: Split, *, allow_leak: bool = False) -> None:
    """Decode each photograph once, and see that none is in `val`.

    Raises: UserError for one that is missing, damaged, longer than a network is shown, or in `val` byte for
    byte.
    """

    def check(image_id: str) -> None:
        size = photographs.image(image_id).size
        try:
            refuse_strip(*size)
        except UserError as error:
            raise UserError(f"{photographs.image_path(image_id)}: {error}") from None

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = pool.map(check, photographs.ids)
        for _ in tracked(found, f"check {NAME}", len(photographs), leave=False, disable=not is_first()):
            pass
    if not allow_leak:
        refuse_leaks(photographs, val)
