"""Small films made from the demo set, and what OpenCV, which has no part in the writing, finds in one."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from layouts import save
from PIL import Image
from tiny import STAGES, TinyNetwork, demo_set

from rws.data.classes import DEMO
from rws.runs.model_file import Card, save_trained


def demo_frames(root: Path, count: int, size: tuple[int, int] = (64, 48)) -> list[Image.Image]:
    """A window that wanders over an image of the demo set; `size` is (width, height)."""
    folder = demo_set(root / "demo", train=1, val=1)
    whole = Image.open(next(path for path in sorted(folder.rglob("*.jpg")))).convert("RGB")
    whole = whole.resize((size[0] + 40, size[1] + 20))
    places = ((i % 40, i // 2 % 20) for i in range(count))
    return [whole.crop((x, y, x + size[0], y + size[1])) for x, y in places]


def encode(
    path: Path, frames, rate=24, codec: str = "libx264", ticks=None, turned: int = 0, aspect=None
) -> Path:
    """Write a film; `ticks` are the frames' times in milliseconds, without them at a constant rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p" if all(side % 2 == 0 for side in frames[0].size) else "yuv444p"
        stream.codec_context.gop_size, stream.codec_context.bit_rate = 5, 4_000_000
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if turned:
            stream.set_display_rotation(turned)
        if ticks:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_image(picture)
            if ticks:
                frame.pts, frame.time_base = ticks[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def opencv_frames(path: Path) -> list[np.ndarray]:
    """Shape: (H, W, 3) uint8 RGB each."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return frames


def opencv_rate(path: Path) -> float:
    return cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS)


def times_of(path: Path) -> list[float]:
    """Seconds at which the frames of a film are shown, by its packets."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.pts is not None]
        return sorted(float(p.pts * p.time_base) for p in packets)


def tiny_checkpoint(path: Path, seed: int = 0) -> Path:
    """A network, called "tiny", that predicts every class somewhere."""
    torch.manual_seed(seed)
    network = TinyNetwork(DEMO.num_classes)
    torch.nn.init.normal_(network.classifier[1].weight)
    network.train()(torch.randn(4, 3, 64, 64))
    with torch.no_grad():
        network.classifier[1].bias -= network.eval()(torch.randn(4, 3, 64, 64))["out"].mean((0, 2, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_trained(path, network, Card("tiny", aux=True, stages=STAGES, classes=DEMO, base_size=32))
    return path


def davis(root, frames, masks=(), name="dog"):
    """A set of DAVIS with one sequence, a mask for each of its first frames."""
    for number, picture in enumerate(frames):
        save(root / "JPEGImages/480p" / name / f"{number:05d}.jpg", np.asarray(picture))
    for number, mask in enumerate(masks):
        save(root / "Annotations/480p" / name / f"{number:05d}.png", mask)
    return root
