"""memory: peak resident memory of scoring, selecting and fused training with N and with 10 N images."""

import tempfile
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.timing import Samples, Work, peak_memory
from rws.config import SliceConfig, TrainConfig
from rws.core.fusion import identity_coordinates
from rws.data import DATASETS, VocLayout
from rws.data.eval_images import eval_loader
from rws.data.sets.demo import generate
from rws.data.sliced_images import SlicedImages, sliced_loader
from rws.data.transforms import Geometry, Normalisation, eval_transform, train_transform
from rws.data.views import TrainViews, View
from rws.method.bank import Bank
from rws.method.cams import CamNetwork
from rws.method.fuse import BankFusion
from rws.method.score import score_images
from rws.method.select import select_features
from rws.training.training import Job, Training

FILES = 16
SIDE = 48  # short side in pixels of what the network sees
STAGES = ("early", "late")
GREY = Normalisation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
STEPS = 40


class Repeated(VocLayout):
    """Many images out of few files: `<id>~<k>` is the k-th repetition of an image, with an id of its own."""

    def __init__(self, root: Path, images: int):
        super().__init__(root, "train", DATASETS["demo"])
        self.ids = [f"{self.ids[i % len(self.ids)]}~{i}" for i in range(images)]

    def image(self, image_id: str) -> Image.Image:
        return super().image(image_id.split("~")[0])

    def label(self, image_id: str):
        return super().label(image_id.split("~")[0])

    def size(self, image_id: str) -> tuple[int, int]:
        return super().size(image_id.split("~")[0])


class _Small(nn.Module):
    """Two wide stages and a head: what is measured is what grows with the images, not the network."""

    def __init__(self, classes: int):
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, 256, 3, 4, 1), nn.BatchNorm2d(256), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(256, 512, 1, 2), nn.BatchNorm2d(512), nn.ReLU())
        self.head = nn.Conv2d(512, classes, 1)

    def forward(self, images):
        logits = self.head(self.late(self.early(images)))
        return {"out": nn.functional.interpolate(logits, images.shape[-2:], mode="bilinear")}


def prepare_run(root: str, images: int, device: str) -> Work:
    """Score and select all images, then train fused for a few steps, as work for `peak_memory`."""
    torch.manual_seed(0)
    split = Repeated(Path(root), images)
    scored = CamNetwork(_Small(split.classes.num_classes).to(device).eval(), STAGES, split.classes)

    def work() -> None:
        with tempfile.TemporaryDirectory() as name:
            _cycle(scored, split, Path(name))

    return work


def _cycle(scored: CamNetwork, split: VocLayout, folder: Path) -> None:
    view, slices = eval_transform(SIDE, GREY), SliceConfig(most_per_image=2)
    batches = eval_loader(split, view, 16, workers=0)
    scores = score_images(scored, batches, split.ids, slices)
    if not scores.weak:
        raise RuntimeError("no weak slices: the bank would be empty and the measurement would say nothing")
    sliced = sliced_loader(SlicedImages(split, scores.boxes, view), workers=0)
    select_features(scored, scored, sliced, folder / "bank", 16)
    bank, crop = Bank(folder / "bank"), (SIDE, SIDE)
    transform = train_transform(Geometry(SIDE, crop), GREY, split.classes.ignore_index)
    views = TrainViews(split, [View(i) for i in split.ids], transform, identity_coordinates, bank.read)
    fusion = BankFusion(bank, scored.network, crop)
    job = Job("memory", views, STEPS, STEPS, 8, seed=0, workers=0, fusion=fusion)
    Training(scored.network, job, TrainConfig(), folder / "none.pt", split.classes.ignore_index).run()
    for image_id in split.ids:  # the reads of the epoch that the few steps stand for
        bank.read(image_id)


def memory(context: Context) -> list[Row]:
    """By how much the peak grows from N to 10 N training images."""
    few, many = (16, 160) if context.tiny else (500, 5000)
    with tempfile.TemporaryDirectory() as name:
        root = generate(Path(name) / "demo", train=FILES, val=1, progress=False)
        peaks = {
            n: peak_memory(prepare_run, str(root), n, context.device.type, device=context.device)
            for n in (few, many)
        }
    growth = Samples([float(peaks[many] - peaks[few])], [])
    sizes = {"images": [few, many], "files": FILES, "short_side": SIDE, "training_steps": STEPS}
    figures = {f"peak_bytes_{n}": peak for n, peak in peaks.items()}
    target = Target("at most", 100e6, "ours")
    note = "score, select and fused training in a process; every image has its own id"
    return [make_row("memory", growth, target, sizes, "bytes", figures=figures, note=note)]
