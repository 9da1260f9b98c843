"""What a training minimises, and with which steps: the loss, the optimizer, the learning rate."""

import torch
from torch import Tensor, nn

from rws.config import TrainConfig
from rws.training.losses import CROSS_ENTROPY, Criterion

# What torchvision and segmentation_models_pytorch call what comes after the backbone.
HEADS = ("classifier", "decoder", "segmentation_head")


def segmentation_loss(
    output: dict[str, Tensor],
    labels: Tensor,
    ignore_index: int,
    aux_loss: float,
    criterion: Criterion = CROSS_ENTROPY,
) -> Tensor:
    """The criterion over the labelled pixels, plus `aux_loss` times the auxiliary head's.

    Of several processes each has a part of the batch: the sum of their losses is that of the whole batch.

    Shape: logits (N, C, H, W), labels (N, H, W) -> scalar; 0 when no pixel is labelled.
    """
    loss_from = criterion.of_batch(labels, ignore_index)
    loss = loss_from(output["out"])
    return loss + aux_loss * loss_from(output["aux"]) if "aux" in output else loss


def loss_of(
    network: nn.Module,
    output: dict[str, Tensor],
    labels: Tensor,
    ignore_index: int,
    aux_loss: float,
    criterion: Criterion = CROSS_ENTROPY,
) -> Tensor:
    """`segmentation_loss`, plus what the network itself adds to it.

    A network may bring a loss of its own: a method `own_loss(output, labels, ignore_index)` that returns a
    scalar tensor. `output` is what its forward pass returned, in which it may keep entries of its own beside
    "out" and "aux". Of several processes each calls it with its part of the batch; the losses are summed.
    """
    loss = segmentation_loss(output, labels, ignore_index, aux_loss, criterion)
    own = getattr(network, "own_loss", None)
    return loss if own is None else loss + own(output, labels, ignore_index)


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD or AdamW with the heads' own learning rates; `lr_factor` of a group scales the schedule."""
    heads = dict.fromkeys(HEADS, config.head_lr_factor)
    factors = {"aux_classifier": config.aux_lr_factor, **heads}
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        groups.setdefault(factors.get(name.split(".")[0], 1.0), []).append(parameter)
    params = [{"params": p, "lr_factor": factor, "lr": config.lr * factor} for factor, p in groups.items()]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(params, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    sgd = {"momentum": config.momentum, "weight_decay": config.weight_decay}
    return torch.optim.SGD(params, lr=config.lr, **sgd, fused=True)


def learning_rate(step: float, steps: int, steps_per_epoch: int, config: TrainConfig) -> float:
    """Polynomial decay to 0 at `steps` after a linear warm-up from a tenth.

    The warm-up takes at most a tenth of the steps: in the paper's runs, one epoch of warm-up in a training of
    one epoch would never reach the learning rate.
    """
    warmup = min(round(config.warmup_epochs * steps_per_epoch), max(1, steps // 10))
    if step < warmup:
        return config.lr * (0.1 + 0.9 * step / warmup)
    return config.lr * (1 - (step - warmup) / max(1, steps - warmup)) ** config.lr_poly_power
