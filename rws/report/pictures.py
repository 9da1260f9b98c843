"""A dozen images of a run, each as a photograph and thin layers over it."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rws.cycle.artifacts import Artifacts
from rws.data import ClassSet, Split
from rws.data.boxes import Box
from rws.look.overlay import is_foreground
from rws.look.samples import chosen_ids
from rws.look.viz import ATTENTION_COLOURS, MISSING_COLOURS
from rws.report import encode
from rws.report.again import SHOWN
from rws.report.facts import Facts
from rws.report.layers import HEAT, LABEL, PHOTO, THUMBNAIL, Layer, clear_of, percent
from rws.report.looking import PageNetwork, Seen
from rws.report.mended import Mended, mended
from rws.runtime.bars import tracked

IMAGES = 12
USUAL_STAGES = 4  # the heat maps of a network of more shrink, so that the file does not grow
# Where one network is right and the other wrong: blue and orange, which everybody tells apart.
BOTH_RIGHT, RWS_RIGHT, PLAIN_RIGHT, BOTH_WRONG, NOT_LABELLED = range(5)
DIFFERENCE = {RWS_RIGHT: (0, 114, 178), PLAIN_RIGHT: (230, 159, 0), BOTH_WRONG: (60, 60, 60)}


@dataclass(frozen=True)
class Sample:
    """One image with its layers; boxes (y, x, h, w) in its own pixels; legend: names and CSS colours."""

    image_id: str
    split: str
    width: int
    height: int
    photo: str
    grey: str
    thumbnail: str
    layers: tuple[Layer, ...]
    boxes: tuple[Box, ...]
    legend: tuple[tuple[str, str], ...]
    sentence: str
    again: Mended | None


@dataclass(frozen=True)
class Pictures:
    """All of them; stages and networks by name, networks also by the key that layers name as their arm."""

    samples: tuple[Sample, ...] = ()
    stages: tuple[str, ...] = ()
    networks: tuple[tuple[str, str], ...] = ()


def difference(label: np.ndarray, plain: np.ndarray, rws: np.ndarray, ignore_index: int) -> np.ndarray:
    """Who is right at each pixel.

    Shape: three (H, W) -> (H, W) uint8 of the five kinds above.
    """
    right, other = rws == label, plain == label
    kinds = np.select(
        [label == ignore_index, right & other, right, other],
        [NOT_LABELLED, BOTH_RIGHT, RWS_RIGHT, PLAIN_RIGHT],
        BOTH_WRONG,
    )
    return kinds.astype(np.uint8)


def last_slices(facts: Facts) -> tuple[int | None, dict[str, list[Box]]]:
    """The last cycle that was scored, and its weak slices."""
    run = Artifacts(facts.folder)
    for c in reversed(facts.cycles):
        if run.left("score", c.cycle).is_file():
            return c.cycle, run.boxes(c.cycle)
    return None, {}


def choose(train: Split, val: Split, boxes: dict[str, list[Box]], count: int) -> list[tuple[Split, str]]:
    """Half of them training images, with weak slices where there are any, the others validation images.

    Both evenly spread over their lists: nobody has looked at the results.
    """
    with_slices = [image_id for image_id in train.ids if boxes.get(image_id)]
    half = min(count // 2, len(train.ids))
    pool = with_slices if len(with_slices) >= half else train.ids
    chosen = [(train, image_id) for image_id in chosen_ids(pool, half)]
    return chosen + [(val, image_id) for image_id in chosen_ids(val.ids, count - half)]


def _label_layers(label: np.ndarray, seen: dict[PageNetwork, Seen], classes: ClassSet) -> list[Layer]:
    palette = classes.flat_palette()
    clear = clear_of(classes)
    known = label != classes.ignore_index
    layers = [Layer("label", "Label", "Label", encode.indexed(label, palette, clear, LABEL))]
    for network, found in seen.items():
        right = percent(known & (found.prediction == label), known)
        uri = encode.indexed(found.prediction, palette, clear, LABEL)
        title = f"Prediction, {network.name}"
        layers.append(Layer("prediction", title, title, uri, f"{right} right", network.key))
    return layers


def _difference_layer(
    label: np.ndarray, seen: dict[PageNetwork, Seen], ignore_index: int
) -> tuple[Layer, str]:
    (plain, old), (rws, new) = seen.items()
    kinds = difference(label, old.prediction, new.prediction, ignore_index)
    palette = [0] * 768
    for kind, colour in DIFFERENCE.items():
        palette[3 * kind : 3 * kind + 3] = colour
    known = kinds != NOT_LABELLED
    gained, lost = percent(kinds == RWS_RIGHT, known), percent(kinds == PLAIN_RIGHT, known)
    uri = encode.indexed(kinds, palette, [BOTH_RIGHT, NOT_LABELLED], LABEL)
    sentence = f"{rws.name} alone is right at {gained} of the pixels, {plain.name} alone at {lost}."
    return Layer("difference", "Difference", "Difference", uri, f"+{gained}, −{lost}"), sentence


def _heat_layers(label: np.ndarray, seen: dict[PageNetwork, Seen], classes: ClassSet) -> list[Layer]:
    where, layers = is_foreground(label, classes), []
    for network, found in seen.items():
        if not (names := network.card.stages):
            continue
        longest = round(HEAT * min(1.0, (USUAL_STAGES / len(names)) ** 0.5))
        for kind, planes, colours in (
            ("attention", found.maps, ATTENTION_COLOURS),
            ("missing", found.missing, MISSING_COLOURS),
        ):
            for stage, (name, plane) in enumerate(zip(names, planes)):
                mean = f"mean {plane[where].mean():.2f}" if where.any() else "no foreground"
                uri = encode.heat(plane, where, colours, longest)
                title = f"{kind.capitalize()}, {name}, {network.name}"
                layers.append(Layer(kind, title, name, uri, mean, network.key, stage))
    return layers


def _legend(labels: list[np.ndarray], classes: ClassSet) -> tuple[tuple[str, str], ...]:
    names = dict(enumerate(classes.names)) | {classes.ignore_index: "not labelled"}
    palette = np.array(classes.flat_palette()).reshape(256, 3)
    present = [i for i in np.unique(np.concatenate([label.ravel() for label in labels])) if i in names]
    return tuple(
        (names[i], "rgb({}, {}, {})".format(*palette[i])) for i in present if i != classes.background
    )


def make_sample(
    split: Split,
    image_id: str,
    networks: list[PageNetwork],
    boxes: list[Box],
    extra: list[Layer],
    again: PageNetwork | None = None,
) -> Sample:
    """One image seen by each network; `extra` layers come after the predictions; `again` looks again.

    Raises: UserError for a file that cannot be read.
    """
    image, label = split.image(image_id), split.label(image_id)
    classes = split.classes
    seen = {network: network.look(image, label) for network in networks}
    layers, sentence = [*_label_layers(label, seen, classes), *extra], ""
    if len(seen) == 2:
        layer, sentence = _difference_layer(label, seen, classes.ignore_index)
        layers.append(layer)
    return Sample(
        image_id,
        split.split,
        image.width,
        image.height,
        encode.photo(image, PHOTO),
        encode.photo(image.convert("L"), HEAT, quality=65),
        encode.photo(image, THUMBNAIL, quality=70),
        (*layers, *_heat_layers(label, seen, classes)),
        tuple(boxes),
        _legend([label, *(found.prediction for found in seen.values())], classes),
        sentence,
        mended(again, image, label, SHOWN) if again else None,
    )


def _sub_category_map(facts: Facts, split: Split, image_id: str) -> list[Layer]:
    """The label map that SC-CAM has written for a training image."""
    path = facts.folder / "labels" / f"{image_id}.png"
    if not facts.rounds or split.split != "train" or not path.is_file():
        return []
    with Image.open(path) as picture:
        values = np.asarray(picture)
    uri = encode.indexed(values, split.classes.flat_palette(), clear_of(split.classes), LABEL)
    title = "Label map of SC-CAM"
    return [Layer("labelmap", title, title, uri, "the image's classes are known")]


def make_pictures(
    facts: Facts, train: Split, val: Split, networks: list[PageNetwork], again: PageNetwork | None = None
) -> Pictures:
    """The images of the report; one of the networks may look again.

    Raises: UserError for a file that cannot be read.
    """
    _, boxes = last_slices(facts)
    chosen = choose(train, val, boxes, IMAGES)
    samples = []
    for split, image_id in tracked(chosen, desc="report", unit="image", leave=False):
        own = boxes.get(image_id, []) if split is train else []
        extra = _sub_category_map(facts, split, image_id)
        samples.append(make_sample(split, image_id, networks, own, extra, again))
    return Pictures(
        tuple(samples), networks[0].card.stages, tuple((network.key, network.name) for network in networks)
    )
