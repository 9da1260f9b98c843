"""What is chosen about reading a data set, and where the files of its splits are."""

from dataclasses import dataclass
from pathlib import Path

from rws.data.levels import Levels


@dataclass(frozen=True)
class Reading:
    """What a user chooses about opening and reading a data set, beside its name, root and split.

    convert_rgb_labels: labels in RGB are converted by the set's palette instead of refused.
    cache: folder for decoded images and labels, outside the data root; None decodes them each time.
    levels: the values that are black and white in images of more than 8 bits; None where no image has more.
    orientation: whether labels were drawn on images as "shown" or as "stored", of those that EXIF turns and
        whose size does not tell.
    val_share, split_seed: of a folder without train.txt and val.txt, the share of the images that is drawn
        for validation, and the seed of the draw.
    """

    convert_rgb_labels: bool = False
    cache: str | Path | None = None
    levels: Levels | None = None
    orientation: str | None = None
    val_share: float = 0.2
    split_seed: int = 0


READING = Reading()


@dataclass(frozen=True)
class Places:
    """Where the files of a split are, below its root: `images`/<id><image_end> with one of SUFFIXES and
    `labels`/<id><label_end><ending> for the first of `label_endings` that is there."""

    images: str
    labels: str
    image_end: str = ""
    label_end: str = ""
    label_endings: tuple[str, ...] = (".png",)


@dataclass(frozen=True)
class Official:
    """How many images (or what `of` says) a split has, and how many its publisher says."""

    found: int
    published: int
    of: str = "images"
