"""A folder of one's own: images/, masks/ and classes.txt.

An image and its mask have the same name without ending; or all masks have the same end more, as a_mask.png
of a.jpg. They may lie in folders of folders, or in images/train, masks/train, images/val and so on.
Roboflow's train/ and valid/, with x.jpg, x_mask.png and _classes.csv, are read too. classes.txt holds a
class a line, the order of the numbers in the masks; `name, r, g, b` gives it a colour. train.txt and
val.txt, an id a line, split the set; without them a share is drawn for val.
"""

import random
from pathlib import Path

from rws.data.leaks import same_files
from rws.data.lists import read_list
from rws.data.reading import Reading
from rws.data.sets.classes_file import read_classes
from rws.data.sets.folder_layouts import (
    CLASSES_FILE,
    Layout,
    Nested,
    find_layout,
    other_lists,
    passed_over,
    refuse_parts,
)
from rws.data.split import Split
from rws.errors import UserError

__all__ = ["open_folder", "read_classes"]


def open_folder(root: str | Path, split: str, list_name: str | None, reading: Reading) -> Split:
    """One split of a folder.

    Raises: UserError for a missing folder or list, for wrong classes, and for two images of one name.
    """
    layout = find_layout(root, split)
    classes = read_classes(layout.classes_file)
    given = layout.divided or list_name is not None or (layout.root / "val.txt").is_file()
    ids = layout.ids if layout.divided and list_name is None else _ids(layout, split, list_name, reading)
    name = list_name or split
    parts = (layout.root, name, classes, ids, layout.places, reading)
    opened = Split(*parts) if layout.paths is None else Nested(layout.paths, *parts)
    if layout.divided and layout.classes_file.name == CLASSES_FILE and (split, list_name) == ("train", None):
        opened.notes += passed_over(layout.root)
    if not given and split == "val":
        share = f"{len(ids)} of {len(layout.ids)} images are drawn for it (--data.val-share)"
        opened.notes.append(f"{share}; train.txt and val.txt would say which")
    return opened


def _ids(layout: Layout, split: str, list_name: str | None, reading: Reading) -> list[str]:
    """The ids of a split: of its list, or drawn."""
    root = layout.root
    lists = {name: root / f"{name}.txt" for name in ("train", "val")}
    there = [name for name, path in lists.items() if path.is_file()]
    if list_name is not None or len(there) == 2 or split not in lists:
        return read_list(root / f"{list_name or split}.txt")
    if there:
        raise UserError(f"{root}: {there[0]}.txt is there without its twin; write both train.txt and val.txt")
    if alike := other_lists(root):
        raise UserError(
            f"{root}: {alike[0]} is there, and is not read; name the lists train.txt and val.txt, and lay "
            "them beside images/"
        )
    refuse_parts(root)
    ids = _draw(layout, split, reading)
    if not ids:
        raise UserError(
            f"{root}: {len(layout.ids)} images, none is left for {split} (those of the same bytes stay "
            "together); add some, or train.txt and val.txt"
        )
    return ids


def _draw(layout: Layout, split: str, reading: Reading) -> list[str]:
    """A share for val and the rest for train; images of the same bytes stay together."""
    files = {i: path for i in layout.ids if (path := layout.image(i)) is not None}
    leader = {i: group[0] for group in same_files(files) for i in group}
    drawable = [i for i in layout.ids if leader.get(i, i) == i]
    count = max(1, round(reading.val_share * len(drawable)))
    drawn = set(random.Random(reading.split_seed).sample(drawable, min(count, len(drawable))))
    return [i for i in layout.ids if (leader.get(i, i) in drawn) == (split == "val")]
