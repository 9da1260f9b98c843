"""Photographs as files: found, opened as a viewer shows them, and where their results go."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from rws.data.files import SUFFIXES, deep_pixels, read_header, read_image
from rws.data.levels import Levels, LevelsError, find_levels_of
from rws.data.lookup import files_below
from rws.data.opening import UNREAD, WHOLE, WINDOWED
from rws.errors import UserError
from rws.runtime.bars import say
from rws.runtime.files import save_picture

__all__ = ["SUFFIXES", "find_images", "make_output", "open_image", "refuse_overwriting", "result_stems"]
__all__ += ["write_pictures"]

MOST_OF_JPEG = 65_500  # pixels of a side


def open_image(
    path: Path, levels: tuple[float, float] | None = None, *, windows: bool = False
) -> Image.Image:
    """A photograph as training sees it: `displayed`, with the `levels` that the network was trained with.

    Without these the range of an image of more than 8 bits is found in its own values, and told. `windows`
    for one of which a network sees windows alone.

    Raises: UserError that names a file that is missing or cannot be decoded.
    """
    known = _own_levels(path) if levels is None else Levels(*levels)
    return read_image(path, known, WINDOWED if windows else WHOLE)


def _own_levels(path: Path) -> Levels | None:
    if not read_header(path, WINDOWED, "image ").deep:
        return None
    try:
        levels = find_levels_of(deep_pixels(path))
    except LevelsError as error:
        raise UserError(f"{path}: {error}") from None
    say(f"{path}: more than 8 bits; its values {levels} become black to white")
    return levels


def find_images(sources: Sequence[Path], output: Path) -> tuple[list[Path], list[str]]:
    """The files, and the images of folders and of the folders in them; and a note on whatever is left out.

    Raises: UserError for a missing source and for a folder without an image.
    """
    found: dict[Path, Path] = {}
    notes: list[str] = []
    for source in sources:
        images, left_out = _images_of(source, output)
        for path in images:
            found.setdefault(path.absolute(), path)
        notes += left_out
    return list(found.values()), notes


def _images_of(source: Path, output: Path) -> tuple[list[Path], list[str]]:
    if source.is_file():
        return [source], []
    if not source.is_dir():
        raise UserError(f"{source}: no such image, folder or film; check the path")
    if output.resolve() == source.resolve():
        raise UserError(
            f"{output}: is the folder of the photographs, where the next call would take results for "
            "photographs; give another --output"
        )
    files = sorted(files_below(source, ("",)))
    # Results of an earlier run in a folder inside the input are not its images.
    inside = source.resolve() in output.resolve().parents
    results = {path for path in files if inside and output.resolve() in path.resolve().parents}
    others = Counter(path.suffix or "none" for path in files if path.suffix.lower() not in SUFFIXES)
    images = [path for path in files if path not in results and path.suffix.lower() in SUFFIXES]
    unread = {ending: others.pop(ending) for ending in list(others) if ending.lower() in UNREAD}
    convert = f"{sum(unread.values())} images that are not read ({', '.join(sorted(unread))}); convert them"
    if not images:
        there = f"; there are {convert} to PNG or JPEG" if unread else ""
        raise UserError(f"{source}: no image in this folder (endings {', '.join(SUFFIXES)}){there}")
    notes = [f"left out: {len(results)} files in the output folder {output}"] if results else []
    notes += [f"left out: {convert}"] if unread else []
    if others:
        endings = ", ".join(sorted(others))
        notes.append(f"left out: {others.total()} files that are no images (endings {endings})")
    return images, notes


def make_output(folder: Path) -> None:
    """Raises: UserError for a folder of results that cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "is a file" if folder.is_file() else f"cannot be made ({error.strerror})"
        raise UserError(f"{folder}: the output {reason}; give a folder with --output") from None


def refuse_overwriting(images: Sequence[Path], results: Sequence[Path]) -> None:
    """Raises: UserError where a result would take the place of an input."""
    inputs = {path.resolve() for path in images}
    for result in results:
        if result.resolve() in inputs:
            raise UserError(
                f"{result.resolve()}: the result would overwrite this input; give another --output"
            )


def write_pictures(pictures: Sequence[Image.Image], paths: Sequence[Path]) -> None:
    """Write pictures in the formats of their endings; what is larger than a JPEG can be is made smaller.

    Raises: UserError naming the file that could not be written.
    """
    for picture, path in zip(pictures, paths):
        try:
            save_picture(_that_fits(picture, path), path)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None


def _that_fits(picture: Image.Image, path: Path) -> Image.Image:
    if path.suffix.lower() not in (".jpg", ".jpeg") or max(picture.size) <= MOST_OF_JPEG:
        return picture
    small = picture.copy()
    small.thumbnail((MOST_OF_JPEG, MOST_OF_JPEG))
    say(f"note: {path}: is {small.width} x {small.height} pixels; a JPEG has {MOST_OF_JPEG} a side at most")
    return small


def _common_folder(sources: Sequence[Path]) -> Path:
    """The folder to which the results' places are relative: the one source, or what several lie in."""
    if len(sources) == 1 and sources[0].is_dir():
        return sources[0]
    return Path(os.path.commonpath([os.path.abspath(source.parent) for source in sources]))


def result_stems(images: Sequence[Path], sources: Sequence[Path], endings: Sequence[str]) -> dict[Path, Path]:
    """Where each image's results go, relative to the output and still without one of the `endings`.

    That is its stem; its whole name where stems would overwrite each other, as those of a.jpg and a.png.
    """
    folder = os.path.abspath(_common_folder(sources))
    whole: set[Path] = set()
    while True:
        stems = {path: Path(os.path.abspath(path)).relative_to(folder) for path in images}
        stems = {path: stem if path in whole else stem.with_suffix("") for path, stem in stems.items()}
        results = {path: [f"{stem}{ending}" for ending in endings] for path, stem in stems.items()}
        count = Counter(name for names in results.values() for name in names)
        clashing = {path for path, names in results.items() if any(count[name] > 1 for name in names)}
        if clashing <= whole:
            return stems
        whole |= clashing
