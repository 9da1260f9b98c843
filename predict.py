"""Segment photographs and films with a trained network.

    python predict.py --checkpoint runs/demo/best.pt --input photo.jpg --output out
    python predict.py --checkpoint runs/demo/best.pt --input photos/ --output out --tta ms_flip
    python predict.py --checkpoint runs/demo/best.pt --input photos/ --output out --refine
    python predict.py --checkpoint runs/demo/best.pt --input photos/ --output out --cam spider
    python predict.py --compare runs/a/best.pt runs/b/best.pt --input photos/ --output out --titles plain RWS
    python predict.py --checkpoint runs/demo/best.pt --input film.mp4 --output film_seen.mp4
    python predict.py --checkpoint runs/demo/best.pt --input data/DAVIS --sequence dog,cows --output out
    python predict.py --checkpoint runs/demo/best.pt --input 0 --output camera.mp4

For photos/a/b.jpg there will be out/a/b.png (the numbers of the data set's own label files, such as the
labelIds of Cityscapes, with its palette, at the photograph's own size), out/a/b_overlay.jpg and, with --cam,
out/a/b_cam.png: where each stage of the network looks for the pixels that it predicts as that class, and what
it misses. Where two names would clash (b.jpg and b.png) the results keep the whole name: b.jpg.png,
b.png.png. With --compare there will be out/a/b_compare.jpg alone: the photograph, and what each network sees.

Films (files, moving pictures, cameras, sequences of DAVIS) become a film with the overlay: the output if that
ends in .mp4 or .gif, else one in it. A folder of images is a film where the output ends so, or with --format.
The exit code is 0 if all went well, else 2.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from rws.ahead import ahead, finishing, one_thread
from rws.core.advantage import missing_weights
from rws.errors import UserError
from rws.inference import (
    TTA,
    class_maps,
    find_images,
    for_prediction,
    label_of_input,
    network_input,
    open_image,
    result_stems,
)
from rws.refine import refined_label
from rws.setup import choose_device
from rws.side_by_side import COMPARED, SideBySide
from rws.trained import Card, load_trained
from rws.video.command import add_options, checkpoints_of, find_films, make_films
from rws.viewer import load_viewers
from rws.viz import file_label, overlay, stage_figure

LABEL, OVERLAY, CAM = ".png", "_overlay.jpg", "_cam.png"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"command line: {message}; see python predict.py --help")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="best.pt or last.pt of a run")
    parser.add_argument(
        "--input",
        type=Path,
        required=True,
        help="an image, a folder of them (searched recursively), a film, or the number of a camera",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for the results, made if missing, or .mp4, or .gif"
    )
    parser.add_argument("--tta", choices=TTA, default="none", help="test-time augmentation")
    parser.add_argument(
        "--refine", action="store_true", help="look again at weak slices, and blend in what they show better"
    )
    parser.add_argument(
        "--cam", metavar="CLASS", help="also draw the heat maps of every stage for this class"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add_options(parser)
    args = parser.parse_args(argv)
    if (args.checkpoint is None) == (args.compare is None):
        parser.error("give --checkpoint, or --compare with two checkpoints or more")
    return args


def cam_figure(
    network: nn.Module, card: Card, image: Image.Image, label: np.ndarray, category: str
) -> tuple[Image.Image, bool]:
    """The heat maps for the pixels predicted as `category`, and whether there were any."""
    index, other = card.classes.index(category), card.classes.background
    maps, own = class_maps(network, card, image, label, index)
    small = image.resize(own.shape[::-1], Image.Resampling.BICUBIC)
    shown = np.where(own, index, card.classes.ignore_index if other is None else other)
    title = (
        f"pixels predicted as {category}" if own.any() else f"no pixel predicted as {category}: maps are 0"
    )
    planes = maps.numpy(), missing_weights(maps).numpy()
    return stage_figure(small, shown, card.classes, *planes, card.stages, title), bool(own.any())


@dataclass(frozen=True)
class Photograph:
    """An image as it was read, and what the network sees of it; shape: (H, W) and (1, 3, h, w)."""

    path: Path
    image: Image.Image
    images: Tensor


@dataclass(frozen=True)
class Job:
    """What is done with every image.

    stems: where the results of each image go, without their endings.
    """

    network: nn.Module
    card: Card
    tta: str
    refine: bool
    category: str | None
    stems: dict[Path, Path]

    def read(self, path: Path) -> Photograph:
        """Raises: UserError naming an image that cannot be read or used."""
        image = open_image(path)
        try:
            return Photograph(path, image, network_input(self.card, image))
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def predict(self, photograph: Photograph) -> Callable[[], None]:
        """Run the network; what is left to do, which is drawing and writing the results.

        Raises: UserError naming the image.
        """
        path, image = photograph.path, photograph.image
        try:
            label = self.label(photograph)
            figures = {}
            if self.category:
                figures[CAM], found = cam_figure(self.network, self.card, image, label, self.category)
                if not found:
                    tqdm.write(f"{path}: no pixel is predicted as {self.category}, its heat maps are empty")
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        except torch.OutOfMemoryError:
            raise UserError(f"{path}: does not fit into the GPU's memory; try --device cpu") from None
        return partial(self.finish, photograph, label, figures)

    def label(self, photograph: Photograph) -> np.ndarray:
        """Shape: (H, W)."""
        image = photograph.image
        if self.refine:
            return refined_label(self.network, self.card, image)
        return label_of_input(self.network, photograph.images, (image.height, image.width), self.tta)

    def finish(self, photograph: Photograph, label: np.ndarray, figures: dict[str, Image.Image]) -> None:
        """Draw the label and the overlay, and write everything.

        Raises: UserError naming the result that could not be written.
        """
        classes, stem = self.card.classes, self.stems[photograph.path]
        pictures = {LABEL: file_label(label, classes), OVERLAY: overlay(photograph.image, label, classes)}
        pictures |= figures
        write(list(pictures.values()), [stem.with_name(stem.name + ending) for ending in pictures])


def predict_all(job: Job | SideBySide, images: list[Path]) -> int:
    """Predict and write, the next images read and the last ones written beside it; the number that failed."""
    failed = 0
    # An interruption lets the writer end.
    with one_thread() as reader, one_thread() as writer:
        predicted = finishing(job.predict, ahead(reader, job.read, images))
        written = ahead(writer, lambda finish: finish(), predicted)
        for result in tqdm(written, total=len(images), unit="image", disable=None):
            try:
                result.result()
            except UserError as error:
                failed += 1
                tqdm.write(f"error: {error}", file=sys.stderr)
    return failed


def write(pictures: list[Image.Image], paths: list[Path]) -> None:
    for picture, path in zip(pictures, paths):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, **({"quality": 92} if path.suffix == ".jpg" else {}))
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None


def make_output(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "is a file" if folder.is_file() else f"cannot be made ({error.strerror})"
        raise UserError(f"{folder}: the output {reason}; give a folder with --output") from None


def refuse_overwriting(images: list[Path], results: list[Path]) -> None:
    """Raises: UserError where a result would take the place of an input."""
    inputs = {path.resolve() for path in images}
    for result in results:
        if result.resolve() in inputs:
            raise UserError(
                f"{result.resolve()}: the result would overwrite this input; give another --output"
            )


def job_of(args: argparse.Namespace, images: list[Path]) -> tuple[Job | SideBySide, tuple[str, ...]]:
    """What is done with the photographs, and the endings of its results."""

    def stems(endings: tuple[str, ...]) -> dict[Path, Path]:
        return {p: args.output / stem for p, stem in result_stems(images, args.input, endings).items()}

    if args.compare is not None:
        if args.cam is not None:
            raise UserError(
                "--cam: heat maps are drawn of one network; take --checkpoint instead of --compare"
            )
        device = choose_device(args.device)
        viewers = load_viewers(checkpoints_of(args), args.titles, device, args.tta, args.refine)
        return SideBySide(viewers, args.width, stems((COMPARED,)), write), (COMPARED,)
    for value, flag in ((args.titles, "--titles"), (args.width, "--width")):
        if value is not None:
            raise UserError(f"{flag}: is for films and pictures side by side; give --compare with it")
    network, card = load_trained(args.checkpoint)
    if args.cam is not None:
        card.classes.index(args.cam)
    endings = (LABEL, OVERLAY, CAM) if args.cam else (LABEL, OVERLAY)
    network = for_prediction(network, choose_device(args.device))
    return Job(network, card, args.tta, args.refine, args.cam, stems(endings)), endings


def run(args: argparse.Namespace) -> int:
    if args.refine and args.tta != "none":
        raise UserError(f"command line: --refine and --tta {args.tta} are two ways to average; choose one")
    if films := find_films(args):
        return make_films(films, args)
    images, notes = find_images(args.input, args.output)
    job, endings = job_of(args, images)
    stems = job.stems.values()
    refuse_overwriting(images, [s.with_name(s.name + ending) for s in stems for ending in endings])
    make_output(args.output)
    print(*notes, sep="\n", end="\n" if notes else "")
    failed = predict_all(job, images)
    print(f"{len(images) - failed} of {len(images)} images predicted, in {args.output}")
    return 2 if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    try:
        return run(parse(argv))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was finished before is in the output", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
