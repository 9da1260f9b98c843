"""Cityscapes, fine annotations: 19 classes, read from and written to the labelIds of the official files.

leftImg8bit/{train,val,test}/<city>/<id>_leftImg8bit.png and, in the same folders of gtFine,
<id>_gtFine_labelIds.png; the labelTrainIds need not be made.
"""

from pathlib import Path

from rws.data.classes import ClassSet
from rws.data.reading import Places, Reading
from rws.data.sets.paired_folders import open_folders
from rws.data.split import Split, find_folders

# labelId, class, colour: the rows that are evaluated of the table in cityscapesScripts' labels.py.
_CLASSES = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
_IDS, _NAMES, _PALETTE = zip(*_CLASSES)
CLASSES = ClassSet(
    _NAMES,
    _PALETTE,
    background=None,
    file_values=_IDS,
    void=tuple(number for number in range(34) if number not in _IDS),
)
PUBLISHED = {"train": 2975, "val": 500, "test": 1525}
_ADVICE = "put leftImg8bit and gtFine of Cityscapes into data/cityscapes, or give their folder as the root"


def open_cityscapes(root: str | Path, split: str, list_name: str | None, reading: Reading) -> Split:
    """One split of Cityscapes, all cities together.

    Raises: UserError for a missing folder and for a list that the set does not have.
    """
    root = find_folders(root, ("leftImg8bit", "gtFine"), ("cityscapes",), _ADVICE)
    places = {
        name: Places(f"leftImg8bit/{name}", f"gtFine/{name}", "_leftImg8bit", "_gtFine_labelIds")
        for name in PUBLISHED
    }
    return open_folders(root, list_name or split, CLASSES, places, reading, ByCity, "*/*")


class ByCity(Split):
    """A split whose files lie in a folder for each city."""

    def stem(self, image_id: str) -> str:
        """<city>/<id>; an id begins with its city."""
        return f"{image_id.split('_')[0]}/{image_id}"
