"""Roboflow: train/, valid/ and test/, each with its images and either annotation file.

"COCO Segmentation" has _annotations.coco.json; "Semantic Segmentation Masks" has x_mask.png for x.jpg and
_classes.csv, `Pixel Value, Class`.
"""

from functools import partial
from pathlib import Path

from rws.data.import_.coco import add_instances
from rws.data.import_.found import Found, MaskFile, Picture, class_name, split_named
from rws.data.import_.images import Images, files_below, source_folder
from rws.data.import_.shapes import Unread
from rws.data.label_files import read_label
from rws.data.sets.classes_file import read_classes
from rws.data.sets.folder_layouts import ROBOFLOW_CLASSES, ROBOFLOW_END
from rws.errors import UserError

_INSTANCES = "_annotations.coco.json"
_MASK = f"{ROBOFLOW_END}.png"


def read(source: Path, images: Images) -> Found:
    """Either export.

    Raises: UserError for a folder with neither.
    """
    source, found = source_folder(source, "the folder with train/ and valid/"), Found()
    files = list(files_below(source, (_INSTANCES, ROBOFLOW_CLASSES)))
    for path in files:
        if path.name == _INSTANCES:
            add_instances(found, path, images, split_named(path.parent.name))
        else:
            _add_masks(found, path, images)
    if not files:
        raise UserError(
            f"{source}: neither {_INSTANCES} nor {ROBOFLOW_CLASSES} in it; export as 'COCO Segmentation' or "
            "'Semantic Segmentation Masks', and unpack it"
        )
    return found


def _add_masks(found: Found, table: Path, images: Images) -> None:
    classes = read_classes(table)
    names = {number: class_name(name) or name for number, name in zip(classes.in_files, classes.names)}
    found.names += names.values()
    split = split_named(table.parent.name)
    for path in files_below(table.parent, (_MASK,)):
        images.used.add(path)  # which is no photograph
        try:
            image = images.find_stem(path.name.removesuffix(_MASK), path.parent, split)
        except Unread as reason:
            found.leave_out(path, reason)
            continue
        content, name = (
            MaskFile(partial(read_label, path, classes=names), names),
            image.relative_to(images.root).as_posix(),
        )
        found.pictures.append(Picture(str(path), image, name, content, None, split))
