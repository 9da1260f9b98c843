"""Films in files, decoded by FFmpeg's libraries through PyAV: MP4, MOV, MKV, WebM, AVI and others."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.error import FFmpegError
from av.stream import Disposition
from PIL import Image

from rws.errors import UserError
from rws.predict.video.frames import Frame, Source

USUAL_RATE = Fraction(25)
_T = Image.Transpose
# The signs of a display matrix (a, b, c, d), x' = ax + cy, y' = bx + dy, and what it does to a picture.
_TURNED = {
    (0, 1, -1, 0): _T.ROTATE_270,
    (-1, 0, 0, -1): _T.ROTATE_180,
    (0, -1, 1, 0): _T.ROTATE_90,
    (-1, 0, 0, 1): _T.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): _T.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): _T.TRANSPOSE,
    (0, -1, -1, 0): _T.TRANSVERSE,
}


class FilmFile(Source):
    """The first track of pictures of a file, turned and stretched as its player shows it; without sound.

    Raises: UserError for a file that is missing, empty or no film, and for a codec that is not there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.paths, self.name = path, (path,), path.stem
        with _opened(path) as container:
            stream = _pictures(container, path)
            self.rate = stream.average_rate or stream.guessed_rate or USUAL_RATE
            self.tick = stream.time_base or 1 / self.rate
            seconds = Fraction(container.duration or 0, av.time_base)
            self.count = stream.frames or round(seconds * self.rate) or None

    def frames(self) -> Iterator[Frame]:
        start, last, number = None, -self.tick, 0
        with _opened(self.path) as container:
            stream = _pictures(container, self.path)
            stream.thread_type = "AUTO"
            for number, decoded in enumerate(self._decoded(container, stream), 1):  # noqa: B007
                time = last + 1 / self.rate if decoded.pts is None else decoded.pts * decoded.time_base
                start = time if start is None else start
                # A player, too, shows a frame whose time does not lie after the last one's right after that.
                last = max(time - start, last + self.tick)
                duration = decoded.duration * decoded.time_base if decoded.duration else 1 / self.rate
                yield Frame(_displayed(decoded, stream), last, duration)
        if not number:
            raise UserError(f"{self.path}: holds no frame that can be decoded; replace the file")

    def _decoded(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator:
        packets = lost = damaged = 0
        try:
            for packet in container.demux(stream):
                packets += packet.size > 0
                try:
                    frames = packet.decode()
                except FFmpegError:
                    lost += 1
                    continue
                damaged += sum(frame.is_corrupt for frame in frames)
                yield from frames
        except FFmpegError as error:
            self.problems.append(f"{self.path}: cannot be read to its end ({error.strerror})")
        if packets < stream.frames:
            there = f"{packets} of its {stream.frames} frames are there"
            self.problems.append(f"{self.path}: is cut short, {there}")
        if lost:
            self.problems.append(f"{self.path}: {lost} frames cannot be decoded and are left out")
        if damaged:
            self.problems.append(f"{self.path}: {damaged} frames are damaged and shown as they come")


def _opened(path: Path) -> av.container.InputContainer:
    try:
        return av.open(str(path), metadata_errors="replace")
    except (FFmpegError, OSError) as error:
        empty = path.is_file() and not path.stat().st_size
        what = "is empty" if empty else f"cannot be read ({error.strerror})"
        raise UserError(f"{path}: the film {what}; replace the file") from None


def _pictures(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The track to show; the picture on a song's cover is none."""
    tracks = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not tracks:
        raise UserError(f"{path}: holds no track of pictures; give a film")
    if tracks[0].codec_context is None:
        raise UserError(f"{path}: PyAV has no decoder for its pictures; convert the film to H.264")
    return tracks[0]


def _displayed(frame: av.VideoFrame, stream: av.VideoStream) -> Image.Image:
    """The picture with square pixels, turned by its display matrix as the camera was held."""
    image = frame.to_image()
    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1:
        image = image.resize((max(1, round(image.width * aspect)), image.height), Image.Resampling.BICUBIC)
    matrix = next((data for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return image
    numbers = memoryview(bytes(matrix)).cast("i")
    turn = _TURNED.get(tuple(int(math.copysign(n != 0, n)) for n in (numbers[i] for i in (0, 1, 3, 4))))
    return image if turn is None else image.transpose(turn)
