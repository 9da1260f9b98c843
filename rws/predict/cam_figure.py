"""The picture of `--cam`: where each stage of a network looks for the pixels that it predicts as a class."""

import numpy as np
from PIL import Image

from rws.core.advantage import missing_weights
from rws.look.cam_methods import TITLES, cam_method
from rws.look.viz import DPI, Planes, stage_figure
from rws.predict.inference import maps_at_own_size
from rws.predict.predictor import Predictor
from rws.predict.ways import HeatMaps

LONGEST_MAP = 1200  # pixels of a heat map's longer side: two for each stage stand in one picture


def draw_cam_figure(
    predictor: Predictor, image: Image.Image, label: np.ndarray, asked: HeatMaps
) -> tuple[Image.Image, bool]:
    """The heat maps at the photograph's own size, up to LONGEST_MAP, and whether there are such pixels.

    Shape: label (H, W).
    """
    card, category = predictor.card, asked.category
    index, other = card.classes.index(category), card.classes.background
    scale = min(1.0, LONGEST_MAP / max(image.size))
    size = [max(1, round(scale * side)) for side in image.size]
    small = np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))
    own = small == index
    method = cam_method(asked.method)
    maps = maps_at_own_size(predictor.network, card, image, small, index, method, whole=asked.whole)
    shown = np.where(own, index, card.classes.ignore_index if other is None else other)
    said = f"pixels predicted as {category}" if own.any() else f"no pixel predicted as {category}: maps are 0"
    planes = Planes(
        card.stages,
        maps.numpy(),
        missing_weights(maps).numpy(),
        whole=asked.whole,
        label_title="prediction",
        panel=size[0] / DPI,
    )
    image = image.resize(size, Image.Resampling.BICUBIC)
    figure = stage_figure(image, shown, card.classes, planes, f"{TITLES[asked.method]}: {said}")
    return figure, bool(own.any())
