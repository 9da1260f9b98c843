"""RWS at test time against plain definitions, pixel by pixel and cell by cell."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tiny import STAGES, TinyNetwork
from torch import nn

from rws.config import SliceConfig
from rws.core.advantage import select, slice_features
from rws.core.slices import slice_iou, window_boxes
from rws.core.stages import find_stages
from rws.data.classes import DEMO
from rws.method.cams import CamNetwork
from rws.predict.inference import network_input, predict_logits
from rws.predict.refine import SLICES, refine, refined_label
from rws.runs.model_file import Card

pytestmark = pytest.mark.usefixtures("tiny_family")

CONFIG = SliceConfig(step=0.25, most_per_image=3)


def photo(height: int, width: int) -> Image.Image:
    noise = np.random.default_rng(height).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def scored() -> tuple[CamNetwork, Card]:
    torch.manual_seed(5)  # with which three slices are weak
    network = TinyNetwork(DEMO.num_classes)
    network.train()(torch.randn(4, 3, 32, 32))
    with torch.no_grad():  # all classes are predicted, and maps are zero in places
        network.classifier[1].weight += 0.3 * torch.randn_like(network.classifier[1].weight)
        network.classifier[1].bias -= network.eval()(torch.randn(4, 3, 32, 32))["out"].mean((0, 2, 3))
    card = Card("tiny", aux=True, stages=STAGES, classes=DEMO, base_size=32)
    return CamNetwork(network.eval(), STAGES, DEMO), card


def test_plain_is_the_plain_prediction(scored):
    image = photo(48, 60)
    plain = predict_logits(scored[0].network, scored[1], image).softmax(0)
    torch.testing.assert_close(refine(*scored, image, CONFIG).plain, plain)


def test_slices_are_the_weakest_by_the_prediction(scored):
    image = photo(48, 60)
    found = refine(*scored, image, CONFIG)
    label = found.plain.argmax(0)
    maps = scored[0].maps(network_input(scored[1], image), label[None]).maps[0]
    boxes = window_boxes(48, 60, step=0.25)
    iou = slice_iou(maps[-1] > 0, label != DEMO.background, boxes)
    weak = [k for k in range(len(boxes)) if 0 < iou[k] < 0.95]
    weakest = sorted(sorted(weak, key=lambda k: float(iou[k]))[:3])
    assert weakest
    assert found.boxes_yxhw.tolist() == boxes[weakest].tolist()


def test_fused_is_a_forward_pass_with_the_best_slices_features(scored):
    image = photo(48, 60)
    found = refine(*scored, image, CONFIG)
    network, boxes = scored[0].network, found.boxes_yxhw
    whole = network_input(scored[1], image)
    parts = [image.crop((x, y, x + w, y + h)) for y, x, h, w in boxes.tolist()]
    slices = torch.cat(
        [network_input(scored[1], p.resize(whole.shape[:1:-1], Image.Resampling.BILINEAR)) for p in parts]
    )
    A = scored[0].maps(whole, (48, 60))
    a = scored[0].maps(slices, tuple(boxes[0, 2:].tolist()))

    def blend(stage: int):
        def hook(module: nn.Module, args: tuple, output: torch.Tensor) -> torch.Tensor:
            grid = tuple(output.shape[-2:])
            chosen = select(A.maps[0], a.maps, boxes, stage, grid)
            f = slice_features(a.features[stage], boxes, chosen.winner, (48, 60))
            mixed = output.clone()
            for row, (y, x) in enumerate(torch.nonzero(chosen.winner >= 0).tolist()):
                n = chosen.n[y, x]
                mixed[0, :, y, x] = n * output[0, :, y, x] + (1 - n) * f[row]
            return mixed

        return hook

    stages = find_stages(network, STAGES)
    handles = [stages[name].register_forward_hook(blend(s)) for s, name in enumerate(STAGES)]
    with torch.no_grad():
        logits = network(whole)["out"]
    for handle in handles:
        handle.remove()
    fused = F.interpolate(logits, (48, 60), mode="bilinear", align_corners=False).softmax(1)[0]
    assert (fused - found.plain).abs().max() > 1e-3  # something was blended in
    # Pillow and torchvision enlarge alike but for the rounding of pixels.
    torch.testing.assert_close(found.fused, fused, atol=5e-3, rtol=0)


def test_means_count_every_prediction_of_a_pixel_once(scored):
    found = refine(*scored, photo(48, 60), CONFIG)
    covered = torch.zeros(48, 60)
    for y, x, h, w in found.boxes_yxhw.tolist():
        covered[y : y + h, x : x + w] += 1
    assert torch.equal(found.covered, covered)
    assert covered.min() == 0 < covered.max()
    for mean in (found.mean, found.zoom_mean):
        torch.testing.assert_close(mean.sum(0), torch.ones(48, 60))
    outside = covered == 0
    torch.testing.assert_close(found.zoom_mean[:, outside], found.plain[:, outside])
    torch.testing.assert_close(found.mean[:, outside], ((found.plain + found.fused) / 2)[:, outside])
    y, x = torch.nonzero(covered == covered.max())[0].tolist()
    summed = found.plain + found.fused + found.zoomed * covered.max()
    torch.testing.assert_close(found.mean[:, y, x], summed[:, y, x] / (2 + covered.max()))


def test_forward_passes_are_counted(scored):
    images = []
    handle = scored[0].network.register_forward_pre_hook(lambda module, args: images.append(len(args[0])))
    found = refine(*scored, photo(48, 60), CONFIG)
    handle.remove()
    assert found.passes == sum(images) == len(found.boxes_yxhw) + 2


def test_without_a_weak_slice_all_is_plain(scored):
    found = refine(*scored, photo(48, 60), replace(CONFIG, iou_weak_max=0.0))
    assert found.passes == 1
    for prediction in (found.fused, found.zoom_mean, found.mean):
        torch.testing.assert_close(prediction, found.plain)


def test_network_is_left_as_it_was(scored):
    network = scored[0].network.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    refine(*scored, photo(48, 60), CONFIG)
    assert network.training
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_large_photographs_are_refined_at_the_resolution_of_the_slices(scored):
    found = refine(*scored, photo(640, 800), SLICES)
    assert found.plain.shape == (DEMO.num_classes, 64, 80)
    label = refined_label(scored[0].network, scored[1], photo(640, 800))
    assert label.shape == (640, 800)
    assert label.dtype == np.uint8
