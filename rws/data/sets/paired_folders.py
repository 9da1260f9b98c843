"""Sets whose splits are folders: each image in one, its label of the same name in another."""

from collections.abc import Mapping
from pathlib import Path

from rws.data.classes import ClassSet
from rws.data.files import SUFFIXES
from rws.data.split import Places, Reading, Split
from rws.errors import UserError


def ids_in(
    folder: Path, ending: str = "", suffixes: tuple[str, ...] = SUFFIXES, pattern: str = "*"
) -> set[str]:
    """The ids of the files in a folder: names without `ending` and suffix; hidden files do not count."""
    paths = (path for path in folder.glob(pattern) if path.suffix.lower() in suffixes)
    stems = (path.stem for path in paths if not path.name.startswith("."))
    return {stem[: len(stem) - len(ending)] for stem in stems if stem.endswith(ending)}


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
        ids |= ids_in(labels, own.label_end, own.label_endings, pattern)
    if not ids:
        raise UserError(f"{images}: holds no image (.jpg, .jpeg, .png); add those of the data set")
    return kind(root, list_name, classes, sorted(ids), own, reading)
