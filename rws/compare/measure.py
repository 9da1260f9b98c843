"""Evaluates a finished run once: confusion over all pixels, by size of the object, and near its boundary."""

from typing import TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rws.cycle.artifacts import Artifacts
from rws.cycle.setup import Setup
from rws.data.eval_images import eval_loader
from rws.evaluate.groups import GROUPS, confusion_of, group_masks
from rws.runs.model_file import load_trained
from rws.runs.splits import open_list
from rws.runtime.bars import tracked
from rws.runtime.device import memory_format, to_network


# What `measure` finds, as report.json holds it; confusion: counts by group of pixels, rows labels.
class Report(TypedDict):
    list: str
    images: int
    classes: list[str]
    confusion: dict[str, list[list[int]]]


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
