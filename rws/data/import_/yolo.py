"""YOLO: data.yaml with the folders or lists of the splits and the names, and a text file of labels an image.

labels/a.txt is of images/a.jpg: a line an object, `class x y x y ...`, from 0 to 1 over width and height. An
empty file says that there is nothing; without a file the image is left out.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

import yaml

from rws.data.files import SUFFIXES
from rws.data.import_.found import Found, NoArea, Objects, Picture, Shape, class_name, split_named
from rws.data.import_.images import Images, parts_of, source_folder
from rws.data.import_.shapes import Patch, Size, Unread, fill, ring_of
from rws.data.lookup import files_below
from rws.data.opening import UNREAD
from rws.errors import UserError, said
from rws.runtime.text_yaml import TextLoader, refuse_twice

_SPLITS = ("train", "val", "test")
_IMAGES = (
    *SUFFIXES,
    *(ending for ending in UNREAD if ending != ".npy"),
)  # in which Ultralytics caches images
_MOST = 2.0  # of what should lie between 0 and 1; an outline may leave the image a little


class _Texts(yaml.SafeLoader):
    """Numbers, dates, and words as yes, no and on, which YAML takes for true and false, stay as written."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, form) for tag, form in found if tag.endswith((":null", ":merge"))]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = TextLoader.yaml_constructors


def read(source: Path, images: Images) -> Found:
    """The splits that data.yaml names.

    Raises: UserError for a source without data.yaml, and for one that cannot be used.
    """
    path = _description(source)
    tree = _load(path)
    names = _names(tree, path)
    found, without, used = Found(list(names.values())), 0, set[Path]()
    for split in _SPLITS:
        for image in _images_of(found, tree, split, path.parent, images):
            if (labels := _labels_of(image, images.root, path.parent)) is None:
                without += 1
                continue
            if labels in used:
                found.leave_out(image, f"{labels} is of another image, too; rename one")
                continue
            used.add(labels)
            _add(found, image, labels, names, split, images)
    if without:
        found.notes.append(f"{without} images without a .txt are left out (an empty one says: nothing there)")
    there = {path for folder in {labels.parent for labels in used} for path in folder.glob("*.txt")}
    if alone := sorted(path for path in there - used if path.stem not in (*_SPLITS, "classes")):
        found.notes.append(f"{len(alone)} .txt without an image are left out, such as {alone[0]}")
    return found


def _description(source: Path) -> Path:
    if source.is_file():
        return source
    folder = source_folder(source, "the folder with data.yaml")
    files = [p for p in files_below(folder, (".yaml", ".yml")) if p.parent == folder]
    if len(named := [path for path in files if path.stem == "data"] or files) != 1:
        raise UserError(f"{folder}: {len(named)} YAML files; give the folder with data.yaml, or that file")
    return named[0]


def _load(path: Path) -> dict:
    try:
        text = path.read_text(encoding="utf-8-sig")
        refuse_twice(path, yaml.compose(text, _Texts))
        tree = yaml.load(text, _Texts)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({said(error)}); export it again") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: holds no names with values; export it again")
    return tree


def _names(tree: dict, path: Path) -> dict[int, str]:
    given = tree.get("names")
    given = dict(enumerate(given)) if isinstance(given, list) else given
    if not isinstance(given, dict) or not given:
        raise UserError(f"{path}: has no names of classes; write `names: [kite, fish]`")
    names = {int(n): class_name(name) for n, name in given.items() if str(n).isdecimal()}
    if wrong := [n for n in given if not str(n).isdecimal() or names[int(n)] is None]:
        one = f"{wrong[0]}: {given[wrong[0]]}"
        raise UserError(
            f"{path}: names must give each number of a class a name, and has {one[:80]!r}; write `0: kite`"
        )
    if len(names) < len(given):
        raise UserError(f"{path}: names has one number twice; give each class its own")
    return names


def _images_of(found: Found, tree: dict, split: str, folder: Path, images: Images) -> list[Path]:
    """The images of a split: in a folder, in a list of them, or in several of either."""
    paths: list[Path] = []
    for entry in _entries(tree, split):
        if not isinstance(entry, str) or not entry.strip():
            continue
        place = _inside(entry, tree.get("path"), images.root, folder)
        if place is None:
            found.leave_out(split, f"neither a folder nor a list {entry} in {images.root}")
        elif place.is_dir():
            there = list(files_below(place, _IMAGES))
            paths += there
            if not there:
                found.leave_out(split, f"no image in {place}")
        else:
            paths += _listed(found, place, images, split)
    images.used.update(paths)
    return list(dict.fromkeys(paths))


def _entries(tree: dict, split: str) -> list:
    """What stands under the names of a split, which CVAT writes as Train and Validation."""
    given = [tree[key] for key in tree if isinstance(key, str) and split_named(key) == split]
    return [entry for each in given for entry in (each if isinstance(each, list) else [each])]


def _inside(entry: str, above: object, root: Path, folder: Path) -> Path | None:
    """The folder of images below `root`, or the list, that an entry means, without what leads out, as in
    ../train/images; of a path of another machine the end counts."""
    parts, before = parts_of(entry), parts_of(above if isinstance(above, str) else "")
    ends = range(1, len(parts)) if entry.startswith("/") else ()
    for below in (Path(*before, *parts), *(Path(*parts[start:]) for start in (0, *ends))):
        if _is(Path.is_dir, root / below):
            return root / below
        for place in (root / below, folder / below):
            if place.suffix == ".txt" and _is(Path.is_file, place):
                return place
    return None


def _is(kind: Callable[[Path], bool], place: Path) -> bool:
    try:
        return kind(place)
    except (OSError, ValueError):  # of a name that no file can have
        return False


def _listed(found: Found, path: Path, images: Images, split: str) -> list[Path]:
    paths = []
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        try:
            paths += [images.find(line.strip(), path.parent, split)] if line.strip() else []
        except Unread as reason:
            found.leave_out(path, reason)
    return paths


def _labels_of(image: Path, root: Path, folder: Path) -> Path | None:
    """The labels of an image: in labels/ for images/, or beside it."""
    below = list(image.relative_to(root).parts)
    tries = [image.with_suffix(".txt")]
    if "images" in below:
        at = len(below) - 1 - below[::-1].index("images")
        below[at] = "labels"
        tries = [place.joinpath(*below).with_suffix(".txt") for place in (root, folder)]
    else:
        tries += [folder.joinpath("labels", *below).with_suffix(".txt")]
    return next((path for path in tries if path.is_file()), None)


def _add(found: Found, image: Path, labels: Path, names: dict[int, str], split: str, images: Images) -> None:
    try:
        lines = labels.read_text(encoding="utf-8-sig").splitlines()
        numbered = [(n, line.split()) for n, line in enumerate(lines, 1) if line.strip()]
        shapes = found.with_area(str(labels), [partial(_shape, n, words, names) for n, words in numbered])
    except (Unread, OSError, UnicodeDecodeError) as reason:
        found.leave_out(labels, reason)
        return
    name = image.relative_to(images.root).as_posix()
    found.pictures.append(Picture(str(labels), image, name, Objects(shapes), None, split))


def _shape(line: int, words: list[str], names: dict[int, str]) -> Shape:
    """Raises: NoArea for a shape that covers nothing, Unread for one that cannot be drawn."""
    number = int(words[0]) if words[0].isdecimal() and len(words[0]) < 10 else None
    if number not in names:
        raise Unread(f"line {line} is of class {words[0][:40]}, which has no name")
    ring = ring_of(words[1:])
    if len(words) == 5:
        raise Unread(f"line {line} is a box: export for segmentation, not for detection")
    if len(ring) < 3:
        raise NoArea(f"line {line} has {len(ring)} points")
    if abs(ring).max() > _MOST:
        raise Unread(f"line {line} has a coordinate of {abs(ring).max():g}, where 1 is the whole image")
    return Shape(names[number], partial(_draw, ring))


def _draw(ring, size: Size) -> Patch:
    return fill([ring * size[::-1]], size)
