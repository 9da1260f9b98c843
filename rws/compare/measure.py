"""Evaluates a finished run once: confusion over all pixels, by size of the object, and near its boundary."""

from typing import TypedDict

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rws.cycle.artifacts import Artifacts
from rws.cycle.setup import Setup
from rws.data.eval_images import eval_loader
from rws.data.object_sizes import SIZES, object_area, size_of
from rws.runs.model_file import load_trained
from rws.runs.splits import open_list
from rws.runtime.bars import tracked
from rws.runtime.device import memory_format, to_network

BOUNDARY_PIXELS = 5
GROUPS = ("all", *SIZES, "boundary", "interior")


# What `measure` finds, as report.json holds it; confusion: counts by group of pixels, rows labels.
class Report(TypedDict):
    list: str
    images: int
    classes: list[str]
    confusion: dict[str, list[list[int]]]


def near_boundary(label: np.ndarray, ignore_index: int, pixels: int = BOUNDARY_PIXELS) -> np.ndarray:
    """Where another label lies at most so many rows and columns away; ignored pixels are no other label.

    Shape: (H, W) uint8 -> (H, W) bool.
    """
    square = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    known = label != ignore_index
    highest = cv2.dilate(np.where(known, label, 0).astype(np.uint8), square)
    lowest = cv2.erode(np.where(known, label, 255).astype(np.uint8), square)
    return known & (highest != lowest)


def group_masks(label: np.ndarray, ignore_index: int) -> dict[str, np.ndarray]:
    """The pixels of each group, by the label alone, so that they are the same for every network.

    Shape: (H, W) uint8 -> six of (H, W) bool.
    """
    known = label != ignore_index
    size, boundary = size_of(object_area(label, ignore_index)), near_boundary(label, ignore_index)
    sizes = {name: size == place for place, name in enumerate(SIZES)}
    places = {"boundary": boundary, "interior": ~boundary}
    return {"all": known, **{name: known & mask for name, mask in (sizes | places).items()}}


def confusion_of(predicted: np.ndarray, label: np.ndarray, mask: np.ndarray, classes: int) -> np.ndarray:
    """Counts of (label, prediction) over a mask.

    Shape: three (H, W) -> (C, C) int64, rows labels.
    """
    pairs = label[mask].astype(np.int64) * classes + predicted[mask]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


@torch.inference_mode()
def measure(setup: Setup, list_name: str) -> dict:
    """Confusion of the last weights on a list, in all groups of pixels at the labels' own sizes.

    Raises: UserError for a list that is not there.
    """
    data, classes = setup.config.data, setup.card.classes
    network, _ = load_trained(Artifacts(setup.folder).last, [setup.card.network])
    network = network.to(setup.device, memory_format=memory_format(setup.config.model.channels_last))
    split = open_list(data, "val", list_name)
    batches = eval_loader(split, setup.card.transform(), setup.config.train.eval_batch_size, setup.workers)
    counts = {g: np.zeros((classes.num_classes, classes.num_classes), np.int64) for g in GROUPS}
    for batch in tracked(batches, desc=f"report {list_name}", unit="batch", leave=False):
        for predicted, label in zip(_predict(network, batch.images, batch.labels), batch.labels):
            label = label.numpy().astype(np.uint8)
            for group, mask in group_masks(label, classes.ignore_index).items():
                counts[group] += confusion_of(predicted, label, mask, classes.num_classes)
    return {
        "list": list_name,
        "images": len(split),
        "classes": list(classes.names),
        "confusion": {group: matrix.tolist() for group, matrix in counts.items()},
    }


def _predict(network: torch.nn.Module, images: Tensor, labels: Tensor) -> np.ndarray:
    logits = network(to_network(images, network))["out"]
    logits = F.interpolate(logits.float(), labels.shape[-2:], mode="bilinear", align_corners=False)
    return logits.argmax(1).cpu().numpy()
