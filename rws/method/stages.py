"""The stages of a network: those that are named, or else found, and whether RWS can work at them."""

import torch
from torch import nn

from rws.config import ModelConfig
from rws.core.auto_stages import automatic_stages
from rws.core.cam import seg_grad_cam
from rws.core.stages import find_stages
from rws.errors import UserError
from rws.models import find_family
from rws.runtime.device import to_network

SMALL = (64, 64)  # height and width of images on which stages are tried out


def stages_of(model: ModelConfig, network: nn.Module) -> tuple[str, ...]:
    """The stages that the configuration names, or else the family, or else those found in the network.

    Raises: UserError for a network in which none can be found.
    """
    named = model.stages or find_family(model.name).stages
    if named:
        return tuple(named)
    try:
        return automatic_stages(network)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(
            f"--model.name {model.name}: no heat maps, so no slices: {' '.join(str(error).split())}; train "
            "it with --fusion.enabled false, or name its stages with --model.stages"
        ) from error


def check_stages(network: nn.Module, stages: tuple[str, ...], size: tuple[int, int]) -> None:
    """The stages must be there, put out one tensor each, and lead to the logits.

    Raises: UserError.
    """
    if not stages:
        raise UserError(
            "it has no stages to look at (transformers have none), so there are no heat maps; rws predict "
            "and rws val take it, in every way but by attention (--choose attention, --ways attention)"
        )
    if len(set(stages)) < len(stages):
        raise UserError(f"model.stages: {list(stages)} names a stage twice; name each once")
    image = to_network(torch.zeros(1, 3, *size), network)
    label = torch.zeros(1, *size, dtype=torch.long, device=image.device)
    try:
        seg_grad_cam(network, find_stages(network, stages), image, label, [0])
    except KeyError as error:
        raise UserError(f"model.stages: {error.args[0]}") from error
    except (TypeError, RuntimeError) as error:
        raise UserError(f"model.stages {list(stages)}: {error}; name the backbone's stages") from error
