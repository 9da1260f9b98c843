"""The oracle of our heat maps: pytorch-grad-cam, run once a stage and class."""

import copy

import torch
from pytorch_grad_cam import GradCAM
from torch import Tensor, nn


class Logits(nn.Module):
    """grad-cam wants logits. They are enlarged, which no map depends on: grad-cam adds 1e-7 to its maxima."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)["out"] * 1e4


def class_sum(c: int, label: Tensor):
    return lambda logits: logits[c][label == c].sum()


def peer_maps(network: nn.Module, names, images: Tensor, labels: Tensor, classes) -> Tensor:
    """Maps of pytorch-grad-cam, a call for each stage and class, at the pixels of that class."""
    network = copy.deepcopy(network).requires_grad_(True)
    maps = torch.zeros(len(images), len(names), *labels.shape[-2:], dtype=images.dtype)
    for stage, name in enumerate(names):
        for c in classes:
            with GradCAM(Logits(network), [network.get_submodule(name)]) as peer:
                found = peer(images, [class_sum(c, label) for label in labels])
            maps[:, stage] = torch.where(labels == c, torch.from_numpy(found).to(maps), maps[:, stage])
    return maps
