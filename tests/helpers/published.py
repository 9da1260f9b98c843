"""A stand-in for the published weights of a network of torchvision: random, in a file of the same layout."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import segmentation as tv

from rws.models import FAMILIES

LIGHT = "lraspp_mobilenet_v3_large"  # of the published networks the smallest


def publish(
    name: str, path: Path, patch: pytest.MonkeyPatch, build: Callable = tv.lraspp_mobilenet_v3_large
) -> nn.Module:
    """A file of torchvision's layout at `path`, whose hash is taken for that of the published one."""
    torch.manual_seed(2)
    network = build(weights=None, weights_backbone=None, num_classes=21)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    family = dataclasses.replace(FAMILIES[name], download=f"http://127.0.0.1:9/{name}-{digest}.pth")
    patch.setitem(FAMILIES, name, family)
    return network
