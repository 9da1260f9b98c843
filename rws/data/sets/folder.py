"""A folder of one's own: images/, masks/ and classes.txt.

An image and its mask have the same name without ending (.jpg, .jpeg or .png; masks .png). classes.txt holds
a class a line, in the order of the numbers in the masks, from 0; `name, r, g, b` gives it a colour. A class
named background is background. train.txt and val.txt, an id a line, split the set; without them a share is
drawn for val.
"""

import random
from collections import Counter
from pathlib import Path

from rws.data.classes import ClassSet, Colour, voc_colour
from rws.data.files import SUFFIXES
from rws.data.lists import read_list
from rws.data.sets.paired_folders import ids_in
from rws.data.split import Places, Reading, Split, find_folders
from rws.errors import UserError

IMAGES, MASKS, CLASSES_FILE = "images", "masks", "classes.txt"
_ADVICE = "make the folder with images/, masks/ and classes.txt, and give it as --data.root"


def open_folder(root: str | Path, split: str, list_name: str | None, reading: Reading) -> Split:
    """One split of a folder.

    Raises: UserError for a missing folder or list, for wrong classes, and for two images of one name.
    """
    root = find_folders(root, (IMAGES, MASKS), (), _ADVICE)
    classes = read_classes(root / CLASSES_FILE)
    ids = _ids(root, split, list_name, reading)
    return Split(root, list_name or split, classes, ids, Places(IMAGES, MASKS), reading)


def read_classes(path: Path) -> ClassSet:
    """The classes of a classes.txt.

    Raises: UserError for a missing file, fewer than two classes, one twice, and a wrong colour.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise UserError(
            f"{path}: {reason}; write a class a line, in the order of the masks' numbers"
        ) from None
    rows = [[part.strip() for part in line.split(",")] for line in lines if line.strip()]
    names = [row[0] for row in rows]
    if len(names) < 2:
        raise UserError(f"{path}: {len(names)} classes; a network needs two at least, such as background")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"{path}: {twice[0]!r} stands there twice; name each class once")
    palette = tuple(_colour(path, row, number) for number, row in enumerate(rows))
    lower = [name.lower() for name in names]
    return ClassSet(tuple(names), palette, lower.index("background") if "background" in lower else None)


def _colour(path: Path, row: list[str], number: int) -> Colour:
    if len(row) == 1:
        return voc_colour(number)
    levels = [int(level) if level.isdigit() else 256 for level in row[1:]]
    if len(levels) != 3 or max(levels) > 255:
        raise UserError(
            f"{path}: {', '.join(row)!r} is no class; write `name` or `name, r, g, b` with 0..255"
        )
    return tuple(levels)


def _ids(root: Path, split: str, list_name: str | None, reading: Reading) -> list[str]:
    """The ids of a split: of its list, or drawn."""
    lists = {name: root / f"{name}.txt" for name in ("train", "val")}
    there = [name for name, path in lists.items() if path.is_file()]
    if list_name is not None or len(there) == 2 or split not in lists:
        return read_list(root / f"{list_name or split}.txt")
    if there:
        raise UserError(f"{root}: {there[0]}.txt is there without its twin; write both train.txt and val.txt")
    every = _every_id(root)
    count = max(1, round(reading.val_share * len(every)))
    drawn = set(random.Random(reading.split_seed).sample(every, min(count, len(every))))
    ids = [image_id for image_id in every if (image_id in drawn) == (split == "val")]
    if not ids:
        raise UserError(
            f"{root}: {len(every)} images, none is left for {split}; add images, or train.txt and val.txt"
        )
    return ids


def _every_id(root: Path) -> list[str]:
    """All names of images and masks, in order."""
    stems = Counter(path.stem for path in (root / IMAGES).iterdir() if path.suffix.lower() in SUFFIXES)
    if twice := [stem for stem, count in stems.items() if count > 1]:
        raise UserError(f"{root / IMAGES}: two images are named {twice[0]}; rename one, and its mask")
    ids = sorted(ids_in(root / IMAGES) | ids_in(root / MASKS, suffixes=(".png",)))
    if not ids:
        raise UserError(f"{root / IMAGES}: holds no image ({', '.join(SUFFIXES)}); add yours")
    return ids
