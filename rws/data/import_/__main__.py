"""Read the annotations of another tool, and write the folder that `--data.name folder` reads.

    rws import coco exports/coco --output data/mine
    rws import cvat annotations.xml --images photos --output data/mine

Masks, classes.txt and, where the export has splits, train.txt and val.txt are written; images are linked.
SOURCE is never changed. What cannot be read is left out, a line each.
"""

import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from rws.data.import_ import coco, cvat, labelme, roboflow, voc, yolo
from rws.data.import_.found import Found, split_named
from rws.data.import_.images import Images, refuse_archive, source_folder
from rws.data.import_.write import Options, Written, write
from rws.data.label_files import DRAWN_ON
from rws.errors import Parser, UserError, exit_code
from rws.runtime.bars import say

READERS = {module.__name__.rpartition(".")[2]: module.read for module in (coco, labelme, cvat, yolo, voc)}
READERS["roboflow"] = roboflow.read
MOST_LINES = 20
_NO_IMAGES = (voc.MASKS, voc.OBJECTS)


def read(form: str, source: Path, images: Path | None = None) -> Found:
    """What an export holds.

    Raises: UserError for one that cannot be read at all.
    """
    if not source.exists():
        raise UserError(f"{source}: no such file or folder; give the export of your tool")
    refuse_archive(source)
    root = source if source.is_dir() else source.parent
    root = root.parent if source.is_file() and root.name == "annotations" else root
    index = Images(root if images is None else source_folder(images, "the folder of the images"), _NO_IMAGES)
    found = READERS[form](source, index)
    if unused := index.unused():
        found.notes.append(f"{unused} images without an annotation are left out")
    _split_by_folder(found)
    return found


def _split_by_folder(found: Found) -> None:
    """Where nothing else says a split, take those of the images' folders, if each image has one."""
    splits = [split_named(*PurePosixPath(picture.name).parts[:-1]) for picture in found.pictures]
    if None not in splits and not any(picture.split for picture in found.pictures):
        found.pictures = [replace(picture, split=split) for picture, split in zip(found.pictures, splits)]


def make_parser() -> Parser:
    """What reads the flags of the command."""
    parser = Parser("rws import", __doc__)
    parser.add_argument("format", choices=tuple(READERS), help="what the tool has exported")
    parser.add_argument(
        "source", type=Path, help="the folder of the unpacked export, or its JSON, XML or YAML"
    )
    parser.add_argument("--output", type=Path, required=True, help="new folder, such as data/mine")
    parser.add_argument("--images", type=Path, help="folder of the images, where they are not in SOURCE")
    parser.add_argument("--copy", action="store_true", help="copy the images, where else they are linked")
    parser.add_argument("--skip-empty", action="store_true", help="leave out images without an object")
    parser.add_argument(
        "--orientation",
        choices=DRAWN_ON,
        default="shown",
        help="what was annotated where EXIF turns an image and its size does not tell: the image as viewers "
        "show it, or as it is stored (default: shown)",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return exit_code(
        partial(_run, arguments),
        results="the folder is written to --output",
        interrupted="interrupted; nothing is written",
    )


def _run(arguments: list[str] | None) -> None:
    args = make_parser().parse_args(arguments)
    found = read(args.format, args.source.expanduser(), args.images and args.images.expanduser())
    output = args.output.expanduser()
    options = Options(args.copy, args.orientation, args.skip_empty)
    say(*_report(found, write(found, output, options), output, options))


def _report(found: Found, written: Written, output: Path, options: Options) -> list[str]:
    """What the command says at the end."""
    lines = [f"left out: {line}" for line in found.left_out[:MOST_LINES]]
    if len(found.left_out) > MOST_LINES:
        lines.append(f"left out: {len(found.left_out) - MOST_LINES} more")
    lines += found.notes + _notes(written, options)
    shares = ", ".join(f"{len(ids)} {split}" for split, ids in written.splits.items() if split is not None)
    count = sum(map(len, written.splits.values()))
    drawn = "no lists: val is drawn from all of them"
    names = ", ".join(written.names)
    lines.append(f"{output}: {count} images ({shares or drawn}), {len(written.names)} classes: {names}")
    lines.append(f"look at it: rws check --config folder --data.root {shlex.quote(str(output))}")
    return lines


def _notes(written: Written, options: Options) -> list[str]:
    """A line for each thing that was decided on the way."""
    notes = []
    if written.lost:
        count = f"{sum(written.lost):,} pixels in {len(written.lost)} images"
        notes.append(f"objects of two classes overlap: {count} have the class of the later one")
    if written.unsplit:
        count = f"{len(written.unsplit)} images, such as {written.unsplit[0]}"
        notes.append(f"{count}, are in no split of the export: they go to train")
    if written.small:
        notes.append(
            f"objects too small to cover a pixel are left out in {len(written.small)} images, such as "
            f"{written.small[0]}"
        )
    if written.empty and options.skip_empty:
        notes.append(f"{written.empty} images without an object are left out")
    elif written.empty:
        notes.append(
            f"{written.empty} images without an object are background (--skip-empty leaves them out)"
        )
    if written.turned:
        notes.append(
            f"{written.turned} images that EXIF turns, where the size does not tell what was annotated: "
            f"taken as {options.orientation} (--orientation), and written upright"
        )
    if not written.linked and not options.copy:
        notes.append("images are copied: links cannot be made here")
    return notes + _alike(written.names)


def _alike(names: list[str]) -> list[str]:
    by_key: dict[str, list[str]] = {}
    for name in names:
        by_key.setdefault(name.casefold(), []).append(name)
    alike = [group for group in by_key.values() if len(group) > 1]
    return [
        f"{' and '.join(group)} differ in letter case alone, and are classes of their own" for group in alike
    ]


if __name__ == "__main__":
    sys.exit(main())
