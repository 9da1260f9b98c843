"""Segment photographs and films with a trained network.

    rws predict --checkpoint runs/demo/best.pt --input photo.jpg --output out
    rws predict --checkpoint runs/demo/best.pt --input photos/ --output out --tta ms_flip
    rws predict --checkpoint runs/demo/best.pt --input photos/ --output out --refine
    rws predict --checkpoint runs/demo/best.pt --input photos/ --output out --cam spider
    rws predict --compare runs/a/best.pt runs/b/best.pt --input photos/ --output out --titles plain RWS
    rws predict --checkpoint runs/demo/best.pt --input film.mp4 --output film_seen.mp4
    rws predict --checkpoint runs/demo/best.pt --input data/DAVIS --sequence dog,cows --output out
    rws predict --checkpoint runs/demo/best.pt --input 0 --output camera.mp4
    rws predict --checkpoint runs/demo/best.pt --input large.tif --output out --slide 513 --stride 342
    rws export net.onnx --checkpoint runs/demo/best.pt        another command, for other programs

For photos/a/b.jpg there will be out/a/b.png (the numbers of the data set's own label files, such as the
labelIds of Cityscapes, with its palette, at the photograph's own size), out/a/b_overlay.jpg and, with --cam,
out/a/b_cam.png: where each stage of the network looks for the pixels that it predicts as that class, and what
it misses. Where two names would clash (b.jpg and b.png) the results keep the whole name: b.jpg.png,
b.png.png. With --compare there will be out/a/b_compare.jpg alone: the photograph, and what each network sees.

Films (files, moving pictures, cameras, sequences of DAVIS) become a film with the overlay: the output if that
ends in .mp4 or .gif, else one in it. A folder of images is a film where the output ends so, or with --format.
The exit code is 0 if all went well, else 2.
"""

from functools import partial

from rws.predict.main import run_command_line
from rws.predict.options import make_parser as parser_of

make_parser = partial(parser_of, __doc__, "rws predict")


def main(flags: list[str], prog: str = "rws predict") -> int:
    """Predict as a command line says; the exit code."""
    return run_command_line(flags, __doc__.replace("\n    rws predict", f"\n    {prog}"), prog)
