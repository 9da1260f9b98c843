"""CAM_VIS: the heat maps and missing weights of every stage as pictures."""

from pathlib import Path

import torch
from PIL import Image

from rws.config import Config
from rws.core.advantage import missing_weights
from rws.cycle.context import Hook, RunContext
from rws.data.split import Split
from rws.data.transforms import to_tensors
from rws.look.cam_methods import TITLES, cam_method
from rws.look.samples import Samples, chosen_ids
from rws.look.viz import Planes, stage_figure
from rws.method.cams import CamNetwork
from rws.runs.model_file import Card
from rws.runtime.bars import tracked
from rws.runtime.files import save_picture


def stage_picture(
    scored: CamNetwork, split: Split, card: Card, image_id: str, title: str, method: str = "gradcam"
) -> Image.Image:
    """One image of a split with its label, A_l and w_l of every stage, by a method of TITLES."""
    picture, label = split.image(image_id), split.label(image_id)
    image, target = to_tensors(picture, label)
    images, labels = card.transform()(image)[None], target[None].as_subclass(torch.Tensor).long()
    maps = scored.maps(images, labels, method=cam_method(method)).maps[0]
    planes = Planes(card.stages, maps.cpu().numpy(), missing_weights(maps).cpu().numpy())
    return stage_figure(picture, label, card.classes, planes, title)


def write_pictures(
    scored: CamNetwork, split: Split, card: Card, folder: Path, count: int, method: str = "gradcam"
) -> None:
    """Pictures of `count` images of a split, as `folder`/<id>.png."""
    for image_id in tracked(chosen_ids(split.ids, count), desc="cam_vis", unit="image", leave=False):
        title = f"{TITLES[method]}: {image_id}"
        picture = stage_picture(scored, split, card, image_id, title, method)
        save_picture(picture, folder / f"{image_id}.png")


class Pictures(Hook):
    """Writes the pictures of `count` training images each time that a run has looked at them."""

    def __init__(self, count: int, method: str = "gradcam"):
        self.count, self.method = count, method

    def after_scoring(self, run: RunContext, k: int, scored: CamNetwork) -> None:
        setup, folder = run.setup, run.artifacts.pictures(k)
        write_pictures(scored, setup.train, setup.card, folder, self.count, self.method)


def pictures(config: Config) -> tuple[Hook, ...]:
    """The hooks that make the pictures that a configuration asks for."""
    maps = (Pictures(config.cam_vis_images, config.cam_method),) if config.cam_vis else ()
    return (*maps, Samples()) if config.log else maps
