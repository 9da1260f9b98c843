"""Make Figs/stages.png, the picture of the README, from the demo run.

make demo && python tools/readme_figure.py
"""

from pathlib import Path

from rws.cam_vis import stage_picture
from rws.data import open_split
from rws.scoring import Scored
from rws.trained import load_trained

IMAGE_ID = "train_0068"


def main(checkpoint: Path = Path("runs/demo/best.pt"), target: Path = Path("Figs/stages.png")) -> None:
    """Draw the maps that the network of a demo run has for one image of the demo set."""
    network, card = load_trained(checkpoint)
    split = open_split("demo", "data/demo", "train")
    scored = Scored(network, card.stages, card.classes)
    target.parent.mkdir(exist_ok=True)
    title = "Where each stage looks, and what it misses"
    stage_picture(scored, split, card, IMAGE_ID, title).save(target)


if __name__ == "__main__":
    main()
