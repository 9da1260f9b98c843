"""Photographs as files: found, opened as a viewer shows them, and where their results go."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from rws.data.files import DECODE_ERRORS
from rws.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def displayed(image: Image.Image) -> Image.Image:
    """The image in 8-bit RGB as a viewer shows it: the camera's EXIF orientation applied.

    Raises: UserError for pixels whose range is unknown (32-bit integers, floats).
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        # Pillow's own conversion would cut everything above 255 to white.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UserError(f"image in mode {image.mode} (32 bits a pixel): save it with 8 or 16 bits")
    return image.convert("RGB")


def open_image(path: Path) -> Image.Image:
    """Read a photograph as `displayed` gives it.

    Raises: UserError that names a file that is missing or cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            return displayed(image)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except DECODE_ERRORS as error:
        raise UserError(f"{path}: image cannot be decoded ({error}); replace the file") from None


def find_images(source: Path, output: Path) -> tuple[list[Path], list[str]]:
    """The images of a folder and of the folders in it, or the one file; and a note on whatever is left out.

    Raises: UserError for a missing source and for a folder without an image.
    """
    if source.is_file():
        return [source], []
    if not source.is_dir():
        raise UserError(f"{source}: no such image or folder; give one with --input")
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    # Results of an earlier run in a folder inside the input are not its images.
    inside = output.resolve() != source.resolve()
    results = {path for path in files if inside and output.resolve() in path.resolve().parents}
    others = Counter(path.suffix or "none" for path in files if path.suffix.lower() not in SUFFIXES)
    images = [path for path in files if path not in results and path.suffix.lower() in SUFFIXES]
    if not images:
        raise UserError(f"{source}: no image in this folder (endings {', '.join(SUFFIXES)})")
    notes = [f"left out: {len(results)} files in the output folder {output}"] if results else []
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
    """Raises: UserError naming the file that could not be written."""
    for picture, path in zip(pictures, paths):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, **({"quality": 92} if path.suffix == ".jpg" else {}))
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None


def result_stems(images: Sequence[Path], source: Path, endings: Sequence[str]) -> dict[Path, Path]:
    """Where each image's results go, relative to the output and still without one of the `endings`.

    That is its stem; its whole name where stems would overwrite each other, as those of a.jpg and a.png.
    """
    folder = source if source.is_dir() else source.parent
    whole: set[Path] = set()
    while True:
        stems = {path: path.relative_to(folder) for path in images}
        stems = {path: stem if path in whole else stem.with_suffix("") for path, stem in stems.items()}
        results = {path: [f"{stem}{ending}" for ending in endings] for path, stem in stems.items()}
        count = Counter(name for names in results.values() for name in names)
        clashing = {path for path, names in results.items() if any(count[name] > 1 for name in names)}
        if clashing <= whole:
            return stems
        whole |= clashing
