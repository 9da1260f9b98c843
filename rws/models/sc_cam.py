"""The classification network of SC-CAM, which puts out its class activation maps as a segmentation.

Source: Chang et al., CVPR 2020; class activation maps: Zhou et al., CVPR 2016.
"""

from collections.abc import Mapping

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
        found = self.backbone(images)
        return found["out"] if isinstance(found, Mapping) else found

    def scores(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the classes and of their sub-categories.

        Shape: (N, C, h, w) -> (N, F), (N, F * SUB_CATEGORIES) for F foreground classes.
        """
        pooled = F.adaptive_avg_pool2d(features, 1)
        classes, sub_categories = (head(pooled).flatten(1) for head in self.classifier.values())
        return classes, sub_categories

    def activation(self, features: Tensor) -> Tensor:
        """Class activation maps of the classes, not scaled.

        Shape: (N, C, h, w) -> (N, F, h, w), at least 0.
        """
        return self.classifier["classes"](features).relu()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.features(images)
        present = self.scores(features)[0] >= 0
        maps = F.interpolate(
            self.activation(features), images.shape[-2:], mode="bilinear", align_corners=False
        )
        maps = unit_maximum(maps) * present[..., None, None]
        background = self.threshold.to(maps).expand(len(maps), 1, *maps.shape[-2:])
        return {"out": torch.cat([background, maps], 1)}


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
