"""RWS on one page: `python examples/rws_by_hand.py` runs one cycle on the demo set with rws.core alone.

The network learns to tell objects from the background. It is small and sees few images: the numbers show
that every step works, not whether RWS helps. docs/results.md says whether it does.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms.v2.functional import pil_to_tensor

from rws.core import fusion, slices
from rws.core.advantage import BestSlices
from rws.core.cam import StageMaps, seg_grad_cam
from rws.core.stages import find_stages, stage_shapes
from rws.data import open_split

STAGES = ("0", "1", "2", "3")  # names of modules of the network; any convolutional network has some
SIZE, BATCH = (120, 160), 8  # height and width of an image; images in a training step


def load(root: str, name: str, count: int) -> Tensor:
    """Planes (N, 7, H, W): three colours, the label (1 on objects), and three that say where a pixel lies."""
    split, place = open_split("demo", root, name), fusion.identity_coordinates(*SIZE)
    pairs = [(pil_to_tensor(split.image(i)) / 255, split.label(i) > 0) for i in split.ids[:count]]
    return torch.stack([torch.cat([image, torch.from_numpy(label)[None], place]) for image, label in pairs])


def new_network() -> nn.Module:
    """Four stages and a head: images (N, 3, H, W) -> logits of background and object (N, 2, H, W)."""
    sizes = (3, 16, 2), (16, 32, 2), (32, 64, 2), (64, 64, 1)  # channels before and after, stride
    stages = [nn.Sequential(nn.Conv2d(a, b, 3, s, 1), nn.BatchNorm2d(b), nn.ReLU()) for a, b, s in sizes]
    return nn.Sequential(*stages, nn.Conv2d(64, 2, 1), nn.Upsample(scale_factor=8, mode="bilinear"))


def look(network: nn.Module, planes: Tensor) -> StageMaps:
    """1. Where does each stage look for the objects? Its heat maps in [0, 1], and its features."""
    stages, labels = find_stages(network, STAGES), planes[:, 3].round().long()
    return seg_grad_cam(network, stages, planes[:, :3], labels, classes=[1])


def find(seen: StageMaps) -> Tensor:
    """2. The weak slices of an image: two windows in which the last stage attends to too little."""
    windows = slices.window_boxes(*SIZE)
    iou = slices.slice_iou(seen.maps[0, -1] > 0, seen.labels[0] == 1, windows)
    return windows[slices.weak_slices(iou, most=2)]


def enlarge(planes: Tensor, boxes_yxhw: Tensor) -> Tensor:
    """The slices of an image (1, 7, H, W), each enlarged to the size of the whole: (K, 7, H, W)."""
    return torch.cat([F.interpolate(slices.crop(planes, box), SIZE, mode="bilinear") for box in boxes_yxhw])


def train(network: nn.Module, planes: Tensor, steps: int, bank: list[dict] | None = None) -> nn.Module:
    """3. An ordinary training, on whole images or on slices. With a bank its forward pass is fused."""
    shapes = stage_shapes(network, STAGES, SIZE)
    optimizer = torch.optim.AdamW(network.train().parameters(), lr=3e-3)
    for _ in range(steps):
        chosen = torch.randint(len(planes), (BATCH,))
        batch = planes[chosen].flip(-1) if torch.rand(()) < 0.5 else planes[chosen]  # or any augmentation
        images, labels, place = batch.split((3, 1, 3), dim=1)
        blends = fuse([bank[i] for i in chosen], place, shapes) if bank else {}
        with fusion.fused(find_stages(network, STAGES), blends):
            loss = F.cross_entropy(network(images), labels[:, 0].round().long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def select(seen: StageMaps, closer: StageMaps, boxes_yxhw: Tensor) -> dict[str, tuple]:
    """4. Where does a slice attend better (eq. 10)? These cells of each stage, n (eq. 9), and f."""
    best = BestSlices(seen.maps[0], [tuple(features.shape[1:]) for features in seen.features])
    best.update(closer.maps, boxes_yxhw, closer.features)
    return {name: best.rows(stage) for stage, name in enumerate(STAGES)}


def fuse(selected: list[dict], place: Tensor, shapes: dict) -> dict[str, fusion.Blend]:
    """5. The n and f of a batch, moved to where its pixels lie: each stage is to give n F + (1 - n) f."""
    blends = {}
    for name, (channels, *grid) in shapes.items():
        each = [fusion.unfused(channels, grid) for _ in selected]  # n = 1
        for k, rows in enumerate(selected):
            if rows and len(rows[name][0]):
                each[k] = fusion.sample_blend(rows[name], grid, fusion.shrink_coordinates(place[k], grid))
        blends[name] = fusion.batch_blends(each)
    return blends


def score(network: nn.Module, planes: Tensor) -> str:
    """IoU of prediction and label on the objects, in percent."""
    predicted, labels = network(planes[:, :3]).argmax(1) == 1, planes[:, 3] == 1
    return f"IoU {100 * float((predicted & labels).sum() / (predicted | labels).sum()):.2f}"


def main(root: str = "data/demo", count: int = 96, steps: int = 120) -> None:
    """One cycle, beside a plain network that is trained for as many steps in all."""
    torch.manual_seed(0)
    whole, val = load(root, "train", count), load(root, "val", count)
    network = train(new_network(), whole, steps)
    plain = train(copy.deepcopy(network), whole, steps + steps // 4)
    print(f"before: {score(network, val)} after {steps} steps")
    seen = [look(network, image) for image in whole.split(1)]
    attention = sum(each.maps.sum((0, 2, 3)) for each in seen) / whole[:, 3].sum()
    print(f"1. look: mean attention of the stages {[round(a, 2) for a in attention.tolist()]}")
    weak = {i: boxes for i, each in enumerate(seen) if len(boxes := find(each))}
    print(f"2. find: {sum(map(len, weak.values()))} weak slices in {len(weak)} of {count} images")
    parts = {i: enlarge(whole[i : i + 1], boxes) for i, boxes in weak.items()}
    sliced = train(copy.deepcopy(network), torch.cat(list(parts.values())), steps // 4)
    print(f"3. train on slices: a copy, {steps // 4} steps")
    bank = [select(seen[i], look(sliced, parts[i]), weak[i]) if i in weak else {} for i in range(count)]
    print(f"4. select: {[sum(len(r[n][0]) for r in bank if r) for n in STAGES]} advantaged cells")
    train(network, whole, steps, bank)
    print(f"5. fuse: {score(network, val)}; plain, after as many steps, {score(plain, val)}")


if __name__ == "__main__":
    main()
