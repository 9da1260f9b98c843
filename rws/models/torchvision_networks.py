"""The segmentation networks of torchvision: its own classes, its published weights."""

from collections.abc import Callable
from functools import partial

from torch import nn
from torchvision.models import segmentation as tv

from rws.models.family import Family, published_file

# Channels 256, 512, 1024, 2048 at strides 4, 8, 8, 8: torchvision dilates layer3 and layer4.
RESNET_STAGES = ("backbone.layer1", "backbone.layer2", "backbone.layer3", "backbone.layer4")
# The last module of each resolution and, at stride 16, of the undilated and of the dilated blocks:
# channels 24, 40, 112, 960 at strides 4, 8, 16, 16.
MOBILENET_STAGES = ("backbone.3", "backbone.6", "backbone.12", "backbone.16")


def _build(function: Callable[..., nn.Module], num_classes: int, aux: bool) -> nn.Module:
    return function(weights=None, weights_backbone=None, num_classes=num_classes, aux_loss=aux)


def _without_aux(function: Callable[..., nn.Module], num_classes: int, aux: bool) -> nn.Module:
    """A network that has no auxiliary head, whether one is asked for or not."""
    return function(weights=None, weights_backbone=None, num_classes=num_classes)


def _family(function: Callable[..., nn.Module], stages: tuple[str, ...], url: str, make=_build) -> Family:
    name = function.__name__
    return Family(partial(make, function), stages, weights_file=published_file(name), download=url)


FAMILIES = {
    "deeplabv3_resnet50": _family(
        tv.deeplabv3_resnet50, RESNET_STAGES, tv.DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.url
    ),
    "deeplabv3_resnet101": _family(
        tv.deeplabv3_resnet101, RESNET_STAGES, tv.DeepLabV3_ResNet101_Weights.COCO_WITH_VOC_LABELS_V1.url
    ),
    "deeplabv3_mobilenet_v3_large": _family(
        tv.deeplabv3_mobilenet_v3_large,
        MOBILENET_STAGES,
        tv.DeepLabV3_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1.url,
    ),
    "fcn_resnet50": _family(
        tv.fcn_resnet50, RESNET_STAGES, tv.FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.url
    ),
    "fcn_resnet101": _family(
        tv.fcn_resnet101, RESNET_STAGES, tv.FCN_ResNet101_Weights.COCO_WITH_VOC_LABELS_V1.url
    ),
    "lraspp_mobilenet_v3_large": _family(
        tv.lraspp_mobilenet_v3_large,
        MOBILENET_STAGES,
        tv.LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1.url,
        _without_aux,
    ),
}
