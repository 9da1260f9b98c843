"""Options of the method: slices, bank, fusion, cycles; and those of SC-CAM."""

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import (
    ClosedUnitInterval,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from rws.config.option import option
from rws.errors import UserError

FINEST_STEP = 1e-3


@dataclass
class SliceConfig:
    """Windows and the weak-slice test."""

    size: PositiveFloat = option(
        0.5, "Side of a window as a share of the image's side, at most 1.", step="score"
    )
    step: PositiveFloat = option(
        0.1,
        "Distance from one window to the next as a share of the image's side, at most `size`.",
        step="score",
    )
    attention_min: ClosedUnitInterval = option(
        0.0,
        "Value of the last stage's heat map above which the network attends to a pixel (0 in the paper).",
        step="score",
    )
    iou_weak_max: ClosedUnitInterval = option(
        0.95,
        "A slice is weak when the IoU of the attended pixels and the objects in it is above 0 and below this "
        "(T in the paper).",
        step="score",
    )
    most_per_image: PositiveInt | None = option(
        None, "Largest number of slices that are kept of an image, the weakest; null keeps all.", step="score"
    )
    missing_images: PositiveInt | None = option(
        64,
        "Number of training images, spread evenly, from which the reported missing weights are computed; "
        "null takes all, which is slow: all stages need a map for them, the weak slices only the last one.",
        step="score",
    )

    def __post_init__(self) -> None:
        """Raises: UserError for windows that do not cover the image, and for millions of them."""
        if self.step < FINEST_STEP:
            raise UserError(
                f"slices.step {self.step:g}: must be at least {FINEST_STEP:g}; there is a window for every "
                "step down and across"
            )
        if not self.step <= self.size <= 1:
            raise UserError(
                f"slices.size {self.size:g} must be at most 1 and slices.step {self.step:g} at most that: "
                "windows must leave no gaps"
            )


@dataclass
class BankConfig:
    """The selected features of the training images."""

    precision: Literal["int8", "half"] = option(
        "int8",
        "How features are stored: int8 in 256 steps from the smallest value of a row to its largest, half in "
        "16-bit floats on twice the disk space.",
        step="select",
    )
    online: bool = option(
        False,
        "Store only which slices won, and compute their features in every training step: hardly any disk "
        "space, but slower.",
        step="select",
    )


@dataclass
class FusionConfig:
    """How the slices' features enter a training on whole images."""

    enabled: bool = option(
        True,
        "Fuse the slices' features into the trainings on whole images; false trains without, and trains no "
        "network on slices.",
        step="slices",
        in_plain=False,
    )
    positions: Literal["advantaged", "random"] = option(
        "advantaged",
        "Where features are fused: advantaged, at the positions that eq. 10 selects, or random, the control "
        "with as many windows and positions drawn at random.",
        step="select",
    )
    mode: Literal["published", "gentle", "target"] = option(
        "published",
        "How features are fused: published blends the slices' features into the network's own (eq. 9); "
        "gentle blends them into half of the images, with the statistics of the network's own features and "
        "a share that falls to 0 over the training; target blends nothing, a loss (1 - cosine) draws the "
        "network's own features to the slices'.",
        step="fuse",
    )
    stages: list[str] | None = option(
        None, "Names of the stages at which features are fused; null takes all stages.", step="fuse"
    )


@dataclass
class CycleConfig:
    """The loop."""

    limit: NonNegativeInt = option(
        10, "Largest number of cycles: score, train on slices, select, train with fusion.", step="score"
    )
    delta: NonNegativeInt = option(
        20, "The run stops when the number of weak slices changes by fewer than this.", step="score"
    )
    start: Literal["initial", "last"] = option(
        "initial",
        "Weights from which each training starts: initial takes the initial weights (as the paper does), "
        "last those of the last training on whole images.",
        step="slices",
    )
    budget: Literal["added", "within"] = option(
        "added",
        "How the images of the trainings on slices count: added to train.epochs, or within them, so that the "
        "next training on whole images is shorter by as many.",
        step="fuse",
    )
    anneal: Literal["once", "each"] | None = option(
        None,
        "How often the learning rate falls to 0: once over all trainings on whole images, and the run then "
        "goes on to `limit` whatever `delta` says, or in each of them. null takes once where trainings start "
        "from the last weights, each where they start from the initial ones.",
    )
    plain: bool = option(
        True,
        "Also train a plain network on as many images as RWS sees, slices included, for comparison.",
        step="plain",
        by_comparison=True,
    )

    def __post_init__(self) -> None:
        """Raises: UserError for one schedule over trainings that each begin anew."""
        if self.anneal == "once" and self.start == "initial":
            raise UserError(
                "cycles.anneal once: trainings from the initial weights need a rate that falls in each; set "
                "cycles.start last, or cycles.anneal each"
            )

    @property
    def annealed_once(self) -> bool:
        """Whether the learning rate falls once over all trainings on whole images."""
        return self.anneal == "once" or (self.anneal is None and self.start == "last")


@dataclass
class ScCamConfig:
    """SC-CAM, for the networks sc_cam_*: segmentation from image-level labels."""

    rounds: NonNegativeInt = option(
        3, "Number of rounds with sub-categories, after a first round with the classes only."
    )
    sub_loss: NonNegativeFloat = option(5.0, "Weight of the loss of the sub-categories.")
    scales: tuple[PositiveFloat, ...] = option(
        (0.5, 1.0, 1.5, 2.0), "Factors by which images are resized; the heat maps of all sizes are added up."
    )
