"""Sets whose splits are folders: each image in one, its label of the same name in another."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rws.data.classes import ClassSet
from rws.data.files import SUFFIXES
from rws.data.lookup import joined
from rws.data.opening import UNREAD
from rws.data.reading import Places, Reading
from rws.data.split import Split
from rws.errors import UserError


def ids_in(
    folder: Path, ending: str = "", suffixes: tuple[str, ...] = SUFFIXES, pattern: str = "*"
) -> set[str]:
    """The ids of the files in a folder: names without `ending` and suffix; hidden files do not count."""
    paths = (path for path in folder.glob(pattern) if path.suffix.lower() in suffixes)
    stems = (path.stem for path in paths if not path.name.startswith("."))
    return {stem[: len(stem) - len(ending)] for stem in stems if stem.endswith(ending)}


def two_of_one_name(folder: Path) -> list[str]:
    """Image files of a folder that differ in their ending alone, those of one name; empty where none do."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    count = Counter(path.stem for path in paths if not path.name.startswith("."))
    first = next((path.stem for path in paths if count[path.stem] > 1), None)
    return [path.name for path in paths if path.stem == first]


def no_image(folder: Path, way_out: str) -> str:
    """That a folder holds no image, and what it holds instead."""
    there = Counter(path.suffix.lower() for path in folder.rglob("*") if path.is_file())
    seen = ", ".join(f"{count} {ending or 'without ending'}" for ending, count in there.most_common(4))
    unread = f"convert them to PNG or JPEG ({', '.join(sorted(there.keys() & set(UNREAD)))} is not read)"
    way_out = unread if there.keys() & set(UNREAD) else way_out
    within = f" (with the folders in it: {seen})" if seen else ""
    return f"{folder}: holds no image ({', '.join(SUFFIXES)}){within}; {way_out}"


def open_folders(
    root: Path,
    list_name: str,
    classes: ClassSet,
    places: Mapping[str, Places],
    reading: Reading,
    kind: type[Split] = Split,
    pattern: str = "*",
) -> Split:
    """The split `list_name` of a set, `places` of each of its splits: all images and labels in its folders.

    An image without label, and a label without image, gets an id too, for the check to name. Where the
    labels of all splits share a folder, the images alone count.

    Raises: UserError for a list that the set does not have, and for folders that are missing or empty.
    """
    if list_name not in places:
        raise UserError(f"{root}: no list '{list_name}'; the set has {', '.join(places)}")
    own = places[list_name]
    images, labels = root / own.images, root / own.labels
    for folder in (images, labels):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; add it to the data set")
    ids = ids_in(images, own.image_end, SUFFIXES, pattern)
    if sum(other.labels == own.labels for other in places.values()) == 1:
        ids = joined(ids, ids_in(labels, own.label_end, own.label_endings, pattern))
    if not ids:
        raise UserError(no_image(images, "add those of the data set"))
    return kind(root, list_name, classes, sorted(ids), own, reading)
