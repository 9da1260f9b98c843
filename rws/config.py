"""The configuration of a run: typed dataclasses with their defaults (the paper's own, where it has one)."""

from dataclasses import dataclass, field
from typing import Literal

from jsonargparse.typing import (
    ClosedUnitInterval,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)


@dataclass
class ModelConfig:
    """The network.

    Args:
        name: a network of rws/models, smp:<Architecture>:<encoder>, timm:<encoder>, or
            path.to.module:factory for one of yours.
        weights: auto (the family's own file; smp and timm download theirs), none (from scratch) or a path.
        weights_dir: where `auto` looks for downloaded files.
        stages: module names of the stages; null takes the family's own, or finds them.
        aux: train with the auxiliary head, where the network has one.
        channels_last: memory format; faster on current CPUs and GPUs.
    """

    name: str = "deeplabv3_resnet50"
    weights: str = "auto"
    weights_dir: str = "weights"
    stages: list[str] | None = None
    aux: bool = True
    channels_last: bool = True


@dataclass
class DataConfig:
    """The data set.

    Args:
        name: demo, voc2012, voc2012_aug, coco_stuff164k, coco_stuff10k, ade20k, cityscapes, davis2017, camvid
            or folder.
        root: folder of the set; nothing is ever written into it.
        partial: take a part of a set for the whole; without it a set with another number of images than its
            publisher gives it is refused.
        category: train this one class against the rest, on its own image lists; several with commas between
            them on the images that hold one; null for all classes.
        lists_dir: folder of the class lists of VOC 2012.
        train_list: name of the list to train on.
        val_list: name of the list to evaluate on.
        val_share: share of the images of a folder without train.txt and val.txt that is drawn for evaluation.
        split_seed: of that draw; `seed` does not change it.
        convert_rgb_labels: labels in RGB are converted by the set's palette; without it they are refused.
        cache: folder for decoded images and labels, outside the data root; null decodes them each time.
        base_size: short side in pixels at which images are evaluated and scored.
        crop_size: height and width in pixels of a training crop.
        scale: range of the random factor on base_size in training.
        hflip: probability of a horizontal flip in training.
        workers: loader processes; null takes the cores, at most 8.
        check: read every image and label before training.
    """

    name: Literal[
        "demo",
        "voc2012",
        "voc2012_aug",
        "coco_stuff164k",
        "coco_stuff10k",
        "ade20k",
        "cityscapes",
        "davis2017",
        "camvid",
        "folder",
    ] = "voc2012"
    root: str = "data"
    partial: bool = False
    category: str | None = None
    lists_dir: str = "FWM_datalist_20Class"
    train_list: str = "train"
    val_list: str = "val"
    val_share: ClosedUnitInterval = 0.2
    split_seed: NonNegativeInt = 0
    convert_rgb_labels: bool = False
    cache: str | None = None
    base_size: PositiveInt = 520
    crop_size: tuple[PositiveInt, PositiveInt] = (480, 480)
    scale: tuple[PositiveFloat, PositiveFloat] = (0.5, 2.0)
    hflip: ClosedUnitInterval = 0.5
    workers: NonNegativeInt | None = None
    check: bool = True


@dataclass
class TrainConfig:
    """One training; a run has several.

    Args:
        epochs: epochs of a training on whole images.
        first_epochs: epochs of the first one; null takes `epochs`.
        slice_epochs: epochs of a training on slices; 0.25 is a random quarter of them. With 0 there is none:
            the network itself sees the slices, and all images of the budget are whole ones.
        slice_mix: share of the images that a training on whole images, after the first, takes from the weak
            slices of the cycle before instead; these are not fused.
        batch_size: images a step.
        eval_batch_size: images a batch in evaluation and scoring.
        optimizer: sgd or adamw.
        lr: learning rate after warm-up.
        momentum: of sgd.
        weight_decay: on all parameters.
        lr_poly_power: exponent of the polynomial decay to 0.
        warmup_epochs: epochs of linear warm-up from a tenth of lr; at most a tenth of a training.
        aux_loss: weight of the auxiliary head's loss.
        aux_lr_factor: learning rate of the auxiliary head over lr.
        head_lr_factor: learning rate of the segmentation head over lr.
        precision: fp32, or autocast for the training forward pass: bf16, or fp16 with a loss scaler. The loss
            and the maps are always fp32.
        eval_every: epochs between evaluations; the last epoch always is evaluated.
        checkpoint_steps: steps between checkpoints inside an epoch; null for none but those by time.
        checkpoint_minutes: minutes after which a checkpoint is due inside an epoch; null for none.
    """

    epochs: PositiveInt = 1
    first_epochs: PositiveInt | None = None
    slice_epochs: NonNegativeFloat = 1.0
    slice_mix: ClosedUnitInterval = 0.0
    batch_size: PositiveInt = 4
    eval_batch_size: PositiveInt = 4
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: PositiveFloat = 1e-4
    momentum: ClosedUnitInterval = 0.9
    weight_decay: NonNegativeFloat = 1e-4
    lr_poly_power: NonNegativeFloat = 0.9
    warmup_epochs: NonNegativeFloat = 1.0
    aux_loss: NonNegativeFloat = 0.5
    aux_lr_factor: PositiveFloat = 10.0
    head_lr_factor: PositiveFloat = 1.0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    eval_every: PositiveInt = 1
    checkpoint_steps: PositiveInt | None = None
    checkpoint_minutes: PositiveFloat | None = 10.0


@dataclass
class SliceConfig:
    """Windows and the weak-slice test.

    Args:
        size: side of a window over the image's side, at most 1.
        step: step between windows over the image's side, at most `size`.
        attention_min: a pixel is attended when the last stage's map is above this (0 in the paper).
        iou_weak_max: a slice is weak when 0 < IoU < this (T in the paper).
        most_per_image: keep only so many of the weakest slices of an image; null keeps all.
        missing_images: number of training images, in batches spread evenly, whose missing weights are
            reported; null takes all. The weak slices need the last stage's map alone, which is much cheaper.
    """

    size: PositiveFloat = 0.5
    step: PositiveFloat = 0.1
    attention_min: ClosedUnitInterval = 0.0
    iou_weak_max: ClosedUnitInterval = 0.95
    most_per_image: PositiveInt | None = None
    missing_images: PositiveInt | None = 64


@dataclass
class BankConfig:
    """The selected features of the training images.

    Args:
        precision: int8 - 256 steps from the smallest value of a row to its largest; half - twice the disk.
        online: keep only which slices won, and compute their features anew in every training step: hardly
            any disk, a slower step.
        teacher_decay: with `online`, the slice network follows the network in training: after each step its
            weights are this share of its own and the rest of the trained ones. With 1 it stays as it is.
    """

    precision: Literal["int8", "half"] = "int8"
    online: bool = False
    teacher_decay: ClosedUnitInterval = 1.0


@dataclass
class FusionConfig:
    """How the slices' features enter a training on whole images.

    Args:
        enabled: off trains without fusion, and makes no slice network and no bank.
        positions: advantaged (eq. 10), or random - the control: as many random windows, as many random cells.
        mode: published - the slices' features are blended into the network's own (eq. 9); gentle - into half
            of the images, brought to the statistics of the network's own features, with a share that falls to
            0 over the training; target - nothing is blended, a loss (1 - cosine) draws the network's own
            features to the slices'.
        stages: names of the stages that are fused; null for all.
    """

    enabled: bool = True
    positions: Literal["advantaged", "random"] = "advantaged"
    mode: Literal["published", "gentle", "target"] = "published"
    stages: list[str] | None = None


@dataclass
class CycleConfig:
    """The loop.

    Args:
        limit: cycles of score, slice, select and fused retraining at most.
        delta: stop when the number of weak slices changes by fewer than this.
        start: what a training on whole images starts from: initial - the initial weights (the paper),
            last - the last training on whole images.
        budget: added - the slices' images come on top of train.epochs; within - a training on whole images
            is shorter by the images that the slices before it took.
        plain: also train a plain network for the same number of images (slices included); off skips it.
    """

    limit: NonNegativeInt = 10
    delta: NonNegativeInt = 20
    start: Literal["initial", "last"] = "initial"
    budget: Literal["added", "within"] = "added"
    plain: bool = True


@dataclass
class ScCamConfig:
    """SC-CAM, for the networks sc_cam_*: segmentation from image-level labels.

    Args:
        rounds: rounds with sub-categories, after one that knows the classes alone.
        sub_loss: weight of the loss of the sub-categories.
        scales: of the images whose maps are added up.
    """

    rounds: NonNegativeInt = 3
    sub_loss: NonNegativeFloat = 5.0
    scales: tuple[PositiveFloat, ...] = (0.5, 1.0, 1.5, 2.0)


@dataclass
class Config:
    """A run.

    Args:
        name: folder of the run under `runs`.
        runs: folder of all runs.
        seed: of everything random.
        device: auto, cpu, cuda or cuda:N.
        deterministic: take deterministic kernels, with a warning where torch has none; slower on CUDA.
        resume: go on with the run where it stopped.
        overwrite: throw away a run of the same name.
        cam_vis: write the heat maps of every stage as pictures.
        cam_vis_images: number of training images in them.
        cam_method: of these pictures - gradcam, gradcam++, layercam, xgradcam, hirescam or eigencam; the
            method itself always uses gradcam.
        check_data: check the data and stop.
        list_stages: list the modules of the network that could be stages, and stop.
        model: the network.
        data: the data set.
        train: one training.
        slices: windows and the weak-slice test.
        bank: the selected features.
        fusion: how the slices' features are used.
        cycles: the loop.
        sc_cam: the rounds of SC-CAM.
    """

    name: str = "run"
    runs: str = "runs"
    seed: NonNegativeInt = 0
    device: str = "auto"
    deterministic: bool = False
    resume: bool = False
    overwrite: bool = False
    cam_vis: bool = False
    cam_vis_images: PositiveInt = 8
    cam_method: Literal["gradcam", "gradcam++", "layercam", "xgradcam", "hirescam", "eigencam"] = "gradcam"
    check_data: bool = False
    list_stages: bool = False
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    slices: SliceConfig = field(default_factory=SliceConfig)
    bank: BankConfig = field(default_factory=BankConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    cycles: CycleConfig = field(default_factory=CycleConfig)
    sc_cam: ScCamConfig = field(default_factory=ScCamConfig)
