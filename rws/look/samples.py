"""Sample predictions of a run for its loggers, each time that it is evaluated."""

import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as TF

from rws.core.labels import likeliest, resized_scores
from rws.core.stages import logits_of
from rws.cycle.context import Epoch, Hook, RunContext
from rws.cycle.setup import Setup
from rws.look.overlay import overlay
from rws.runs.log import arm_of
from rws.runtime.device import to_network

COUNT, HEIGHT = 4, 160  # images, and pixels of a row


def chosen_ids(ids: list[str], count: int) -> list[str]:
    """`count` ids spread evenly over the list, the same ones in every cycle."""
    places = np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(int)
    return [ids[i] for i in places]


def samples(network: torch.nn.Module, setup: Setup, count: int = COUNT) -> Image.Image:
    """Some validation images, one a row: photograph, label, and what a network in eval mode predicts."""
    rows = [_row(network, setup, image_id) for image_id in chosen_ids(setup.val.ids, count)]
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


@torch.inference_mode()
def _row(network: torch.nn.Module, setup: Setup, image_id: str) -> Image.Image:
    image, label = setup.val.image(image_id), setup.val.label(image_id)
    pixels = tv_tensors.Image(TF.pil_to_tensor(image))
    seen = setup.card.transform()(pixels).as_subclass(torch.Tensor)[None]
    logits = logits_of(network(to_network(seen, network))).float()
    predicted = likeliest(resized_scores(logits, label.shape), label.shape).cpu().numpy()
    drawn = (overlay(image, np.asarray(each), setup.card.classes) for each in (label, predicted))
    width = max(1, round(image.width * HEIGHT / image.height))
    row = Image.new("RGB", (3 * width, HEIGHT))
    parts = [part.resize((width, HEIGHT)) for part in (image.convert("RGB"), *drawn)]
    for place, part in enumerate(parts):
        row.paste(part, (place * width, 0))
    return row


class Samples(Hook):
    """Tells the loggers of a run a picture of predictions at each evaluation of a network of whole images."""

    def after_epoch(self, run: RunContext, epoch: Epoch) -> None:
        if run.loggers and "miou" in epoch.record:
            picture = samples(epoch.network, run.setup)
            for logger in run.loggers:
                logger.picture(f"{arm_of(epoch.step)}/samples", picture, epoch.images)
