"""Segment photographs and films with a trained network.

    python predict.py --checkpoint runs/demo/best.pt --input photo.jpg --output out
    python predict.py --checkpoint runs/demo/best.pt --input photos/ --output out --tta ms_flip
    python predict.py --checkpoint runs/demo/best.pt --input photos/ --output out --refine
    python predict.py --checkpoint runs/demo/best.pt --input photos/ --output out --cam spider
    python predict.py --compare runs/a/best.pt runs/b/best.pt --input photos/ --output out --titles plain RWS
    python predict.py --checkpoint runs/demo/best.pt --input film.mp4 --output film_seen.mp4
    python predict.py --checkpoint runs/demo/best.pt --input data/DAVIS --sequence dog,cows --output out
    python predict.py --checkpoint runs/demo/best.pt --input 0 --output camera.mp4
    python predict.py --checkpoint runs/demo/best.pt --input large.tif --output out --slide 513 --stride 342
    python predict.py --export onnx net.onnx --checkpoint runs/demo/best.pt    # see --export --help

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
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from rws.errors import UserError, exit_code
from rws.look.cam_methods import TITLES
from rws.predict.export.command import export, is_export
from rws.predict.images import find_images, result_stems
from rws.predict.photographs import CAM, LABEL, OVERLAY, Photographs, write
from rws.predict.predictor import Manner, load_viewers, manner_of
from rws.predict.side_by_side import COMPARED, SideBySide
from rws.predict.sliding import add_options as add_sliding
from rws.predict.sliding import any_size
from rws.predict.tta import TTA
from rws.predict.video.command import add_options, checkpoints_of, find_films, make_films
from rws.runtime.device import choose_device
from rws.runtime.prefetch import ahead, finishing, one_thread


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
    parser.add_argument("--cam-method", choices=TITLES, default="gradcam", help="of the maps of --cam")
    add_sliding(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add_options(parser)
    args = parser.parse_args(argv)
    if (args.checkpoint is None) == (args.compare is None):
        parser.error("give --checkpoint, or --compare with two checkpoints or more")
    return args


def predict_all(job: Photographs | SideBySide, images: list[Path]) -> int:
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


def job_of(
    args: argparse.Namespace, images: list[Path], manner: Manner
) -> tuple[Photographs | SideBySide, tuple[str, ...]]:
    """What is done with the photographs, and the endings of its results."""

    def stems(endings: tuple[str, ...]) -> dict[Path, Path]:
        return {p: args.output / stem for p, stem in result_stems(images, args.input, endings).items()}

    if args.compare is not None and args.cam is not None:
        raise UserError("--cam: heat maps are drawn of one network; take --checkpoint instead of --compare")
    for value, flag in ((args.titles, "--titles"), (args.width, "--width")):
        if args.compare is None and value is not None:
            raise UserError(f"{flag}: is for films and pictures side by side; give --compare with it")
    viewers = load_viewers(checkpoints_of(args), args.titles, choose_device(args.device), manner)
    if args.compare is not None:
        return SideBySide(viewers, args.width, stems((COMPARED,)), write), (COMPARED,)
    if args.cam is not None:
        viewers[0].card.classes.index(args.cam)
    endings = (LABEL, OVERLAY, CAM) if args.cam else (LABEL, OVERLAY)
    return Photographs(viewers[0], stems(endings), args.cam, args.cam_method), endings


def run(args: argparse.Namespace) -> int:
    manner = manner_of(args)
    if args.cam is None and args.cam_method != "gradcam":
        raise UserError(f"command line: --cam-method {args.cam_method} is of heat maps; give --cam CLASS")
    if films := find_films(args):
        return make_films(films, args, manner)
    images, notes = find_images(args.input, args.output)
    job, endings = job_of(args, images, manner)
    stems = job.stems.values()
    refuse_overwriting(images, [s.with_name(s.name + ending) for s in stems for ending in endings])
    make_output(args.output)
    print(*notes, sep="\n", end="\n" if notes else "")
    with any_size(manner.windows is not None):
        failed = predict_all(job, images)
    print(f"{len(images) - failed} of {len(images)} images predicted, in {args.output}")
    return 2 if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    return exit_code(
        lambda: export(argv) if is_export(argv) else run(parse(argv)),
        results="results are written into --output",
        interrupted="interrupted; what was finished before is in the output",
    )


if __name__ == "__main__":
    sys.exit(main())
