"""The network families: each returns {"out": logits} at the size of its input, and "aux" with an aux head."""

import difflib
from pathlib import Path

from torch import Tensor, nn

from rws.errors import UserError
from rws.models import (
    efficientnet_lite,
    light_decoders,
    own_networks,
    pcaa,
    sc_cam,
    smp_networks,
    timm_backbones,
    torchvision_networks,
)
from rws.models.family import IMAGENET_MEAN, IMAGENET_STD, Family, published_file
from rws.models.weights import AS_BUILT, LoadReport, load_matching, read_weights

__all__ = [
    "FAMILIES",
    "FORMS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Family",
    "LoadReport",
    "build_network",
    "find_family",
    "is_own",
    "load_matching",
    "read_weights",
]

FAMILIES: dict[str, Family] = {
    **torchvision_networks.FAMILIES,
    **efficientnet_lite.FAMILIES,
    **light_decoders.FAMILIES,
    **pcaa.FAMILIES,
    **sc_cam.FAMILIES,
}
# Families that a name describes instead of naming one above.
FORMS = (smp_networks.FORM, timm_backbones.FORM, own_networks.FORM)


def is_own(name: str) -> bool:
    """Whether a network's name is that of code outside the project, run when the network is built."""
    return ":" in name and name not in FAMILIES and not name.startswith(("smp:", "timm:"))


def find_family(name: str) -> Family:
    """The family of a network's name: one of FAMILIES, or one of FORMS.

    Raises:
        UserError: there is no such network, or a package that it needs is not installed.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    if name.startswith("smp:"):
        return smp_networks.smp_family(name)
    if name.startswith("timm:"):
        return timm_backbones.timm_family(name)
    if is_own(name):
        return own_networks.own_family(name)
    nearest = difflib.get_close_matches(name, FAMILIES, n=1, cutoff=0.0)[0]
    raise UserError(
        f"--model.name {name}: unknown; did you mean {nearest}? The networks are "
        f"{', '.join((*FAMILIES, *FORMS))}"
    )


def build_network(
    name: str,
    num_classes: int,
    *,
    aux: bool = True,
    weights: str = "auto",
    weights_dir: str | Path = "weights",
) -> tuple[nn.Module, LoadReport]:
    """Build a network by its name and fill it from the family's weights ("auto"), a file, or not ("none").

    Shape: the network maps (N, 3, H, W) to {"out": (N, num_classes, H, W)}; with `aux`, "aux" as well.

    Raises:
        UserError: unknown name; weights missing, damaged, of another hash, or with no tensor that fits.
    """
    family = find_family(name)
    weights = str(weights)
    untrained = weights == "none" or (weights == "auto" and not family.has_weights)
    source, state = ("none", {}) if untrained else _read(name, weights, Path(weights_dir))
    network = family.build(num_classes, aux)
    if untrained:
        source = "none" if family.has_weights else AS_BUILT
        return network, LoadReport(source, 0, (), tuple(network.state_dict()))
    return network, load_matching(network, state, source, family.key_prefix)


def _read(name: str, weights: str, folder: Path) -> tuple[str, dict[str, Tensor]]:
    family = find_family(name)
    if weights == "auto" and family.packaged:
        return family.packaged()
    path = _downloaded(name, family, folder) if weights == "auto" else Path(weights).expanduser()
    known = path.name in family.file_names
    return str(path), read_weights(path, family.sha256_prefix if known else None)


def _downloaded(name: str, family: Family, folder: Path) -> Path:
    for file_name in family.file_names:
        if (folder / file_name).is_file():
            return folder / file_name
    get = f"download {family.download} into {folder}/"
    if family.weights_file == published_file(name):
        get = f"run `rws download {name}{'' if folder == Path('weights') else f' --root {folder}'}`"
    raise UserError(
        f"{folder / family.weights_file}: not found; {get}, or pass --model.weights none to train from "
        "scratch"
    )
