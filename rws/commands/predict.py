"""Segment photographs and films with a trained network.

    rws predict photo.jpg                                   20 classes of VOC by torchvision's DeepLabv3
    rws predict photo.jpg --model runs/demo/best.pt
    rws predict photos/ more.jpg --output out --ways rws    looks again where it is unsure
    rws predict photos/ --cam cat                           where each stage looks for a cat
    rws predict photos/ --compare runs/a/best.pt runs/b/best.pt --titles plain RWS
    rws predict film.mp4 --output film_seen.mp4 --model mine:factory
    rws predict data/DAVIS --sequence dog,cows
    rws predict 0 --output camera.mp4
    rws predict large.tif --slide 513 --stride 342
    rws export net.onnx --checkpoint runs/demo/best.pt      another command, for other programs

--model takes the checkpoint of a run, a published network of torchvision (deeplabv3_resnet50 unless told; its
weights from weights/, from the cache of torch.hub, or downloaded once), or module:factory of your own.

For photos/a/b.jpg there will be seen/a/b.png (the numbers of the data set's own label files, such as the
labelIds of Cityscapes, with its palette, at the photograph's own size), seen/a/b_overlay.jpg and, with --cam,
seen/a/b_cam.png: where each stage of the network looks for the pixels that it predicts as that class, and
what it misses. Where two names would clash (b.jpg and b.png) the results keep the whole name: b.jpg.png,
b.png.png. With --compare there will be seen/a/b_compare.jpg alone: the photograph, and what each network
sees. --output names another folder.

Films (files, moving pictures, cameras, sequences of DAVIS) become a film with the overlay: the output if that
ends in .mp4 or .gif, else one in it. A folder of images is a film where the output ends so, or with --format.
The exit code is 0 if all went well, else 2.
"""

from functools import partial

from rws.predict.flags import make_parser as parser_of
from rws.predict.main import run_command_line
from rws.runtime.allocator import keep_freed_memory

make_parser = partial(parser_of, __doc__, "rws predict")


def main(flags: list[str], prog: str = "rws predict") -> int:
    """Predict as a command line says; the exit code."""
    keep_freed_memory()
    return run_command_line(flags, __doc__.replace("\n    rws predict", f"\n    {prog}"), prog)
