"""The classification network of SC-CAM, which puts out its class activation maps as a segmentation.

Source: Chang et al., CVPR 2020; class activation maps: Zhou et al., CVPR 2016.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights, resnet50
from torchvision.models._utils import IntermediateLayerGetter

from rws.models import efficientnet_lite as lite
from rws.models.family import Family
from rws.models.torchvision_networks import RESNET_STAGES

SUB_CATEGORIES = 10  # of each class, as in the paper
_TINY = 1e-5


class SubCategoryNetwork(nn.Module):
    """A backbone with a linear classifier of the classes and one of their sub-categories.

    Class 0 of the segmentation is the background, which has no map: it wins where no class map reaches
    `threshold`, and a class counts where the classifier finds it at least as likely as not.

    Shape: (N, 3, H, W) -> {"out": (N, num_classes, H, W)} with values in [0, 1].
    """

    def __init__(self, backbone: nn.Module, channels: int, num_classes: int):
        super().__init__()
        self.backbone = backbone
        heads = {"classes": num_classes - 1, "sub_categories": (num_classes - 1) * SUB_CATEGORIES}
        self.classifier = nn.ModuleDict({k: nn.Conv2d(channels, n, 1, bias=False) for k, n in heads.items()})
        self.register_buffer("threshold", torch.tensor(0.2))

    def features(self, images: Tensor) -> Tensor:
        """Shape: (N, 3, H, W) -> (N, C, h, w)."""
        return _features(self.backbone, images)

    def activation(self, features: Tensor) -> Tensor:
        """Class activation maps of the classes, not scaled.

        Shape: (N, C, h, w) -> (N, F, h, w), at least 0.
        """
        return self.classifier["classes"](features).relu()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.features(images)
        present = self.classifier["classes"](F.adaptive_avg_pool2d(features, 1)).flatten(1) >= 0
        maps = F.interpolate(
            self.activation(features), images.shape[-2:], mode="bilinear", align_corners=False
        )
        maps = unit_maximum(maps) * present[..., None, None]
        background = self.threshold.to(maps).expand(len(maps), 1, *maps.shape[-2:])
        return {"out": torch.cat([background, maps], 1)}


class Classifier(nn.Module):
    """The classification part of a network, for its training: the same weights, logits in place of maps.

    heads: those that are trained; the others are left out.

    Shape: (N, 3, H, W) -> {head: logits}, of "classes" (N, F) for F foreground classes, of "sub_categories"
        (N, F * SUB_CATEGORIES).
    """

    def __init__(self, network: SubCategoryNetwork, heads: Sequence[str]):
        super().__init__()
        self.backbone = network.backbone
        self.classifier = nn.ModuleDict({head: network.classifier[head] for head in heads})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        pooled = F.adaptive_avg_pool2d(_features(self.backbone, images), 1)
        return {name: head(pooled).flatten(1) for name, head in self.classifier.items()}


def _features(backbone: nn.Module, images: Tensor) -> Tensor:
    """Of a backbone that returns them alone, or as "out" among others."""
    found = backbone(images)
    return found["out"] if isinstance(found, Mapping) else found


def unit_maximum(maps: Tensor) -> Tensor:
    """Each map divided by its largest value; 0 where that is 0.

    Shape: (..., H, W) -> (..., H, W).
    """
    return maps / maps.amax((-2, -1), keepdim=True).clamp_min(_TINY)


def sc_cam_resnet50(num_classes: int, aux: bool = False) -> SubCategoryNetwork:
    """On a ResNet-50 of output stride 16; it has no auxiliary head."""
    layers = {name: name for name in ("layer1", "layer2", "layer3")} | {"layer4": "out"}
    network = resnet50(weights=None, replace_stride_with_dilation=[False, False, True])
    return SubCategoryNetwork(IntermediateLayerGetter(network, layers), 2048, num_classes)


def sc_cam_efficientnet_lite0(num_classes: int, aux: bool = False) -> SubCategoryNetwork:
    """On the light backbone, for machines without a GPU; it has no auxiliary head."""
    return SubCategoryNetwork(lite.LiteBackbone(), lite.OUT_CHANNELS, num_classes)


FAMILIES = {
    "sc_cam_resnet50": Family(
        sc_cam_resnet50,
        RESNET_STAGES,
        weights_file="resnet50_imagenet.pth",
        download=ResNet50_Weights.IMAGENET1K_V1.url,
        key_prefix="backbone.",
    ),
    "sc_cam_efficientnet_lite0": Family(
        sc_cam_efficientnet_lite0,
        tuple(f"backbone.{stage}" for stage in lite.STAGE_BLOCKS),
        lite.MEAN,
        lite.STD,
        packaged=lite.imagenet_state,
    ),
}
