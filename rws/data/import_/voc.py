"""VOC's layout, as the data set has it and as CVAT exports masks: SegmentationClass/ and JPEGImages/.

A line of labelmap.txt is `name:r,g,b:parts:actions`; labelme's converter writes class_names.txt instead, a
name for each number. Without either the classes are VOC's. Masks hold colours, or numbers with a palette of
them. ImageSets/Segmentation/*.txt are the splits. Boxes in Annotations/ are no masks.
"""

from collections.abc import Collection
from functools import partial
from pathlib import Path

from rws.data.classes import VOC2012, Colour, voc_colour
from rws.data.import_.found import IGNORED, Found, MaskFile, Picture, class_name, split_named
from rws.data.import_.images import Images, files_below, source_folder
from rws.data.import_.shapes import Unread
from rws.data.label_files import LABEL_SUFFIXES, read_label
from rws.data.lists import LIST_FOLDERS, ids_of
from rws.data.sets.classes_file import is_background
from rws.errors import UserError

IMAGES, MASKS, OBJECTS = "JPEGImages", "SegmentationClass", "SegmentationObject"
LABELMAP, NAMES = "labelmap.txt", "class_names.txt"


def read(source: Path, images: Images) -> Found:
    """The masks of a folder.

    Raises: UserError for a folder without masks, and for a labelmap.txt that cannot be used.
    """
    root = _root(source_folder(source, f"the folder with {MASKS}/"))
    names, colours = _classes(root)
    found = Found(list(names.values()))
    if not any((root / name).is_file() for name in (LABELMAP, NAMES)):
        found.notes.append(f"neither {LABELMAP} nor {NAMES} in {root}: the classes are VOC's own")
    masks = list(files_below(root / MASKS, LABEL_SUFFIXES))
    ids = [path.relative_to(root / MASKS).with_suffix("").as_posix() for path in masks]
    if not masks:
        raise UserError(f"{root / MASKS}: holds no mask ({', '.join(LABEL_SUFFIXES)}); export masks as PNG")
    splits = _splits(root, found, frozenset(ids))
    photographs = f"{IMAGES}/" if images.has_folder(IMAGES) else ""  # elsewhere may be pictures of masks
    for below, path in zip(ids, masks):
        split = splits.get(below)
        try:
            image = images.find_stem(f"{photographs}{below}", (root / IMAGES / below).parent)
        except Unread as reason:
            found.leave_out(path, reason)
            continue
        content = MaskFile(partial(read_label, path, colours, classes=names), names)
        name = image.relative_to(images.root).as_posix()
        found.pictures.append(Picture(str(path), image, name, content, None, split))
    return found


def _root(source: Path) -> Path:
    """The folder that holds the masks: the source, or one below it, as VOCdevkit/VOC2012."""
    places = [source, *sorted(source.glob("*")), *sorted(source.glob("*/*"))]
    there = [place for place in places if (place / MASKS).is_dir()]
    if not there:
        boxes = "; boxes alone (Annotations/) are no masks" if (source / "Annotations").is_dir() else ""
        raise UserError(f"{source}: no {MASKS}/ with masks{boxes}; export segmentation masks")
    if len(there) > 1:
        names = ", ".join(str(place) for place in there)
        raise UserError(f"{source}: holds several sets ({names}); give one of them")
    return there[0]


def _classes(root: Path) -> tuple[dict[int, str], dict[Colour, int]]:
    """The name of each number, and the number of each colour: the lines count from 0."""
    path = root / LABELMAP
    if path.is_file():
        names, palette = zip(*_entries(path)) if _entries(path) else ((), ())
    elif (root / NAMES).is_file():
        names = [class_name(line) or line for line in _lines(root / NAMES)]
        palette = tuple(map(voc_colour, range(len(names))))
    else:
        names, palette = VOC2012.names, VOC2012.palette
    numbers = dict(enumerate(names))
    colours = {voc_colour(IGNORED): IGNORED} | {colour: n for n, colour in enumerate(palette)}
    if len(set(palette)) < len(palette):
        raise UserError(f"{path}: two classes have one colour; give each its own in the tool")
    if (0, 0, 0) not in colours and not any(map(is_background, names)):
        numbers[len(names)], colours[0, 0, 0] = "background", len(names)
    return numbers, colours


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); export it again") from None
    return [line for line in lines if line.strip()]


def _entries(path: Path) -> list[tuple[str, Colour]]:
    return [_entry(line, path) for line in _lines(path) if not line.startswith("#")]


def _entry(line: str, path: Path) -> tuple[str, Colour]:
    name, *rest = line.rsplit(":", 3)
    levels = [int(level) if level.strip().isdecimal() else 256 for level in (rest or [""])[0].split(",")]
    if (plain := class_name(name)) is None or len(levels) != 3 or max(levels) > 255:
        raise UserError(f"{path}: {line!r} is no class; write `name:r,g,b::` with 0..255")
    return plain, tuple(levels)


def _splits(root: Path, found: Found, masks: Collection[str]) -> dict[str, str]:
    """The split of each id, by the lists that are named after one; ids without a mask are noted.

    Raises: UserError for an id in the lists of two splits.
    """
    listed: dict[str, tuple[str, Path]] = {}
    for folder in LIST_FOLDERS:
        for path in sorted((root / folder).glob("*.txt")):
            if (split := split_named(path.stem)) is not None:
                ids = ids_of(path.read_text(encoding="utf-8-sig", errors="replace").split("\n"))
                if twice := [i for i in ids if listed.setdefault(i, (split, path))[0] != split]:
                    which = f"{len(twice)} of its ids, such as {twice[0]}, are in {listed[twice[0]][1]}, too"
                    raise UserError(f"{path}: {which}; leave each id in one of the lists")
                if gone := [image_id for image_id in ids if image_id not in masks]:
                    found.leave_out(path, f"{len(gone)} ids without a mask in {MASKS}/, such as {gone[0]}")
    return {image_id: split for image_id, (split, _) in listed.items()}
