"""Segment photographs with a trained network.

    python predict.py --checkpoint runs/demo/best.pt --input photo.jpg --output out
    python predict.py --checkpoint runs/demo/best.pt --input photos/ --output out --tta ms_flip
    python predict.py --checkpoint runs/demo/best.pt --input photos/ --output out --cam spider

For photos/a/b.jpg there will be out/a/b.png (class indices with the data set's palette, at the photograph's
own size), out/a/b_overlay.jpg and, with --cam, out/a/b_cam.png: where each stage of the network looks for the
pixels that it predicts as that class, and what it misses. Where two names would clash (b.jpg and b.png) the
results keep the whole name: b.jpg.png, b.png.png. The exit code is 0 if all went well, else 2.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from PIL import Image
from torch import nn
from tqdm import tqdm

from rws.core.advantage import missing_weights
from rws.errors import UserError
from rws.inference import TTA, class_maps, find_images, open_image, predict_label, result_stems
from rws.setup import choose_device
from rws.trained import Card, load_trained
from rws.viz import colour_label, overlay, stage_figure

LABEL, OVERLAY, CAM = ".png", "_overlay.jpg", "_cam.png"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"command line: {message}; see python predict.py --help")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="best.pt or last.pt of a run")
    parser.add_argument(
        "--input", type=Path, required=True, help="an image, or a folder (searched recursively)"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the results; made if missing")
    parser.add_argument("--tta", choices=TTA, default="none", help="test-time augmentation")
    parser.add_argument(
        "--cam", metavar="CLASS", help="also draw the heat maps of every stage for this class"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser.parse_args(argv)


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
class Job:
    """What is done with every image."""

    network: nn.Module
    card: Card
    tta: str
    category: str | None

    @property
    def endings(self) -> tuple[str, ...]:
        return (LABEL, OVERLAY, CAM) if self.category else (LABEL, OVERLAY)

    def predict(self, path: Path, stem: Path) -> None:
        """Write the results of one image.

        Raises: UserError naming the image, or the result that could not be written.
        """
        image = open_image(path)
        try:
            label = predict_label(self.network, self.card, image, self.tta)
            pictures = [colour_label(label, self.card.classes), overlay(image, label, self.card.classes)]
            if self.category:
                figure, found = cam_figure(self.network, self.card, image, label, self.category)
                pictures.append(figure)
                if not found:
                    tqdm.write(f"{path}: no pixel is predicted as {self.category}, its heat maps are empty")
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        except torch.OutOfMemoryError:
            raise UserError(f"{path}: does not fit into the GPU's memory; try --device cpu") from None
        write(pictures, [stem.with_name(stem.name + ending) for ending in self.endings])


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


def run(args: argparse.Namespace) -> int:
    images, notes = find_images(args.input, args.output)
    network, card = load_trained(args.checkpoint)
    job = Job(network.to(choose_device(args.device)), card, args.tta, args.cam)
    if job.category is not None:
        card.classes.index(job.category)
    stems = {p: args.output / stem for p, stem in result_stems(images, args.input, job.endings).items()}
    inputs = {path.resolve() for path in images}
    for result in (s.with_name(s.name + e).resolve() for s in stems.values() for e in job.endings):
        if result in inputs:
            raise UserError(f"{result}: the result would overwrite this input; give another --output")
    make_output(args.output)
    print(*notes, sep="\n", end="\n" if notes else "")
    failed = 0
    for path in tqdm(images, unit="image", disable=None):
        try:
            job.predict(path, stems[path])
        except UserError as error:
            failed += 1
            tqdm.write(f"error: {error}", file=sys.stderr)
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
        print("interrupted; the results of the images before this one are in the output", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
