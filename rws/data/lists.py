"""Lists of image ids."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from rws.errors import UserError

LIST_FOLDERS = ("ImageSets/Segmentation", "JPEGImages/Segmentation")  # the second as the released code has it
_EXTRA_COLUMN = re.compile(r"\s+-?[01]$")


def find_list(root: str | Path, name: str, below: Sequence[str] = LIST_FOLDERS) -> Path:
    """The list `name`.txt of a set, from the first of the folders `below` its root that has it.

    Raises: UserError that names these folders and the lists that are there.
    """
    folders = [Path(root) / folder for folder in below]
    for folder in folders:
        if (folder / f"{name}.txt").is_file():
            return folder / f"{name}.txt"
    there = sorted({path.stem for folder in folders for path in folder.glob("*.txt")})
    have = f"the lists there are {', '.join(there)}" if there else "no list is there: write one, an id a line"
    raise UserError(f"{root}: no list {name}.txt in {' or '.join(below)}; {have}")


def read_list(path: str | Path) -> list[str]:
    """The ids of a list, one a line, each once and in the list's order.

    A byte order mark, any line ends, blank lines, outer blanks and VOC's second column (1, 0, -1), where
    every line has it, are cut.
    Of a line with the paths of an image and its label, as the lists of the augmented VOC have it, the id is
    the image's name.

    Raises: UserError for a missing, unreadable or empty list, and for an id that would leave the data root.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such list; write it with one id a line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: list cannot be read ({error}); save it as UTF-8 text") from None
    ids = ids_of(text.splitlines())
    if not ids:
        raise UserError(f"{path}: the list is empty; it needs at least one id, one a line")
    refuse_paths(ids, path)
    return ids


def ids_of(lines: Iterable[str]) -> list[str]:
    """The ids in the lines of a list, as `read_list` gives them, paths among them."""
    lines = [line.strip() for line in lines if line.strip()]
    # A name may end in a blank and a number: it is a column where all lines have one.
    if all(_EXTRA_COLUMN.search(line) for line in lines):
        lines = [_EXTRA_COLUMN.sub("", line) for line in lines]
    return list(dict.fromkeys(map(_id_of, lines)))


def _id_of(line: str) -> str:
    """The id in a line; of "/JPEGImages/a.jpg /SegmentationClassAug/a.png" it is a."""
    paths = line.split()
    pair = len(paths) == 2 and all("/" in path and Path(path).suffix for path in paths)
    return Path(paths[0]).stem if pair and Path(paths[0]).stem == Path(paths[1]).stem else line


def refuse_paths(ids: Sequence[str], source: str | Path) -> None:
    """Raises: UserError for an id that is a path, since it could leave the data root."""
    for image_id in ids:
        if "/" in image_id or "\\" in image_id or image_id == "..":
            raise UserError(
                f"{source}: '{image_id}' is no id but a path; write the file's name without folder and "
                "ending (in a folder set with folders in images/, theirs before it: x-a for images/x/a.jpg)"
            )
