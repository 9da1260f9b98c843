"""CAM_VIS: the heat maps and missing weights of every stage as pictures."""

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from rws.core.advantage import missing_weights
from rws.data.transforms import to_tensors
from rws.data.voc import VocLayout
from rws.scoring import Scored
from rws.trained import Card
from rws.viz import stage_figure


def chosen_ids(ids: list[str], count: int) -> list[str]:
    """`count` ids spread evenly over the list, the same ones in every cycle."""
    places = np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(int)
    return [ids[i] for i in places]


def write_pictures(scored: Scored, split: VocLayout, card: Card, folder: Path, count: int) -> None:
    """For `count` images of a split: image, label, A_l and w_l of every stage, as `folder`/<id>.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for image_id in tqdm(chosen_ids(split.ids, count), desc="cam_vis", unit="image", leave=False):
        picture, label = split.image(image_id), split.label(image_id)
        image, target = to_tensors(picture, label)
        maps = scored.maps(card.transform()(image)[None], target[None].as_subclass(torch.Tensor).long()).maps[
            0
        ]
        figure = stage_figure(
            picture,
            label,
            card.classes,
            maps.cpu().numpy(),
            missing_weights(maps).cpu().numpy(),
            card.stages,
            image_id,
        )
        figure.save(folder / f"{image_id}.png")
