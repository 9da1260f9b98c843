"""Films as written: read back by OpenCV and Pillow, which have nothing to do with the writer."""

from fractions import Fraction

import av
import numpy as np
import pytest
from films import demo_frames, opencv_frames, opencv_rate, times_of
from PIL import Image

from rws.errors import UserError
from rws.predict.video import sinks
from rws.predict.video.sinks import Gif, Mp4, require_encoder


def written(sink, pictures, times=None, rate=Fraction(24), last=None):
    times = times or [i / rate for i in range(len(pictures))]
    for number, (picture, time) in enumerate(zip(pictures, times)):
        ends = times[number + 1] if number + 1 < len(times) else time + (last or 1 / rate)
        sink.add(picture, time, ends - time)
    sink.close()
    return sink.path


@pytest.mark.parametrize("size", [(64, 48), (65, 48), (64, 47), (65, 47)])
def test_mp4_of_any_size(tmp_path, size):
    """Odd sides get one more row or column, and the picture stays where it is."""
    drawn = demo_frames(tmp_path, 10, size)
    path = written(Mp4(tmp_path / "a.mp4", size, Fraction(24), Fraction(1, 24)), drawn)
    frames = opencv_frames(path)
    assert len(frames) == 10
    assert frames[0].shape == (48, 64 + 2 * (size[0] % 2), 3)
    assert opencv_rate(path) == 24
    for frame, picture in zip(frames, drawn):
        assert np.abs(frame[: size[1], : size[0]].astype(int) - np.asarray(picture)).mean() < 8
    assert [p.name for p in tmp_path.glob("a.*")] == ["a.mp4"]


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(25), Fraction(1, 2), Fraction(120)])
def test_rates_and_lengths_are_exact(tmp_path, rate):
    drawn = demo_frames(tmp_path, 7)
    path = written(Mp4(tmp_path / "a.mp4", (64, 48), rate, 1 / rate), drawn, rate=rate)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.frames) == (rate, 7)
        assert stream.duration * stream.time_base == 7 / rate


def test_browsers_play_it(tmp_path):
    """H.264 at 4:2:0 with 8 bits, its colours named, and the index before the pictures."""
    path = written(Mp4(tmp_path / "a.mp4", (64, 48), Fraction(24), Fraction(1, 24)), demo_frames(tmp_path, 3))
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.profile) == ("h264", "yuv420p", "High")
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)


def test_colours_survive(tmp_path):
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (240, 240, 240), (10, 10, 10)]
    drawn = [Image.new("RGB", (64, 48), colour) for colour in colours]
    path = written(Mp4(tmp_path / "a.mp4", (64, 48), Fraction(24), Fraction(1, 24)), drawn)
    with av.open(str(path)) as container:
        got = [frame.to_ndarray(format="rgb24")[24, 32] for frame in container.decode(video=0)]
    assert np.abs(np.array(got, int) - colours).max() <= 4
    path = written(Gif(tmp_path / "a.gif", (64, 48), Fraction(24), Fraction(1, 24)), drawn)
    with Image.open(path) as image:
        for number, colour in enumerate(colours):
            image.seek(number)
            assert np.abs(np.array(image.convert("RGB").getpixel((32, 24)), int) - colour).max() <= 4


def test_times_of_a_variable_rate(tmp_path):
    times = [Fraction(t, 1000) for t in (0, 40, 80, 400, 500, 1540)]
    sink = Mp4(tmp_path / "a.mp4", (64, 48), Fraction(24), Fraction(1, 1000))
    path = written(sink, demo_frames(tmp_path, 6), times, last=Fraction(1, 2))
    assert times_of(path) == pytest.approx([float(t) for t in times])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(2.04)


def test_gif_keeps_the_rate_and_loops(tmp_path):
    """24 frames a second are no whole hundredths: 4, 4, 4, 5, and no drift."""
    drawn = demo_frames(tmp_path, 48)
    path = written(Gif(tmp_path / "a.gif", (64, 48), Fraction(24), Fraction(1, 24)), drawn)
    durations = []
    with Image.open(path) as image:
        assert (image.n_frames, image.size, image.info["loop"]) == (48, (64, 48), 0)
        for number, picture in enumerate(drawn):
            image.seek(number)
            durations.append(image.info["duration"])
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - np.asarray(picture)).mean() < 8
    assert set(durations) == {40, 50}
    assert sum(durations) == pytest.approx(2000, abs=10)


def test_gif_leaves_out_frames_that_browsers_would_slow_down(tmp_path):
    rate = Fraction(120)
    path = written(Gif(tmp_path / "a.gif", (64, 48), rate, 1 / rate), demo_frames(tmp_path, 60), rate=rate)
    with Image.open(path) as image:
        durations = []
        for number in range(image.n_frames):
            image.seek(number)
            durations.append(image.info["duration"])
    assert min(durations) >= 20
    assert sum(durations) == pytest.approx(500, abs=20)


@pytest.mark.parametrize(("kind", "name"), [(Mp4, "a.mp4"), (Gif, "a.gif")])
def test_a_film_given_up_leaves_nothing_and_the_old_one_stays(tmp_path, kind, name):
    (tmp_path / name).write_text("old")
    sink = kind(tmp_path / name, (64, 48), Fraction(24), Fraction(1, 24))
    for number, picture in enumerate(demo_frames(tmp_path / "in", 3)):
        sink.add(picture, Fraction(number, 24), Fraction(1, 24))
    sink.discard()
    assert (tmp_path / name).read_text() == "old"
    assert [p.name for p in tmp_path.glob("a*")] == [name]


def test_encoder_missing(tmp_path, monkeypatch):
    def none(name, mode):
        raise av.codec.codec.UnknownCodecError(name)

    monkeypatch.setattr(sinks.av.codec, "Codec", none)
    with pytest.raises(UserError, match=r"a\.mp4: this PyAV has no encoder libx264; .*write a \.gif"):
        require_encoder("libx264", tmp_path / "a.mp4")


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/a\.mp4: cannot be written"):
        Mp4(tmp_path / "file/a.mp4", (64, 48), Fraction(24), Fraction(1, 24))


def test_full_disk(tmp_path, monkeypatch):
    """The device that is always full says so when the film is completed."""
    (tmp_path / "a.gif.part").symlink_to("/dev/full")
    sink = Gif(tmp_path / "a.gif", (64, 48), Fraction(24), Fraction(1, 24))
    with pytest.raises(UserError, match=r"a\.gif: cannot be written \(No space left on device\)"):
        written(sink, demo_frames(tmp_path / "in", 60))
