"""The oracle of our heat maps: pytorch-grad-cam, run once a class."""

import copy

import numpy as np
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


class EachLayer(GradCAM):
    """grad-cam's maps of several layers, each for itself instead of their mean: (N, L, H, W)."""

    def aggregate_multi_layers(self, cam_per_target_layer: list[np.ndarray]) -> np.ndarray:
        return np.stack([super(EachLayer, self).aggregate_multi_layers([m]) for m in cam_per_target_layer], 1)


def class_sum(c: int, label: Tensor):
    return lambda logits: logits[c][label == c].sum()


def peer_maps(network: nn.Module, names, images: Tensor, labels: Tensor, classes) -> Tensor:
    """Maps of pytorch-grad-cam, a call for each class, at the pixels of that class: (N, L, H, W).

    The image has a gradient in place of the weights, which takes half the time.
    """
    network = copy.deepcopy(network).requires_grad_(False)
    layers, images = [network.get_submodule(name) for name in names], images.clone().requires_grad_()
    maps = torch.zeros(len(images), len(names), *labels.shape[-2:], dtype=images.dtype)
    for c in classes:
        with EachLayer(Logits(network), layers) as peer:
            found = torch.from_numpy(peer(images, [class_sum(c, label) for label in labels])).to(maps)
        maps = torch.where((labels == c).unsqueeze(1), found, maps)
    return maps
