"""labelme and X-AnyLabeling: a JSON file an image, with its shapes; a labels.txt there orders the classes.

`shapes` have label, shape_type and points, pairs of x, y; imagePath is relative to the JSON file, imageData
the image itself as base64, as labelme has shown it. Shapes that cover nothing (points, lines) are told.
"""

import base64
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

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
from rws.data.import_.shapes import (
    MOST_COORDINATE,
    Patch,
    Size,
    Unread,
    box_ring,
    ellipse_ring,
    fill,
    ring_of,
)
from rws.data.lookup import files_below
from rws.data.opening import DECODE_ERRORS
from rws.errors import UserError

# The last two are X-AnyLabeling's, whose rectangles have four corners as well.
_OUTLINES = ("polygon", "rectangle", "circle", "oriented_rectangle", "rotation", "quadrilateral")
_NO_AREA = ("point", "points", "line", "linestrip")


def read(source: Path, images: Images) -> Found:
    """All JSON files of a folder.

    Raises: UserError for a folder without any.
    """
    found = Found()
    files = list(files_below(source_folder(source, "the folder with labelme's JSON files"), (".json",)))
    if not files:
        raise UserError(f"{source}: no .json in this folder; give the one where labelme has saved")
    for path in files:
        try:
            found.pictures.append(_picture(found, path, load_json(path), images))
        except Unread as reason:
            found.leave_out(path, reason)
        except UserError as error:
            found.left_out.append(str(error))
    drawn = {shape.name for picture in found.pictures for shape in picture.content.shapes}
    found.names = [*_listed(source), *sorted(drawn)]
    return found


def _listed(source: Path) -> list[str]:
    try:
        lines = (source / "labels.txt").read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{source / 'labels.txt'}: cannot be read ({error}); save it as UTF-8 text") from None
    return [name for line in lines if (name := class_name(line))]


def _picture(found: Found, path: Path, tree: dict, images: Images) -> Picture:
    """Raises: Unread for a file that is not labelme's, and for an image that cannot be found or drawn."""
    records = tree.get("shapes")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise Unread("has no list of shapes: it is not labelme's")
    split = split_named(*path.parent.relative_to(images.root).parts) if _is_below(path, images) else None
    image, name = _image(tree, path, images, split)
    shapes = found.with_area(str(path), [partial(_shape, record) for record in records])
    size = size_of(tree.get("imageHeight"), tree.get("imageWidth"))
    return Picture(str(path), image, name, Objects(shapes), size, split)


def _is_below(path: Path, images: Images) -> bool:
    return images.root in path.parents


def _image(
    tree: dict, path: Path, images: Images, split: str | None
) -> tuple[Path | Callable[[], bytes], str]:
    """The image's file, or what gives the image that the JSON file holds, and its name."""
    try:
        image = images.find(tree.get("imagePath"), path.parent, split)
        if image.parent != path.parent and (own := image.with_suffix(".json")).is_file() and own != path:
            raise Unread(f"no image {image.name} beside it, and {image} is that of {own.name} there")
        return image, image.relative_to(images.root).as_posix()
    except Unread:
        if not isinstance(tree.get("imageData"), str):
            raise
    name = path.relative_to(images.root) if _is_below(path, images) else Path(path.name)
    return partial(_embedded, path), name.as_posix()


def _embedded(path: Path) -> bytes:
    """The image in a JSON file, read again, so that those of all files are not held at once."""
    try:
        return base64.b64decode(load_json(path)["imageData"])
    except ValueError:
        raise Unread("its imageData is no base64") from None


def _shape(record: dict) -> Shape:
    """Raises: NoArea for a shape that covers nothing, Unread for one that cannot be drawn."""
    kind, name = record.get("shape_type") or "polygon", class_name(record.get("label"))
    if kind in _NO_AREA:
        raise NoArea(f"a {kind} of {name} covers nothing")
    if name is None:
        raise Unread(f"a {kind} has no label")
    points = ring_of(record.get("points"))
    if kind == "mask":
        return Shape(name, partial(_draw_mask, record.get("mask"), points))
    if kind not in _OUTLINES:
        raise Unread(f"a shape of {name} is a {str(kind)[:40]}, which is not known")
    if len(points) < (2 if kind in ("rectangle", "circle") else 3):
        raise NoArea(f"a {kind} of {name} has {len(points)} points")
    if len(points) not in {"rectangle": (2, 4), "circle": (2,)}.get(kind, (len(points),)):
        raise Unread(f"a {kind} of {name} has {len(points)} points")
    ring = points
    if kind == "rectangle" and len(points) == 2:
        ring = box_ring(*points[0], *points[1])
    elif kind == "circle":
        radius = float(np.hypot(*(points[1] - points[0])))
        ring = ellipse_ring(*points[0], radius, radius)
    return Shape(name, lambda size: fill([ring], size))


def _draw_mask(data: object, points: np.ndarray, size: Size) -> Patch:
    """A mask is a picture as base64, and the first and last pixel of its box."""
    if not isinstance(data, str) or len(points) != 2:
        raise Unread("a mask has no pixels, or no box")
    try:
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            if max(picture.size) > MOST_COORDINATE or picture.width * picture.height > 4 * size[0] * size[1]:
                raise Unread(f"a mask of {picture.width} x {picture.height} pixels")
            mask = np.asarray(picture.convert("L")) > 0
    except DECODE_ERRORS:
        raise Unread("a mask that cannot be decoded") from None
    left, top = (int(value) for value in np.floor(points.min(0)))
    right, bottom = (int(value) for value in np.floor(points.max(0)))
    if mask.shape != (bottom - top + 1, right - left + 1):
        box = f"{right - left + 1} x {bottom - top + 1}"
        raise Unread(f"a mask of {mask.shape[1]} x {mask.shape[0]} pixels in a box of {box}")
    return Patch(top, left, mask)
