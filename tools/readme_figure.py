"""Make Figs/stages.png, the picture of the README, from the demo run.

make demo && python tools/readme_figure.py
"""

from pathlib import Path

import torch

from rws.core.advantage import missing_weights
from rws.data import open_split
from rws.data.transforms import to_tensors
from rws.scoring import Scored
from rws.trained import load_trained
from rws.viz import stage_figure

IMAGE_ID = "train_0068"


def main(checkpoint: Path = Path("runs/demo/best.pt"), target: Path = Path("Figs/stages.png")) -> None:
    """Draw the maps that the network of a demo run has for one image of the demo set."""
    network, card = load_trained(checkpoint)
    split = open_split("demo", "data/demo", "train")
    picture, label = split.image(IMAGE_ID), split.label(IMAGE_ID)
    image, target_label = to_tensors(picture, label)
    scored = Scored(network, card.stages, card.classes)
    batch = card.transform()(image)[None]
    maps = scored.maps(batch, target_label[None].as_subclass(torch.Tensor).long()).maps[0]
    missing = missing_weights(maps)
    title = "Where each stage looks, and what it misses"
    figure = stage_figure(picture, label, card.classes, maps.numpy(), missing.numpy(), card.stages, title)
    target.parent.mkdir(exist_ok=True)
    figure.save(target)


if __name__ == "__main__":
    main()
