"""The network families: each returns {"out": logits} at the size of its input, and "aux" with an aux head."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor, nn
from torchvision.models import segmentation as tv

from rws.errors import UserError
from rws.models import efficientnet_lite
from rws.models.weights import LoadReport, load_matching, read_weights

__all__ = ["FAMILIES", "Family", "LoadReport", "build_network", "load_matching", "read_weights"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Family:
    """One architecture: how to build it, where its stages are, and what its inputs and weights look like.

    `build(num_classes, aux)` returns the untrained network; `stages` are module names, early to late; images
    in 0..1 are normalised by `mean` and `std`. Trained weights are `weights_file` in the weights folder, from
    the address `download`, or else what `packaged` reads from an installed package under the network's keys.
    """

    build: Callable[[int, bool], nn.Module]
    stages: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights_file: str | None = None
    download: str | None = None
    packaged: Callable[[], tuple[str, dict[str, Tensor]]] | None = None

    @property
    def file_names(self) -> tuple[str, ...]:
        """Names under which the downloaded file is recognised: ours, and the one of its address."""
        return (
            (self.weights_file, self.download.rsplit("/", 1)[1])
            if self.weights_file and self.download
            else ()
        )

    @property
    def sha256_prefix(self) -> str | None:
        """First digits of the file's SHA-256, which torchvision writes at the end of the name."""
        return Path(self.download).stem.rsplit("-", 1)[1] if self.download else None


def _torchvision(build: Callable[..., nn.Module], num_classes: int, aux: bool) -> nn.Module:
    return build(weights=None, weights_backbone=None, num_classes=num_classes, aux_loss=aux)


# Channels 256, 512, 1024, 2048 at strides 4, 8, 8, 8: torchvision dilates layer3 and layer4.
RESNET_STAGES = ("backbone.layer1", "backbone.layer2", "backbone.layer3", "backbone.layer4")
# The last module of each resolution and, at stride 16, of the undilated and of the dilated blocks:
# channels 24, 40, 112, 960 at strides 4, 8, 16, 16.
MOBILENET_STAGES = ("backbone.3", "backbone.6", "backbone.12", "backbone.16")
# Channels 24, 40, 112, 320 at strides 4, 8, 16, 16.
LITE_STAGES = tuple(f"backbone.{stage}" for stage in efficientnet_lite.STAGE_BLOCKS)

FAMILIES = {
    "deeplabv3_resnet50": Family(
        partial(_torchvision, tv.deeplabv3_resnet50),
        RESNET_STAGES,
        IMAGENET_MEAN,
        IMAGENET_STD,
        "deeplabv3_resnet50_coco.pth",
        tv.DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.url,
    ),
    "deeplabv3_resnet101": Family(
        partial(_torchvision, tv.deeplabv3_resnet101),
        RESNET_STAGES,
        IMAGENET_MEAN,
        IMAGENET_STD,
        "deeplabv3_resnet101_coco.pth",
        tv.DeepLabV3_ResNet101_Weights.COCO_WITH_VOC_LABELS_V1.url,
    ),
    "deeplabv3_mobilenet_v3_large": Family(
        partial(_torchvision, tv.deeplabv3_mobilenet_v3_large),
        MOBILENET_STAGES,
        IMAGENET_MEAN,
        IMAGENET_STD,
        "deeplabv3_mobilenet_v3_large_coco.pth",
        tv.DeepLabV3_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1.url,
    ),
    "deeplabv3_efficientnet_lite0": Family(
        efficientnet_lite.deeplabv3_efficientnet_lite0,
        LITE_STAGES,
        efficientnet_lite.MEAN,
        efficientnet_lite.STD,
        packaged=efficientnet_lite.imagenet_state,
    ),
}


def build_network(
    name: str,
    num_classes: int,
    *,
    aux: bool = True,
    weights: str = "auto",
    weights_dir: str | Path = "weights",
) -> tuple[nn.Module, LoadReport]:
    """Build a network of FAMILIES and fill it from the family's weights ("auto"), a file, or not ("none").

    Shape: the network maps (N, 3, H, W) to {"out": (N, num_classes, H, W)}; with `aux`, "aux" as well.

    Raises:
        UserError: unknown name; weights missing, damaged, of another hash, or with no tensor that fits.
    """
    family = _family(name)
    weights = str(weights)
    source, state = ("none", {}) if weights == "none" else _read(family, weights, Path(weights_dir))
    network = family.build(num_classes, aux)
    if weights == "none":
        return network, LoadReport("none", 0, (), tuple(network.state_dict()))
    return network, load_matching(network, state, source)


def _family(name: str) -> Family:
    if name not in FAMILIES:
        nearest = difflib.get_close_matches(name, FAMILIES, n=1, cutoff=0.0)[0]
        raise UserError(
            f"--model.name {name}: unknown; did you mean {nearest}? The networks are {', '.join(FAMILIES)}"
        )
    return FAMILIES[name]


def _read(family: Family, weights: str, folder: Path) -> tuple[str, dict[str, Tensor]]:
    if weights == "auto" and family.packaged:
        return family.packaged()
    path = _downloaded(family, folder) if weights == "auto" else Path(weights).expanduser()
    known = path.name in family.file_names
    return str(path), read_weights(path, family.sha256_prefix if known else None)


def _downloaded(family: Family, folder: Path) -> Path:
    for file_name in family.file_names:
        if (folder / file_name).is_file():
            return folder / file_name
    raise UserError(
        f"{folder / family.weights_file}: not found; download {family.download} into {folder}/, "
        "or pass --model.weights none to train from scratch"
    )
