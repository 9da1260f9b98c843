"""CVAT: "CVAT for images 1.1", one annotations.xml, or "Segmentation mask 1.1", which is VOC's layout.

An image has name, width and height, and shapes with a label, z_order saying what lies above: polygon (points
"x,y;x,y"), box (xtl, ytl, xbr, ybr), ellipse (cx, cy, rx, ry), both turned by rotation, and mask: rle, the
run lengths by rows within the box of left, top, width, height.
"""

from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from rws.data.import_ import voc
from rws.data.import_.found import Found, NoArea, Objects, Picture, Shape, class_name, size_of, split_named
from rws.data.import_.images import Images, source_folder
from rws.data.import_.shapes import (
    MOST_COORDINATE,
    Patch,
    Unread,
    box_ring,
    ellipse_ring,
    fill,
    from_runs,
    ring_of,
)
from rws.data.lookup import files_below
from rws.errors import UserError, said

_NO_AREA = ("polyline", "points", "cuboid", "skeleton")
_NO_SHAPE = ("tag", "attribute")


def read(source: Path, images: Images) -> Found:
    """Either export, from its folder or its XML file.

    Raises: UserError for a source that is neither.
    """
    files = [source] if source.is_file() else list(files_below(_folder(source), (".xml",)))
    if not files and (source / voc.MASKS).is_dir():
        return voc.read(source, images)
    if not files:
        raise UserError(
            f"{source}: no annotations.xml and no {voc.MASKS}/; export as 'CVAT for images 1.1' or "
            "'Segmentation mask 1.1', and unpack it"
        )
    found = Found()
    for path in files:
        _add(found, path, _parsed(path), images)
    return found


def _folder(source: Path) -> Path:
    return source_folder(source, "the folder of a CVAT export, or its annotations.xml")


def _parsed(path: Path) -> ElementTree.Element:
    """Raises: UserError for a file that is no XML of CVAT's for images."""
    try:
        content = path.read_bytes()
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
            raise UserError(f"{path}: declares entities, as no export does; export it again")
        tree = ElementTree.fromstring(content)
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f"{path}: cannot be read as XML ({said(error)}); export it again") from None
    if tree.tag != "annotations":
        raise UserError(f"{path}: is no XML of CVAT; export as 'CVAT for images 1.1'")
    if tree.find("image") is None and tree.find("track") is not None:
        raise UserError(f"{path}: is of a video; export as 'CVAT for images 1.1'")
    return tree


def _add(found: Found, path: Path, tree: ElementTree.Element, images: Images) -> None:
    listed = [class_name(label.findtext("name")) for label in tree.findall(".//labels/label")]
    found.names += [name for name in listed if name]
    for image in tree.findall("image"):
        place = f"{path}: image {image.get('name')}"
        split = split_named(image.get("subset") or "")
        try:
            file = images.find(image.get("name"), path.parent, split)
            ordered = sorted(image, key=lambda element: _number(element, "z_order", 0))
            makers = [partial(_shape, element) for element in ordered if element.tag not in _NO_SHAPE]
            shapes = found.with_area(place, makers)
        except Unread as reason:
            found.leave_out(place, reason)
            continue
        found.names += [shape.name for shape in shapes]
        name = file.relative_to(images.root).as_posix()
        size = size_of(image.get("height"), image.get("width"))
        found.pictures.append(Picture(place, file, name, Objects(shapes), size, split))


def _number(element: ElementTree.Element, name: str, without: float | None = None) -> float:
    """Raises: Unread for an attribute that is missing, or no number."""
    try:
        text = element.get(name)
        return without if text is None and without is not None else float(text)
    except (TypeError, ValueError):
        raise Unread(f"a {element.tag} whose {name} is no number ({str(element.get(name))[:40]})") from None


def _shape(element: ElementTree.Element) -> Shape:
    """Raises: NoArea for a shape that covers nothing, Unread for one that cannot be drawn."""
    kind, name = element.tag, class_name(element.get("label"))
    if kind in _NO_AREA:
        raise NoArea(f"a {kind} of {name} covers nothing")
    if name is None:
        raise Unread(f"a {kind[:40]} has no label")
    if kind == "mask":
        return Shape(name, partial(_draw_mask, element))
    ring = _ring(element)
    if len(ring) < 3:
        raise NoArea(f"a {kind} of {name} has {len(ring)} points")
    return Shape(name, lambda size: fill([ring], size))


def _ring(element: ElementTree.Element):
    of = partial(_number, element)
    turn = of("rotation", 0)
    if element.tag == "box":
        return box_ring(of("xtl"), of("ytl"), of("xbr"), of("ybr"), turn)
    if element.tag == "ellipse":
        return ellipse_ring(of("cx"), of("cy"), of("rx"), of("ry"), turn)
    if element.tag != "polygon":
        raise Unread(f"a shape is a {element.tag[:40]}, which is not known")
    return ring_of([pair.split(",") for pair in (element.get("points") or "").split(";") if pair])


def _draw_mask(element: ElementTree.Element, size: tuple[int, int]) -> Patch:
    box = [_number(element, name) for name in ("top", "left", "height", "width")]
    if not all(value == value and abs(value) <= MOST_COORDINATE for value in box):
        raise Unread("a mask in a box far outside")
    top, left, height, width = map(int, box)
    if height <= 0 or width <= 0 or height * width > 4 * size[0] * size[1]:
        raise Unread(f"a mask in a box of {height} x {width} pixels")
    try:
        runs = [int(run) for run in (element.get("rle") or "").split(",")]
    except ValueError:
        raise Unread("a mask whose rle is no list of numbers") from None
    return Patch(top, left, from_runs(runs, (height, width), by_columns=False))
