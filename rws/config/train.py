"""Options of a training."""

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, PositiveFloat, PositiveInt

from rws.config.look_again import MOST_PASSES
from rws.config.option import option
from rws.errors import UserError

LOSSES = ("cross_entropy", "dice", "focal", "lovasz")


@dataclass
class TrainConfig:
    """One training; a run has several."""

    epochs: PositiveInt | Literal["auto"] = option(
        1,
        "Number of epochs of each training on whole images; auto takes as many as show `images`.",
        level="basic",
    )
    images: PositiveInt = option(
        4000,
        "Number of images that each training on whole images sees with epochs auto; the fewer there are, the "
        "more often each is seen.",
    )
    first_epochs: PositiveInt | None = option(
        None, "Number of epochs of the first training on whole images; null takes `epochs`."
    )
    slice_epochs: NonNegativeFloat = option(
        1.0,
        "Number of epochs of each training on slices; 0.25 trains on a random quarter of the slices once. "
        "With 0 there is no such training, and the network trained on whole images computes the features "
        "of the slices.",
        step="slices",
    )
    slice_mix: ClosedUnitInterval = option(
        0.0,
        "Share of the images of each training on whole images, after the first, that are weak slices of the "
        "cycle before in place of whole images; features are not fused into these.",
        step="fuse",
        in_plain=0.0,
    )
    unlabelled_share: ClosedUnitInterval = option(
        0.5,
        "Share of the images of each training on whole images, after the first, that are photographs without "
        "labels (data.unlabelled); with 0 they are not used.",
        step="fuse",
        in_plain=0.0,
    )
    teacher_passes: PositiveInt = option(
        1,
        "Number of forward passes in which a network sees each photograph without label to teach the next "
        f"training: 1 sees the whole image, more (up to {MOST_PASSES}) also windows of it where the network "
        "is unsure.",
        step="teach",
    )
    batch_size: PositiveInt = option(4, "Number of images in a training step.", level="basic")
    eval_batch_size: PositiveInt = option(4, "Number of images in a batch of evaluation and scoring.")
    optimizer: Literal["sgd", "adamw"] = option("sgd", "The optimizer: sgd or adamw.")
    lr: PositiveFloat = option(1e-4, "Learning rate at the end of the warm-up, its highest.", level="basic")
    momentum: ClosedUnitInterval = option(0.9, "Momentum of sgd.")
    weight_decay: NonNegativeFloat = option(1e-4, "Weight decay, the same for all parameters.")
    lr_poly_power: NonNegativeFloat = option(
        0.9, "Exponent of the polynomial by which the learning rate falls to 0."
    )
    warmup_epochs: NonNegativeFloat = option(
        1.0,
        "Number of epochs in which the learning rate rises linearly from a tenth of lr to lr; at most a "
        "tenth of the training.",
    )
    loss: str = option(
        "cross_entropy",
        "The loss: cross_entropy, dice, focal or lovasz, or a sum of them as cross_entropy+dice.",
    )
    class_weights: Literal["none", "median", "inverse"] | tuple[NonNegativeFloat, ...] = option(
        "none",
        "Weights of the classes in the cross-entropy: none, median (median frequency over a class's own, "
        "counted once in the training labels), inverse (one over its share of the pixels), or one number for "
        "each class.",
    )
    aux_loss: NonNegativeFloat = option(0.5, "Weight of the auxiliary head's loss.")
    aux_lr_factor: PositiveFloat = option(10.0, "Learning rate of the auxiliary head as a multiple of lr.")
    head_lr_factor: PositiveFloat = option(1.0, "Learning rate of the segmentation head as a multiple of lr.")
    precision: Literal["fp32", "bf16", "fp16"] = option(
        "fp32",
        "Numbers of the forward pass in training: fp32, or by autocast bf16 or fp16 (with a loss scaler). "
        "The loss and the heat maps are always computed in fp32.",
    )
    accumulate: PositiveInt = option(
        1,
        "Number of parts in which the batch of a step goes through the network, one after another, so that a "
        "large batch fits the memory; batch normalisation and the losses dice and lovasz see the parts.",
    )
    clip_grad: PositiveFloat | None = option(
        None, "Largest norm of a step's gradients, which are scaled down to it; null leaves them as they are."
    )
    ema: ClosedUnitInterval | None = option(
        None,
        "Share of itself that a moving average of the weights keeps at each step, such as 0.99; the averaged "
        "network is evaluated and saved. null averages nothing.",
    )
    early_stop: PositiveInt | None = option(
        None,
        "Number of evaluations without a better mIoU after which a training ends; null trains all epochs.",
    )
    eval_every: PositiveInt = option(
        1, "Number of epochs from one evaluation to the next; the last epoch is always evaluated."
    )
    checkpoint_steps: PositiveInt | None = option(
        None,
        "Number of steps from one checkpoint to the next within an epoch; null leaves it to "
        "checkpoint_minutes.",
        step=None,
        free=True,
    )
    checkpoint_minutes: PositiveFloat | None = option(
        10.0,
        "Minutes from one checkpoint to the next within an epoch; null writes none by time.",
        step=None,
        free=True,
    )

    @property
    def losses(self) -> tuple[str, ...]:
        """The names of the losses that are added up."""
        return tuple(name.strip() for name in self.loss.split("+"))

    def __post_init__(self) -> None:
        """Raises: UserError for an unknown loss, and for what could not be done or would do nothing."""
        for name in self.losses:
            if name not in LOSSES:
                raise UserError(
                    f"train.loss: {name!r} is not one of {', '.join(LOSSES)}; join several by +, as "
                    "cross_entropy+dice"
                )
        if self.teacher_passes > MOST_PASSES:
            raise UserError(
                f"train.teacher_passes {self.teacher_passes}: must be 1 to {MOST_PASSES}, the whole included"
            )
        if self.class_weights != "none" and "cross_entropy" not in self.losses:
            raise UserError(
                f"train.class_weights weighs the cross-entropy, which train.loss {self.loss} has not; take "
                f"--train.loss cross_entropy+{self.loss}, or --train.class-weights none"
            )
        if not isinstance(self.class_weights, str) and not any(self.class_weights):
            raise UserError("train.class_weights: every weight is 0, so nothing would be learned")
        if self.batch_size % self.accumulate:
            raise UserError(
                f"train.accumulate {self.accumulate}: train.batch_size {self.batch_size} is no multiple of it"
            )
        if self.ema == 1:
            raise UserError("train.ema 1: the average would never move; take a share below 1, such as 0.99")
