"""COCO-Stuff, the 164k and the 10k release: 171 classes out of 182 ids.

164k: images/{train2017,val2017}/*.jpg, annotations/{train2017,val2017}/*.png (or all in annotations/); a
label holds id - 1, and 255 where nothing is labelled. 10k: images/*.jpg, annotations/*.mat (or .png with the
same numbers) and imageLists/{train,test}.txt; a label holds the id, and 0 where nothing is labelled. Results
are written with the numbers of the release.
"""

from pathlib import Path

import numpy as np

from rws.data.classes import ClassSet, voc_colour
from rws.data.label_files import read_mat
from rws.data.lists import find_list, read_list
from rws.data.reading import Places, Reading
from rws.data.sets.paired_folders import open_folders
from rws.data.split import Split, find_folders

# Ids 1..182 but for GAPS, things first; the names are those of the set's labels.txt.
_NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop
sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack,
umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball
glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana,
apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed,
dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink,
refrigerator, book, clock, vase, scissors, teddy bear, hair drier, toothbrush, banner, blanket, branch,
bridge, building-other, bush, cabinet, cage, cardboard, carpet, ceiling-other, ceiling-tile, cloth,
clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt, door-stuff, fence, floor-marble,
floor-other, floor-stone, floor-tile, floor-wood, flower, fog, food-other, fruit, furniture-other,
grass, gravel, ground-other, hill, house, leaves, light, mat, metal, mirror-stuff, moss, mountain, mud,
napkin, net, paper, pavement, pillow, plant-other, plastic, platform, playingfield, railing, railroad,
river, road, rock, roof, rug, salad, sand, sea, shelf, sky-other, skyscraper, snow, solid-other, stairs,
stone, straw, structural-other, table, tent, textile-other, towel, tree, vegetable, wall-brick,
wall-concrete, wall-other, wall-panel, wall-stone, wall-tile, wall-wood, water-other, waterdrops,
window-blind, window-other, wood
"""
# Names of COCO's list that nothing was labelled with: street sign, hat, shoe, eye glasses, plate, mirror,
# window, desk, door, blender, hair brush.
GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
IDS = tuple(number for number in range(1, 183) if number not in GAPS)
_CLASSES = {
    "names": tuple(name.strip() for name in _NAMES.replace("\n", " ").split(",")),
    "palette": tuple(voc_colour(number) for number in IDS),  # VOC's rule gives 171 different colours
    "background": None,
}
CLASSES_164K = ClassSet(**_CLASSES, file_values=tuple(number - 1 for number in IDS), void=(255,))
CLASSES_10K = ClassSet(**_CLASSES, file_values=IDS, void=(0,))
PUBLISHED_164K = {"train": 118287, "val": 5000}
PUBLISHED_10K = {"train": 9000, "val": 1000}
_LISTS_10K = {"train": "train", "val": "test", "test": "test"}
_FOLDERS = ("images", "annotations")
_ADVICE = "put COCO-Stuff into data/{0}, with images/ and annotations/, or give that folder as the root"


def open_164k(root: str | Path, split: str, list_name: str | None, reading: Reading) -> Split:
    """One split of the 164k release.

    Raises: UserError for a missing folder and for a list that the set does not have.
    """
    root = find_folders(root, _FOLDERS, ("coco_stuff164k",), _ADVICE.format("coco_stuff164k"))
    places = {}
    for name in PUBLISHED_164K:
        within = f"annotations/{name}2017"
        labels = within if (root / within).is_dir() else "annotations"
        places[name] = Places(f"images/{name}2017", labels)
    return open_folders(root, list_name or split, CLASSES_164K, places, reading)


def open_10k(root: str | Path, split: str, list_name: str | None, reading: Reading) -> Split:
    """One split of the 10k release; its test images are what is evaluated on.

    Raises: UserError for a missing folder or list.
    """
    below = ("coco_stuff10k", "coco_stuff10k/cocostuff-10k-v1.1", "cocostuff-10k-v1.1")
    root = find_folders(root, _FOLDERS, below, _ADVICE.format("coco_stuff10k"))
    ids = read_list(find_list(root, list_name or _LISTS_10K[split], ("imageLists",)))
    places = Places("images", "annotations", label_endings=(".mat", ".png"))
    return Split10k(root, list_name or split, CLASSES_10K, ids, places, reading)


class Split10k(Split):
    """One split of the 10k release, whose labels are MATLAB files."""

    def read_raw(self, image_id: str) -> np.ndarray:
        """As `Split.read_raw`; of a MATLAB file the matrix S.

        Shape: (H, W) uint8.
        """
        path = self.label_path(image_id)
        return read_mat(path, "S") if path.suffix.lower() == ".mat" else super().read_raw(image_id)
