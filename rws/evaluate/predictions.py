"""The images of a list predicted by one network in several ways, one image at a time."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rws.data.split import Split, sample
from rws.errors import UserError
from rws.evaluate.ways import Photo, Trained, Way
from rws.runtime.bars import tracked
from rws.runtime.prefetch import ahead, one_thread


@dataclass(frozen=True)
class Prediction:
    """A label (H, W) uint8, with what it cost in units and in seconds, reading the file not counted."""

    label: np.ndarray
    units: float
    seconds: float


def predictions(
    trained: Trained, split: Split, ids: Sequence[str], ways: Mapping[str, Way], desc: str
) -> Iterator[tuple[Photo, dict[str, Prediction]]]:
    """Every image with its predictions; the next ones are read beside it.

    Raises: UserError for an image or a label that cannot be used.
    """

    def read(image_id: str) -> Photo:
        return Photo(image_id, *sample(split, image_id))

    with one_thread() as reader:
        photos = tracked(ahead(reader, read, ids), desc, len(ids), unit="image", leave=False)
        for photo in (future.result() for future in photos):
            yield photo, {name: _predicted(way, trained, photo) for name, way in ways.items()}


def _predicted(way: Way, trained: Trained, photo: Photo) -> Prediction:
    """Raises: UserError naming the image."""
    began = time.perf_counter()
    try:
        with torch.inference_mode():
            label, units = way(trained, photo)
    except UserError as error:
        raise UserError(f"{photo.image_id}: {error}") from error
    return Prediction(label, units, time.perf_counter() - began)
