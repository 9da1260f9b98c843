"""What several tests share: a network of three convolutions, a small demo set, the scripts as modules."""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rws.config import Config, CycleConfig, DataConfig, ModelConfig, SliceConfig, TrainConfig
from rws.data.sets import demo
from rws.models import Family

REPOSITORY = Path(__file__).resolve().parents[2]
STAGES = ("backbone.0", "backbone.1", "backbone.2")


def load_script(name: str) -> ModuleType:
    """A script of the repository's root as a module."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _block(before: int, after: int, stride: int = 2) -> nn.Sequential:
    conv = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after, momentum=0.6), nn.ReLU())


class TinyNetwork(nn.Module):
    """Three stages at strides 2, 4, 4, with everything that has a state: batch norm, dropout, an aux head."""

    def __init__(self, num_classes: int, aux: bool = True):
        super().__init__()
        self.backbone = nn.Sequential(_block(3, 4), _block(4, 6), _block(6, 8, stride=1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Conv2d(8, num_classes, 1))
        self.aux_classifier = nn.Conv2d(6, num_classes, 1) if aux else None
        # Positive for one channel alone, so that the heat maps of a hardly trained network show a part of
        # each object: without it they are zero everywhere or nowhere, and no slice is weak.
        nn.init.zeros_(self.classifier[1].weight)
        nn.init.ones_(self.classifier[1].weight[:, :1])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        early = self.backbone[1](self.backbone[0](x))
        heads = {"out": (self.classifier, self.backbone[2](early)), "aux": (self.aux_classifier, early)}
        return {
            name: F.interpolate(head(features), x.shape[-2:], mode="bilinear", align_corners=False)
            for name, (head, features) in heads.items()
            if head is not None
        }


TINY = Family(TinyNetwork, STAGES, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


class NoScalars:
    """Tensorboard's writer starts a thread for each run; most tests can do without."""

    def __init__(self, folder: str):
        Path(folder).mkdir(exist_ok=True)

    def __getattr__(self, name: str) -> Callable:
        return lambda *args, **named: None


def demo_set(root: Path, train: int = 4, val: int = 2) -> Path:
    return demo.generate(root, train=train, val=val, progress=False)


def tiny_config(root: Path, runs: Path, **cycles) -> Config:
    """Two cycles of two epochs of two steps, in 0.6 s; `tiny` must be in FAMILIES."""
    return Config(
        seed=1,
        runs=str(runs),
        device="cpu",
        model=ModelConfig(name="tiny", weights="none"),
        data=DataConfig(
            name="demo", root=str(root), base_size=32, crop_size=(32, 48), scale=(0.8, 1.5), workers=0
        ),
        train=TrainConfig(
            epochs=2, batch_size=2, optimizer="adamw", lr=0.01, aux_lr_factor=2.0, checkpoint_steps=1
        ),
        slices=SliceConfig(step=0.25, most_per_image=2),
        cycles=CycleConfig(**{"limit": 2, "delta": 0, **cycles}),
    )


def with_train(config: Config, **train) -> Config:
    return replace(config, train=replace(config.train, **train))


def same_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Equal keys and bit-identical values."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
