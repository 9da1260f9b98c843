"""What comes with the code: the configurations, and the image lists of the classes of VOC 2012.

In a checkout they lie at its top. A wheel has copies of them in this folder, which setup.py makes.
"""

import difflib
from pathlib import Path

from rws.errors import UserError

_HERE = Path(__file__).resolve().parent


def shipped(name: str | Path) -> Path:
    """Where a file or folder of the repository lies: in this folder if installed, else in the checkout."""
    installed = _HERE / name
    return installed if installed.exists() else _HERE.parents[1] / name


def known_configs() -> dict[str, Path]:
    """The configurations that come with the code, by name."""
    return {path.stem: path for path in sorted(shipped("configs").glob("*.yaml"))}


def find_config(given: str | Path, folder: Path = Path()) -> Path:
    """The file of a configuration: the name of one that comes with the code, or a path from `folder`.

    Raises: UserError for neither, with the nearest name.
    """
    known = known_configs()
    if str(given) in known:
        return known[str(given)]
    if (path := folder / given).is_file():
        return path
    near = difflib.get_close_matches(path.stem, known, n=1, cutoff=0.0)
    raise UserError(
        f"{path}: no such configuration; the nearest known one is {near[0] if near else 'none'}; there are: "
        f"{', '.join(known)}"
    )
