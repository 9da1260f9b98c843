"""COCO: a JSON file of instances for each split, with outlines or run lengths.

`images` have id, file_name, width and height; `categories` id and name; `annotations` image_id, category_id,
iscrowd and segmentation: a list of outlines, x, y, x, y, ..., or {"size": [h, w], "counts": run lengths by
columns, as numbers or compressed}.
"""

from collections import Counter
from functools import partial
from pathlib import Path

from rws.data.import_.found import (
    Found,
    NoArea,
    Objects,
    Picture,
    Shape,
    class_name,
    load_json,
    size_of,
    split_named,
)
from rws.data.import_.images import Images, source_folder
from rws.data.import_.shapes import Patch, Size, Unread, decompress, fill_each, from_runs, ring_of
from rws.data.lookup import files_below
from rws.errors import UserError

_NO_OUTLINE = "has a box and no outline: export for segmentation, not for detection"


def read(source: Path, images: Images) -> Found:
    """The instances in a JSON file, or in all such files of a folder.

    Raises: UserError for a source without any, and for a file that is something else.
    """
    found, (files, others) = Found(), _files(source)
    if others:
        found.notes.append(
            f"{len(others)} JSON files without instances or coco in their name are not read, such as "
            f"{others[0]}"
        )
    for path in files:
        add_instances(found, path, images, split_named(path.parent.name, path.stem))
    return found


def _files(source: Path) -> tuple[list[Path], list[Path]]:
    """The files of instances, and the others: beside them lie those of captions and keypoints."""
    if source.is_file() and source.suffix.lower() == ".json":
        return [source], []
    every = list(files_below(source_folder(source, "a folder with COCO's JSON, or that file"), (".json",)))
    files = [path for path in every if "instances" in path.name or "coco" in path.name] or every
    if not files:
        raise UserError(f"{source}: no .json in this folder; give the folder of a COCO export, or its JSON")
    return files, [path for path in every if path not in files]


def add_instances(found: Found, path: Path, images: Images, split: str | None) -> None:
    """Add what one file holds.

    Raises: UserError for a file that holds no instances.
    """
    tree = load_json(path)
    annotations = _records(tree, "annotations", path)
    if annotations and all("segments_info" in record for record in annotations):
        raise UserError(f"{path}: holds panoptic segments; export instances")
    names = _categories(tree, annotations, path)
    found.names += names.values()
    of_image: dict[object, list[dict]] = {}
    for record in annotations:
        of_image.setdefault(_key(record.get("image_id")), []).append(record)
    records = _records(tree, "images", path)
    count = Counter(_key(record.get("id")) for record in records)
    for record in records:
        place = f"{path}: image {record.get('file_name', record.get('id'))}"
        objects = of_image.pop(_key(record.get("id")), [])
        try:
            if count[_key(record.get("id"))] > 1:
                raise Unread(f"its id {record.get('id')} is that of another image, too; give each its own")
            image = images.find(record.get("file_name"), path.parent, split)
            shapes = _shapes(found, place, objects, names)
        except Unread as reason:
            found.leave_out(place, reason)
            continue
        size = size_of(record.get("height"), record.get("width"))
        name = image.relative_to(images.root).as_posix()
        found.pictures.append(Picture(place, image, name, Objects(shapes), size, split))
    if lost := sum(map(len, of_image.values())):
        found.leave_out(path, f"{lost} annotations of images that it does not list")


def _records(tree: dict, name: str, path: Path) -> list[dict]:
    records = tree.get(name)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise UserError(f"{path}: no list of {name}, as COCO's instances have one; export it again as COCO")
    return records


def _key(number: object) -> object:
    """An id as a key; 1.0, 1, True and "1" are not told apart."""
    if isinstance(number, str) and number.isdecimal() and len(number) < 19 and str(int(number)) == number:
        return int(number)
    return number if isinstance(number, (int, str, float)) else repr(number)


def _categories(tree: dict, annotations: list[dict], path: Path) -> dict[object, str]:
    """The name of each category's id, without the one that Roboflow puts above all others."""
    records, names = _records(tree, "categories", path), {}
    above = {record.get("supercategory") for record in records if _is_text(record.get("supercategory"))}
    used = {_key(record.get("category_id")) for record in annotations}
    for record in records:
        number, name = _key(record.get("id")), class_name(record.get("name"))
        if name is None:
            raise UserError(f"{path}: category {number} has no name; give it one in the tool")
        if number in names:
            raise UserError(f"{path}: category {number} is there twice; give each class its own id")
        root = record.get("supercategory") in ("none", "", None) and record["name"] in above
        if number in used or not root:
            names[number] = name
    return names


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _shapes(found: Found, place: str, records: list[dict], names: dict[object, str]) -> list[Shape]:
    """The objects of an image; crowds come first, so that what is drawn alone lies above them."""
    ordered = sorted(records, key=lambda record: not _is_crowd(record))
    return found.with_area(place, [partial(_shape, record, names) for record in ordered])


def _is_crowd(record: dict) -> bool:
    """Whether a record is of a crowd. CVAT, which alone writes attributes, calls so whatever is painted."""
    attributes = record.get("attributes", {"is_crowd": True})
    marked = isinstance(attributes, dict) and attributes.get("is_crowd") in (1, True)
    return marked and record.get("iscrowd") in (1, True)


def _shape(record: dict, names: dict[object, str]) -> Shape:
    number, form = record.get("category_id"), record.get("segmentation")
    what = f"annotation {record.get('id')}"
    if _key(number) not in names:
        raise Unread(f"{what} is of category {number}, which has no name")
    name = names[_key(number)]
    if isinstance(form, dict):
        return Shape(name, partial(_draw_runs, form, what))
    if not isinstance(form, list) or not form:
        raise Unread(f"{what} {_NO_OUTLINE}")
    rings = [ring_of(part) for part in (form if isinstance(form[0], list) else [form])]
    rings = [ring for ring in rings if len(ring) > 2]
    if not rings:
        raise NoArea(f"{what} has an outline of fewer than 3 points")
    return Shape(name, partial(fill_each, rings))


def _draw_runs(form: dict, what: str, size: Size) -> Patch:
    said, runs = form.get("size"), form.get("counts")
    if said != list(size):
        raise Unread(f"{what} is a mask of {said}, its image of {list(size)} (height, width)")
    runs = decompress(runs) if isinstance(runs, str) else runs
    return Patch(0, 0, from_runs(runs, size, by_columns=True))
