"""The flags of `rws predict`.

Nothing here loads torch: a wrong flag is answered at once.
"""

import argparse
from fractions import Fraction
from pathlib import Path
from typing import get_type_hints

from rws.config import Config
from rws.config.look_again import CHOICES
from rws.errors import Parser, add_trust
from rws.predict.ways import BACKENDS, TORCH, TTA

PROG = "python predict.py"
WAYS = (*TTA, "plain", "rws")
FILM_FORMS = ("mp4", "gif")
ANNOTATION_FORMS = ("coco", "labelme")
LEGENDS = ("strip", "none")
CAM_METHODS = get_type_hints(Config)["cam_method"].__args__
EXPORT_FLAGS = ("--export", "--export-size")
FASTEST = 1000  # frames a second of a film
DEFAULT_NETWORK, DEFAULT_OUTPUT = "deeplabv3_resnet50", Path("seen")


def positive(text: str) -> Fraction:
    """A rate such as 24, 23.976 or 30000/1001."""
    try:
        rate = Fraction(text if "/" in text else str(float(text))).limit_denominator(1001)
    except (ValueError, ZeroDivisionError):
        rate = None
    if rate is None or not 0 < rate <= FASTEST:
        raise argparse.ArgumentTypeError(f"{text} given, needed is a number above 0, at most {FASTEST}")
    return rate


def make_parser(description: str | None = None, prog: str = PROG) -> Parser:
    """What reads the flags of a prediction."""
    parser = Parser(prog, description, further=EXPORT_FLAGS)
    _add_places(parser)
    _add_ways(parser)
    _add_pictures(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add_backend(parser)
    add_trust(parser)
    _add_films(parser.add_argument_group("films"))
    _add_side_by_side(parser.add_argument_group("side by side"))
    return parser


def _add_places(parser: Parser) -> None:
    parser.add_argument(
        "source",
        nargs="*",
        type=Path,
        metavar="SOURCE",
        help="images, folders of them (searched recursively), films, or the number of a camera",
    )
    parser.add_argument("--input", type=Path, metavar="SOURCE", help="the same, for one")
    parser.add_argument(
        "--output",
        type=Path,
        default=DEFAULT_OUTPUT,
        help=f"folder for the results, made if missing, or .mp4, or .gif; {DEFAULT_OUTPUT} unless told",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help=f"a checkpoint of a run, a published network of torchvision ({DEFAULT_NETWORK} unless told), or "
        "module:factory",
    )
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="the same, a file alone")


def _add_ways(parser: Parser) -> None:
    parser.add_argument(
        "--ways",
        "--tta",
        dest="way",
        choices=WAYS,
        default="none",
        help="to look: once, several times and averaged, or again where the network is unsure (rws)",
    )
    parser.add_argument("--passes", type=float, metavar="K", help="of --ways rws: on the average an image; 3")
    parser.add_argument("--passes-most", type=int, metavar="K", help="for one image at most; twice --passes")
    parser.add_argument(
        "--choose", choices=CHOICES, help="windows of --ways rws, to compare; by uncertainty unless told"
    )
    parser.add_argument("--refine", action="store_true", help=argparse.SUPPRESS)  # once a way
    parser.add_argument(
        "--slide",
        type=int,
        metavar="PIXELS",
        help="windows of this side over the image at its own resolution",
    )
    parser.add_argument("--stride", type=int, metavar="PIXELS", help="between windows; two thirds of --slide")


def _add_pictures(parser: Parser) -> None:
    parser.add_argument(
        "--cam", metavar="CLASS", help="also draw the heat maps of every stage for this class"
    )
    parser.add_argument("--cam-method", choices=CAM_METHODS, default="gradcam", help="of the maps of --cam")
    parser.add_argument(
        "--cam-whole", action="store_true", help="maps over the whole photograph, not at the class alone"
    )
    parser.add_argument(
        "--legend",
        choices=LEGENDS,
        help="of the overlay; none: no names either; unless told a strip from two classes on",
    )


def add_backend(parser: Parser) -> None:
    """Add `--backend`."""
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default=TORCH,
        help=f"the program that runs the networks; {TORCH} unless told, the others are faster on a CPU",
    )


def _add_films(films: argparse._ArgumentGroup) -> None:
    films.add_argument(
        "--sequence", metavar="NAME", help="sequences of DAVIS, whose root is the input; with commas"
    )
    films.add_argument(
        "--format",
        choices=(*FILM_FORMS, *ANNOTATION_FORMS),
        help="of a film; mp4, unless the output's ending says it; of photographs: annotations as well",
    )
    films.add_argument("--fps", type=positive, help="frames per second of images as a film; 24")
    films.add_argument("--foreground", metavar="CLASS", help="measure this class alone against the masks")
    films.add_argument("--truth", action="store_true", help="the masks of DAVIS beside the prediction")


def _add_side_by_side(several: argparse._ArgumentGroup) -> None:
    several.add_argument(
        "--compare",
        nargs="+",
        metavar="NAME",
        help="two or more networks instead of one, each as for --model",
    )
    several.add_argument(
        "--titles", nargs="+", metavar="TITLE", help="of the networks; gives one alone a title, too"
    )
    several.add_argument(
        "--width", type=int, metavar="PIXELS", help="of a film, and of pictures side by side"
    )
