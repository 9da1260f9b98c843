"""Where frames come from: films, moving pictures, folders, sequences of DAVIS, cameras; damaged ones, too."""

from fractions import Fraction
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from films import davis, demo_frames, encode, opencv_frames
from layouts import save
from PIL import Image

from rws.errors import UserError
from rws.predict.video import camera
from rws.predict.video.camera import Camera
from rws.predict.video.files import FilmFile
from rws.predict.video.pictures import Animation, is_animated, open_folder, open_sequences
from rws.predict.video.sinks import Mp4


def close(one, other, most=6.0) -> bool:
    """Whether two pictures are equal but for what a codec loses."""
    one, other = np.asarray(one, float), np.asarray(other, float)
    return one.shape == other.shape and np.abs(one - other).mean() < most


@pytest.mark.parametrize(
    ("ending", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("avi", "mpeg4"), ("mov", "mpeg4")]
)
def test_film_in_a_container(tmp_path, ending, codec):
    drawn = demo_frames(tmp_path, 12)
    source = FilmFile(encode(tmp_path / f"a.{ending}", drawn, codec=codec))
    assert source.count == 12
    frames = list(source.frames())
    assert len(frames) == 12
    assert source.problems == []
    assert all(close(frame.image, picture, 12) for frame, picture in zip(frames, drawn))
    # Matroska has milliseconds alone.
    assert [float(f.time) for f in frames] == pytest.approx([i / 24 for i in range(12)], abs=6e-4)
    assert float(source.rate) == pytest.approx(24, rel=1e-2)


def test_times_of_a_variable_rate(tmp_path):
    ticks = [0, 40, 80, 400, 500, 540]
    source = FilmFile(encode(tmp_path / "a.mp4", demo_frames(tmp_path, 6), ticks=ticks))
    frames = list(source.frames())
    assert [float(1000 * f.time) for f in frames] == ticks
    assert [f.time % source.tick for f in frames] == [0] * 6


@pytest.mark.parametrize("turned", [90, 180, -90])
def test_a_film_is_turned_as_the_phone_was_held(tmp_path, turned):
    """OpenCV turns films, too."""
    path = encode(tmp_path / "a.mp4", demo_frames(tmp_path, 3, (64, 32)), turned=turned)
    frames = [frame.image for frame in FilmFile(path).frames()]
    assert frames[0].size == ((64, 32) if turned == 180 else (32, 64))
    assert all(close(got, want) for got, want in zip(frames, opencv_frames(path), strict=True))


def test_every_display_matrix(tmp_path):
    """The matrix is written into the file by hand: x' = ax + cy, y' = bx + dy."""
    data = encode(tmp_path / "a.mp4", demo_frames(tmp_path, 2, (64, 32))).read_bytes()
    upright = next(FilmFile(tmp_path / "a.mp4").frames()).image
    at = data.index(b"tkhd") + 4 + 40
    for a, b, c, d in [
        (1, 0, 0, -1),
        (-1, 0, 0, 1),
        (0, 1, 1, 0),
        (0, -1, -1, 0),
        (0, 1, -1, 0),
        (1, 0, 0, 1),
    ]:
        matrix = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
        (tmp_path / "b.mp4").write_bytes(data[:at] + matrix + data[at + 36 :])
        y, x = np.mgrid[:32, :64]
        moved_y, moved_x = b * x + d * y, a * x + c * y
        want = np.zeros((np.ptp(moved_y) + 1, np.ptp(moved_x) + 1, 3), np.uint8)
        want[moved_y - moved_y.min(), moved_x - moved_x.min()] = np.asarray(upright)
        assert np.array_equal(next(FilmFile(tmp_path / "b.mp4").frames()).image, want), (a, b, c, d)


def test_pixels_that_are_not_square(tmp_path):
    path = encode(tmp_path / "a.mp4", demo_frames(tmp_path, 3), aspect=Fraction(3, 2))
    assert next(FilmFile(path).frames()).image.size == (96, 48)


def test_a_film_that_is_cut_short(tmp_path):
    """With its index first, the frames up to the cut can be shown."""
    drawn = demo_frames(tmp_path, 60, (128, 96))
    sink = Mp4(tmp_path / "a.mp4", drawn[0].size, Fraction(24), Fraction(1, 24))
    for number, picture in enumerate(drawn):
        sink.add(picture, Fraction(number, 24), Fraction(1, 24))
    sink.close()
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) // 2])
    source = FilmFile(tmp_path / "a.mp4")
    assert 5 < len(list(source.frames())) < 55
    assert any("is cut short" in problem and "of its 60 frames" in problem for problem in source.problems)


def test_frames_that_cannot_be_decoded_are_left_out_and_counted(tmp_path):
    path = encode(tmp_path / "a.avi", demo_frames(tmp_path, 20), codec="mpeg4")
    data = bytearray(path.read_bytes())
    chunks = [i for i in range(len(data)) if data[i : i + 4] == b"00dc"]
    for at in chunks[7:9]:  # the index at the end names them again
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        data[at + 8 : at + 8 + size] = bytes(size)
    path.write_bytes(data)
    source = FilmFile(path)
    frames = list(source.frames())
    assert len(frames) == 18
    (problem,) = source.problems
    assert "2 frames cannot be decoded and are left out" in problem
    gaps = np.diff([float(f.time) for f in frames])
    assert gaps.max() == pytest.approx(3 / 24), "the frame before is shown until the next"


def unreadable(path, content):
    path.write_bytes(content)
    return path


def test_what_is_no_film_is_one_clear_line(tmp_path):
    film = encode(tmp_path / "a.mp4", demo_frames(tmp_path, 4)).read_bytes()
    for content, message in [
        (b"", "the film is empty; replace the file"),
        (b"no film at all", "the film cannot be read"),
        (film[: len(film) // 2], "the film cannot be read"),  # its index was at the end
        (film.replace(b"avc1", b"zzz1"), "no decoder for its pictures; convert the film to H.264"),
    ]:
        with pytest.raises(UserError, match=r"b\.mp4: .*" + message):
            list(FilmFile(unreadable(tmp_path / "b.mp4", content)).frames())


def test_a_film_without_pictures(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match="holds no track of pictures"):
        FilmFile(tmp_path / "a.mp4")


def test_moving_picture(tmp_path):
    drawn = demo_frames(tmp_path, 4)
    drawn[0].save(tmp_path / "a.gif", save_all=True, append_images=drawn[1:], duration=[40, 0, 200, 50])
    source = Animation(tmp_path / "a.gif")
    frames = list(source.frames())
    assert [int(1000 * f.time) for f in frames] == [0, 40, 140, 340], "0 is shown for 100 ms by browsers"
    assert [int(1000 * f.duration) for f in frames] == [40, 100, 200, 50]
    assert all(close(frame.image, picture) for frame, picture in zip(frames, drawn))
    assert is_animated(tmp_path / "a.gif")
    drawn[0].save(tmp_path / "still.gif")
    assert not is_animated(tmp_path / "still.gif")


def test_moving_picture_that_is_cut_short(tmp_path):
    drawn = demo_frames(tmp_path, 8)
    drawn[0].save(tmp_path / "a.gif", save_all=True, append_images=drawn[1:], duration=40)
    data = (tmp_path / "a.gif").read_bytes()
    source = Animation(unreadable(tmp_path / "b.gif", data[: len(data) // 2]))
    frames = list(source.frames())
    assert 0 < len(frames) < 8
    assert source.problems or source.count == len(frames)


def test_sequence_of_davis(tmp_path):
    """Binary masks as in DAVIS 2016, the last one missing; by name and by folder."""
    mask = np.zeros((48, 64), np.uint8)
    mask[5:9, 3:20] = 255
    root = davis(tmp_path / "DAVIS", demo_frames(tmp_path, 3), [mask, 0 * mask])
    for source in (*open_sequences(root, "dog", None), open_folder(root / "JPEGImages/480p/dog", None)):
        assert (source.name, source.rate, source.count) == ("dog", 24, 3)
        frames = list(source.frames())
        assert [f.time for f in frames] == [0, Fraction(1, 24), Fraction(2, 24)]
        assert np.array_equal(source.mask(frames[0].name), mask > 0)
        assert not source.mask(frames[1].name).any()
        assert source.mask(frames[2].name) is None


def test_masks_of_davis_2017_are_objects_and_void(tmp_path):
    mask = np.zeros((48, 64), np.uint8)
    mask[5:9], mask[10:12], mask[20:22] = 1, 2, 255
    root = davis(tmp_path, demo_frames(tmp_path, 1), [mask])
    (source,) = open_sequences(root, "dog", None)
    assert np.array_equal(source.mask("00000"), np.where(mask == 255, 255, mask > 0))


def test_folder_of_images_in_the_order_of_their_numbers(tmp_path):
    folder = tmp_path / "shots"
    frames = demo_frames(tmp_path, 3)
    for name, picture in zip(("f2.png", "f10.png", "f1.png"), frames):
        save(folder / name, np.asarray(picture))
    (folder / "f3.png").write_bytes(b"damaged")
    source = open_folder(folder, Fraction(10))
    found = list(source.frames())
    assert [f.name for f in found] == ["f1", "f2", "f10"]
    assert [f.time for f in found] == [0, Fraction(1, 10), Fraction(3, 10)], "the damaged one keeps its time"
    assert "f3.png: image cannot be decoded" in source.problems[0]
    assert source.mask("f1") is None


def test_unknown_sequence(tmp_path):
    davis(tmp_path, demo_frames(tmp_path, 1))
    with pytest.raises(UserError, match="no sequence cat; there are dog"):
        open_sequences(tmp_path, "dog,cat", None)
    with pytest.raises(UserError, match="not found"):
        open_sequences(tmp_path / "JPEGImages", "dog", None)


class Capture:
    """Stands in for OpenCV's: a camera of some frames."""

    def __init__(self, frames, opened=True):
        self.left, self.opened, self.released = [np.asarray(f)[..., ::-1] for f in frames], opened, False

    def isOpened(self):
        return self.opened

    def set(self, what, value):
        return True

    def get(self, what):
        return 30.0 if what == cv2.CAP_PROP_FPS else 0.0

    def read(self):
        return (True, np.ascontiguousarray(self.left.pop(0))) if self.left else (False, None)

    def release(self):
        self.released = True


def test_camera(tmp_path, monkeypatch):
    drawn = demo_frames(tmp_path, 3)
    capture = Capture(drawn)
    clock = iter([10.0, 10.05, 10.2])
    monkeypatch.setattr(camera.cv2, "VideoCapture", lambda number: capture)
    monkeypatch.setattr(camera, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    source = Camera(0)
    assert (source.name, source.rate, source.count, source.endless) == ("camera0", 30, None, True)
    frames = list(source.frames())
    assert [float(f.time) for f in frames] == [0, 0.05, 0.2], "when they were taken"
    assert all(np.array_equal(f.image, d) for f, d in zip(frames, drawn))
    assert capture.released
    assert source.problems == ["camera 0: gave no more pictures"]


def test_no_camera(monkeypatch, capfd):
    with pytest.raises(UserError, match="camera 97: cannot be opened"):
        Camera(97)
    assert capfd.readouterr() == ("", ""), "OpenCV's own words are not shown"
    monkeypatch.setattr(camera.cv2, "VideoCapture", lambda number: Capture([]))
    with pytest.raises(UserError, match="camera 0: gives no picture"):
        list(Camera(0).frames())


def test_a_picture_that_does_not_move_is_a_film_of_one_frame(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.gif")
    (frame,) = Animation(tmp_path / "a.gif").frames()
    assert frame.image.size == (8, 8)
