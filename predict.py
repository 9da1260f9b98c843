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

import sys

from rws.predict.main import run_command_line


def main(flags: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    return run_command_line(sys.argv[1:] if flags is None else flags, __doc__)


if __name__ == "__main__":
    sys.exit(main())
