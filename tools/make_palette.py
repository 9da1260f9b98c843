"""Print the colours of rws/data/palette.py anew: python -m tools.make_palette

Of the colours that are far from the last ones, each next one is the farthest from all before it: in CIELAB,
as people with normal vision see them, with protanopia and with deuteranopia, whichever is least. The levels
are none of those of VOC's colours.
"""

import itertools

import cv2
import numpy as np

COUNT = 254
LEVELS = range(15, 256, 30)
TAKEN = [(0, 0, 0), (224, 224, 192)]  # background, and VOC's border, which counts nowhere
LIGHTNESS, LEAST_CHROMA = (35, 90), 20
NEIGHBOURS, APART = 4, 30  # so many of the last ones are so far away
# What is seen of linear RGB: Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009), table 1, severity 1.0.
VISIONS = [
    np.eye(3),
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
]


def seen(colours: np.ndarray) -> np.ndarray:
    """CIELAB of 8-bit RGB in each vision; shape (N, 3) -> (visions, N, 3)."""
    linear = np.where(colours <= 10.31, colours / 255 / 12.92, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    shown = [np.clip(linear @ np.transpose(vision), 0, 1).astype(np.float32) for vision in VISIONS]
    return np.stack([cv2.cvtColor(each[None], cv2.COLOR_LRGB2LAB)[0] for each in shown])


def palette() -> list[tuple[int, int, int]]:
    """The colours in their order."""
    colours = np.array(list(itertools.product(LEVELS, repeat=3)))
    lab = seen(colours)[0]
    fine = (lab[:, 0] > LIGHTNESS[0]) & (lab[:, 0] < LIGHTNESS[1])
    colours = colours[fine & (np.hypot(lab[:, 1], lab[:, 2]) > LEAST_CHROMA)]
    candidates, taken = seen(colours), seen(np.array(TAKEN))
    nearest = np.linalg.norm(candidates[:, :, None] - taken[:, None], axis=3).min((0, 2))
    far = nearest > APART / 2
    colours, candidates, nearest = colours[far], candidates[:, far], nearest[far]
    last: list[np.ndarray] = []
    chosen: list[int] = []
    for _ in range(COUNT):
        near = np.min([np.full(len(colours), APART), *last[-NEIGHBOURS:]], 0)
        score = np.where(near < APART, near - APART, nearest)
        score[chosen] = -np.inf
        chosen.append(int(score.argmax()))
        last.append(np.linalg.norm(candidates - candidates[:, chosen[-1:]], axis=2).min(0))
        nearest = np.minimum(nearest, last[-1])
    return [tuple(colours[index].tolist()) for index in chosen]


if __name__ == "__main__":
    found = ["{:02x}{:02x}{:02x}".format(*colour) for colour in palette()]
    print(*(" ".join(found[first : first + 14]) for first in range(0, COUNT, 14)), sep="\n")
