"""Options of the network and of the data set."""

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveFloat, PositiveInt

from rws.config.option import option
from rws.errors import UserError


@dataclass
class ModelConfig:
    """The network."""

    name: str = option(
        "deeplabv3_resnet50",
        "The network: one of rws/models, smp:<Architecture>:<encoder>, timm:<encoder>, or "
        "path.to.module:factory for one of yours.",
        level="basic",
    )
    weights: str = option(
        "auto",
        "Weights to start from: auto (pretrained ones of this network), none (random ones) or a file.",
        level="basic",
    )
    weights_dir: str = option(
        "weights", "Folder in which `auto` looks for downloaded weights.", step=None, free=True
    )
    stages: list[str] | None = option(
        None,
        "Names of the modules whose outputs are the stages of the method; null takes those known for this "
        "network, or finds some (--list-stages shows them).",
    )
    aux: bool = option(True, "Also train the network's auxiliary head, if it has one.")
    channels_last: bool = option(
        True, "Keep tensors in the channels-last memory format, which is faster on current CPUs and GPUs."
    )


REST = "rest"  # of the training images, as photographs without labels


@dataclass
class DataConfig:
    """The data set."""

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
    ] = option(
        "voc2012",
        "The data set: demo, voc2012, voc2012_aug, coco_stuff164k, coco_stuff10k, ade20k, cityscapes, "
        "davis2017, camvid, or folder for one of yours.",
        level="basic",
    )
    root: str = option(
        "data", "Folder of the data set; nothing is ever written into it.", free=True, level="basic"
    )
    partial: bool = option(
        False,
        "Accept a part of a data set; otherwise a set with more or fewer images than published is refused.",
        step=None,
        free=True,
    )
    category: str | None = option(
        None,
        "Class to train against the rest, on its own image lists; several, separated by commas, on the "
        "images that show any of them; null trains all classes.",
        level="basic",
    )
    lists_dir: str = option(
        "FWM_datalist_20Class", "Folder of the image lists of single classes of VOC 2012.", free=True
    )
    train_list: str = option("train", "Name of the list of images to train on.")
    val_list: str = option("val", "Name of the list of images to evaluate on.")
    label_share: ClosedUnitInterval = option(
        1.0,
        "Share of the training images whose labels are used, spread evenly over the ids in their order; the "
        "rest is left out, or is photographs without labels (`unlabelled`).",
    )
    unlabelled: str | None = option(
        None,
        "Photographs without labels, of which the network teaches itself after the first training: a folder, "
        "or rest for the training images that label_share leaves out; null takes none.",
        step="teach",
    )
    val_share: ClosedUnitInterval = option(
        0.2,
        "Share of the images that is drawn for evaluation, for a folder without train.txt and val.txt.",
    )
    split_seed: NonNegativeInt = option(
        0, "Seed of that draw (val_share), apart from `seed` so that all runs evaluate on the same images."
    )
    convert_rgb_labels: bool = option(
        False, "Convert labels in RGB by the palette of the data set; otherwise they are refused."
    )
    range: tuple[float, float] | None = option(
        None,
        "Values that become black and white in images of more than 8 bits a channel; null finds them in the "
        "training images.",
    )
    orientation: Literal["shown", "stored"] | None = option(
        None,
        "What the labels were drawn on, for images that EXIF turns and labels whose size does not tell: the "
        "image as viewers show it (shown) or the pixels of the file (stored); null refuses such labels.",
    )
    allow_leak: bool = option(
        False,
        "Accept images that are in both lists, by name or byte for byte; otherwise they are refused.",
        step=None,
        free=True,
    )
    cache: str | None = option(
        None,
        "Folder, outside of the data set's, in which decoded images and labels are kept; null decodes them "
        "each time.",
        step=None,
        free=True,
    )
    augment: Literal["none", "light", "strong"] = option(
        "light",
        "How much training crops are changed: none (resized and cut), light (also scale and flip) or strong "
        "(also rotation, perspective, colour and blur).",
    )
    albumentations: str | None = option(
        None,
        "File (.yaml or .json) of a pipeline that albumentations.save has written, which changes training "
        "images before augment does; null changes nothing.",
        free=True,
    )
    copy_paste: ClosedUnitInterval = option(
        0.0,
        "Share of the training crops into which an object of another training image is pasted, a connected "
        "part of a class that takes at most a quarter of the crop.",
    )
    base_size: PositiveInt = option(
        520, "Shorter side in pixels to which images are resized for evaluation and scoring."
    )
    crop_size: tuple[PositiveInt, PositiveInt] = option(
        (480, 480), "Height and width in pixels of a training crop."
    )
    scale: tuple[PositiveFloat, PositiveFloat] = option(
        (0.5, 2.0),
        "Smallest and largest random factor by which base_size is multiplied before a training crop is cut.",
    )
    hflip: ClosedUnitInterval = option(
        0.5, "Probability with which a training crop is flipped left to right."
    )
    workers: NonNegativeInt | None = option(
        None,
        "Number of processes that load images; null takes one for each core, at most 8.",
        step=None,
        free=True,
    )
    check: bool = option(True, "Read every image and label once before training.", step=None, free=True)

    def __post_init__(self) -> None:
        """Raises: UserError for a range the wrong way round, and for no label at all."""
        if not self.label_share:
            raise UserError("data.label_share 0: leaves no label to train on; give a share above 0")
        if self.unlabelled == REST and self.label_share == 1:
            raise UserError(
                "data.unlabelled rest: data.label_share 1 leaves no training image without its label; give "
                "--data.label-share 0.25, or a folder of photographs"
            )
        if self.scale[0] > self.scale[1]:
            raise UserError(f"data.scale: {list(self.scale)} must be [smallest, largest]")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise UserError(f"data.range: {list(self.range)} must be [value of black, larger value of white]")
