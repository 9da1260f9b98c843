"""Scenes labelled everywhere: no class is background, a pixel takes its own class's map.

METHOD steps 1 and 2 computed anew, class by class and window by window, on sets in their official layouts.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from layouts import LAYOUTS
from torch import nn

from rws.config import SliceConfig
from rws.core.slices import window_boxes
from rws.data import open_split
from rws.data.eval_images import eval_loader
from rws.data.sliced_images import SlicedImages
from rws.data.transforms import Normalisation, eval_transform
from rws.method.cams import CamNetwork
from rws.method.score import score_images

SETS = ("cityscapes", "ade20k", "coco_stuff10k", "camvid_segnet")
TRANSFORM = eval_transform(48, Normalisation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))


class Net(nn.Module):
    """Two stages at the image's size, so that nothing is resized."""

    def __init__(self, classes: int):
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        self.last = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, x):
        return {"out": self.head(self.last(self.early(x)))}


@pytest.fixture(params=SETS)
def scene(request, tmp_path):
    """A split and a network for its classes."""
    layout = LAYOUTS[request.param]
    split = open_split(layout.name, layout.make(tmp_path / "set"), "train")
    torch.manual_seed(len(split.classes.names))
    return split, CamNetwork(Net(split.classes.num_classes).eval(), ("early", "last"), split.classes)


def plain_map(network: Net, image: torch.Tensor, label: np.ndarray) -> np.ndarray:
    """Seg-Grad-CAM of the last stage, one class after the other: the map of a pixel's own class, else 0."""
    found = np.zeros(label.shape)
    for c in set(np.unique(label)) - {255}:
        own = torch.from_numpy(label == c)
        features = network.last(network.early(image[None])).detach().requires_grad_()
        network.head(features)[0, int(c)][own].sum().backward()
        weight = features.grad.mean((2, 3), keepdim=True)
        cam = F.relu((weight * features.detach()).sum(1))[0].numpy()
        cam = cam - cam.min()
        if cam.max() > 0:
            found[own.numpy()] = (cam / cam.max())[own.numpy()]
    return found


def test_every_class_is_foreground_and_nothing_else(scene):
    split, scored = scene
    assert split.classes.background is None
    assert split.classes.foreground == tuple(range(split.classes.num_classes))
    label = torch.from_numpy(split.label(split.ids[0]))
    assert (scored.is_foreground(label) == (label != 255)).all()
    assert (label == 255).any()


def test_weak_slices_are_judged_by_all_labelled_pixels(scene):
    split, scored = scene
    config = SliceConfig(attention_min=0.2, step=0.25)
    windows = window_boxes(48, 64, step=0.25).tolist()
    batches = list(eval_loader(split, TRANSFORM, batch_size=2, workers=0))
    expected = {}
    for batch in batches:
        for image_id, image, label in zip(batch.ids, batch.images, batch.labels.numpy()):
            attended, known = plain_map(scored.network, image, label) > 0.2, label != 255
            weak = []
            for y, x, h, w in windows:
                a, k = attended[y : y + h, x : x + w], known[y : y + h, x : x + w]
                iou = (a & k).sum() / max((a | k).sum(), 1)
                weak += [(y, x, h, w)] if 0 < iou < 0.95 else []
            expected[image_id] = weak
    found = score_images(scored, batches, split.ids, config)
    assert found.boxes == {image_id: expected[image_id] for image_id in split.ids}
    assert found.weak > 0


def test_a_slice_is_mapped_for_the_classes_that_it_holds(scene):
    """Its maps are those of an image that shows the slice alone, whatever else the whole image holds."""
    split, scored = scene
    image_id, boxes = split.ids[0], [(0, 0, 24, 22), (20, 30, 24, 22)]
    item = SlicedImages(split, {image_id: boxes}, TRANSFORM)[0]
    whole = set(np.unique(split.label(image_id)))
    for image, label in zip(item.slices, item.slice_labels()):
        big = F.interpolate(label[None, None].float(), (48, 64)).long()[0]
        assert set(big.unique().tolist()) < whole, "fewer classes than the whole image"
        found = scored.maps(image[None], big).maps[0, -1].numpy()
        np.testing.assert_allclose(found, plain_map(scored.network, image, big[0].numpy()), atol=1e-5)
        assert found.any()
