"""Films written frame by frame: MP4 that browsers play, and GIF.

A film is written beside its place as NAME.part and takes it when it is complete.
"""

import os
from abc import ABC, abstractmethod
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image

from rws.errors import UserError

CENTISECOND = Fraction(1, 100)
_BT709 = 1  # its number among FFmpeg's primaries, transfers and colour spaces
_LIMITED = 1  # range of levels: 16..235


class Sink(ABC):
    """A film that is being written; `close` or `discard` ends it.

    written: frames so far.
    """

    form: str
    codec: str
    pix_fmt: str
    file_options: ClassVar[dict[str, str]] = {}
    codec_options: ClassVar[dict[str, str]] = {}

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, tick: Fraction) -> None:
        """`size` is (width, height) in pixels; `tick` as in `Source`.

        Raises: UserError where the film cannot be written.
        """
        self.path, self.tick, self.written, self.is_open = path, tick, 0, True
        self._part = path.with_name(path.name + ".part")
        self._last, self._lasting = -1, {}
        require_encoder(self.codec, path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(self._part), "w", format=self.form, options=self.file_options)
            self._stream = self._container.add_stream(self.codec, rate=rate, options=self.codec_options)
        except (FFmpegError, OSError) as error:
            raise self._failed(error) from None
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = self.pix_fmt
        self._stream.codec_context.time_base = tick

    @abstractmethod
    def encoded(self, picture: Image.Image) -> av.VideoFrame:
        """The picture in the film's own pixels."""

    def add(self, picture: Image.Image, time: Fraction, duration: Fraction) -> None:
        """The next frame, in RGB, shown at `time` for `duration` seconds.

        Raises: UserError where it cannot be written.
        """
        ticks = round(time / self.tick)
        if ticks <= self._last:
            return
        frame = self.encoded(picture)
        frame.pts, frame.time_base, self._last = ticks, self.tick, ticks
        self._lasting[ticks] = max(1, round(duration / self.tick))
        self.written += 1
        self._write(frame)

    def close(self) -> None:
        """Complete the film and put it in its place.

        Raises: UserError where it cannot be written.
        """
        self._write(None)
        try:
            self._container.close()
            self.is_open = False
            os.replace(self._part, self.path)
        except (FFmpegError, OSError) as error:
            raise self._failed(error) from None

    def discard(self) -> None:
        """Give up, and leave nothing."""
        with suppress(FFmpegError, OSError):
            self._container.close()
        self._part.unlink(missing_ok=True)

    def _write(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                # Encoders leave out how long the last frame is shown.
                packet.duration = self._lasting.pop(packet.pts, 1)
                self._container.mux(packet)
        except (FFmpegError, OSError) as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> UserError:
        return UserError(f"{self.path}: cannot be written ({getattr(error, 'strerror', None) or error})")


class Mp4(Sink):
    """H.264 at 4:2:0, which all browsers play; its sides are even, the last row or column repeated for it."""

    form, codec, pix_fmt = "mp4", "libx264", "yuv420p"
    file_options: ClassVar = {"movflags": "+faststart"}
    # With B-frames FFmpeg writes too short a length where the frames' times are not regular.
    codec_options: ClassVar = {"crf": "20", "preset": "veryfast", "bf": "0"}

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, tick: Fraction) -> None:
        self._odd = size[0] % 2, size[1] % 2
        super().__init__(path, (size[0] + self._odd[0], size[1] + self._odd[1]), rate, tick)
        context = self._stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED

    def encoded(self, picture: Image.Image) -> av.VideoFrame:
        pixels = np.pad(np.asarray(picture), ((0, self._odd[1]), (0, self._odd[0]), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        return frame.reformat(format=self.pix_fmt, dst_colorspace="ITU709", dst_color_range="MPEG")


class Gif(Sink):
    """A GIF that loops, with 256 colours of each frame's own.

    Its times are hundredths of a second, rounded so that they do not drift apart from the source's. Browsers
    slow down frames shorter than two of them: those are left out.
    """

    form, codec, pix_fmt = "gif", "gif", "pal8"
    file_options: ClassVar = {"loop": "0"}

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, tick: Fraction) -> None:
        super().__init__(path, size, rate, CENTISECOND)
        self._shown = -2

    def add(self, picture: Image.Image, time: Fraction, duration: Fraction) -> None:
        ticks = round(time / CENTISECOND)
        if ticks < self._shown + 2:
            return
        self._shown = ticks
        super().add(picture, time, max(duration, 2 * CENTISECOND))

    def encoded(self, picture: Image.Image) -> av.VideoFrame:
        # Median cut is 70 times as slow and its files half as large again, for hardly better colours.
        indexed = picture.quantize(256, method=Image.Quantize.FASTOCTREE)
        colours = np.array(indexed.getpalette("RGB"), np.uint8).reshape(-1, 3)
        palette = np.full((256, 4), 255, np.uint8)  # alpha, red, green, blue
        palette[: len(colours), 1:] = colours
        return av.VideoFrame.from_ndarray((np.asarray(indexed), palette), format=self.pix_fmt)


SINKS: dict[str, type[Sink]] = {"mp4": Mp4, "gif": Gif}


def require_encoder(codec: str, path: Path) -> None:
    """Raises: UserError where PyAV was built without the encoder."""
    try:
        av.codec.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        other = ".gif" if codec != "gif" else ".mp4"
        raise UserError(
            f"{path}: this PyAV has no encoder {codec}; pip install --force-reinstall av, or write a {other}"
        ) from None
