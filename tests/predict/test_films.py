"""predict.py with films and with networks side by side, as a person runs it."""

import gc
import os
import re
import signal
import subprocess
import sys
import weakref
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from films import davis, demo_frames, encode, opencv_frames, opencv_rate, tiny_checkpoint
from layouts import save
from PIL import Image
from test_j_and_f import f_by_loop
from test_sources import Capture
from tiny import REPOSITORY, load_script

from rws.data.classes import DEMO
from rws.data.sets.davis import CLASSES as OBJECTS
from rws.look.overlay import overlay
from rws.look.panels import GAP
from rws.predict.inference import predict_label
from rws.predict.predictor import load_predictors
from rws.predict.video import camera, projection
from rws.predict.video.frames import Frame, Source
from rws.predict.video.projection import Projection, Shown
from rws.predict.video.scores import Scores
from rws.predict.ways import PredictOptions
from rws.runs.model_file import load_trained

pytestmark = pytest.mark.usefixtures("tiny_family")

predict = load_script("predict")


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    return tiny_checkpoint(tmp_path / "runs/a/last.pt")


@pytest.fixture
def second(tmp_path) -> Path:
    return tiny_checkpoint(tmp_path / "runs/b/last.pt", seed=1)


def run(checkpoint: Path, source, output, *more) -> int:
    return predict.main(
        [str(a) for a in ("--checkpoint", checkpoint, "--input", source, "--output", output, *more)]
    )


def compare(checkpoints, source, output, *more) -> int:
    argv = ("--compare", *checkpoints, "--input", source, "--output", output, *more)
    return predict.main([str(a) for a in argv])


def error(one, other) -> float:
    """The mean difference of two pictures; a few levels come from the codec's halved colours."""
    one, other = np.asarray(one, float), np.asarray(other, float)
    return np.abs(one - other).mean() if one.shape == other.shape else np.inf


def close(one, other, most=14.0) -> bool:
    return error(one, other) < most


def expected(checkpoint: Path, pictures, label=predict_label) -> list[Image.Image]:
    network, card = load_trained(checkpoint)
    return [overlay(p, label(network, card, p), card.classes) for p in pictures]


def test_film_to_film(checkpoint, tmp_path, capsys):
    """Frame by frame the overlay that the photograph would have, at the source's rate and size."""
    drawn = demo_frames(tmp_path, 15)
    source = encode(tmp_path / "a.mp4", drawn, rate=15)
    assert run(checkpoint, source, tmp_path / "out/b.mp4") == 0
    frames = opencv_frames(tmp_path / "out/b.mp4")
    assert (len(frames), opencv_rate(tmp_path / "out/b.mp4")) == (15, 15)
    read = [Image.fromarray(f) for f in opencv_frames(source)]
    assert all(close(got, want) for got, want in zip(frames, expected(checkpoint, read)))
    assert not any(close(got, plain, 28) for got, plain in zip(frames, read)), "there is an overlay"
    out = capsys.readouterr().out
    assert re.fullmatch(
        rf"a: 15 frames in \d+\.\d s, \d+\.\d\d frames a second, in {tmp_path}/out/b\.mp4\n", out
    )


def test_augmented_films(checkpoint, tmp_path):
    drawn = demo_frames(tmp_path, 2)
    for number, picture in enumerate(drawn):
        save(tmp_path / f"in/{number}.png", np.asarray(picture))
    assert run(checkpoint, tmp_path / "in", tmp_path / "b.mp4", "--tta", "flip") == 0
    frames = opencv_frames(tmp_path / "b.mp4")
    wanted = expected(checkpoint, drawn, lambda *args: predict_label(*args, "flip"))
    plain = expected(checkpoint, drawn)
    assert all(
        error(got, want) < min(14, 0.8 * error(got, other))
        for got, want, other in zip(frames, wanted, plain, strict=True)
    )


@pytest.mark.parametrize("flags", [("out/b.gif",), ("out", "--format", "gif")])
def test_film_to_gif(checkpoint, tmp_path, flags):
    source = encode(tmp_path / "b.mp4", demo_frames(tmp_path, 12), rate=25)
    assert run(checkpoint, source, tmp_path / flags[0], *flags[1:], "--width", "128") == 0
    with Image.open(tmp_path / "out/b.gif") as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (12, (128, 96), 40)


def test_film_that_is_too_fast_for_a_gif(checkpoint, tmp_path, capsys):
    source = encode(tmp_path / "a.mp4", demo_frames(tmp_path, 30), rate=100)
    assert run(checkpoint, source, tmp_path / "b.gif") == 0
    said = capsys.readouterr().out
    assert "a: 30 frames in" in said
    assert "a: 15 frames left out, a GIF shows 50 a second at most" in said
    with Image.open(tmp_path / "b.gif") as image:
        assert (image.n_frames, image.info["duration"]) == (15, 20)


def test_gif_to_film_in_a_folder(checkpoint, tmp_path):
    """A GIF that moves is a film, one that does not a photograph as ever."""
    drawn = demo_frames(tmp_path, 3)
    drawn[0].save(tmp_path / "a.gif", save_all=True, append_images=drawn[1:], duration=[40, 200, 60])
    drawn[0].save(tmp_path / "still.gif")
    assert run(checkpoint, tmp_path / "a.gif", tmp_path / "out") == 0
    assert run(checkpoint, tmp_path / "still.gif", tmp_path / "out") == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a.mp4", "still.png", "still_overlay.jpg"]
    assert len(opencv_frames(tmp_path / "out/a.mp4")) == 3


def test_a_folder_of_images_is_photographs_unless_the_output_is_a_film(checkpoint, tmp_path):
    root = davis(tmp_path / "DAVIS", demo_frames(tmp_path, 3))
    folder = root / "JPEGImages/480p/dog"
    assert run(checkpoint, folder, tmp_path / "out") == 0
    assert sorted(p.suffix for p in (tmp_path / "out").iterdir()) == [*3 * [".jpg"], *3 * [".png"]]
    assert run(checkpoint, folder, tmp_path / "dog.mp4") == 0
    assert opencv_rate(tmp_path / "dog.mp4") == 24
    assert run(checkpoint, folder, tmp_path / "films", "--format", "mp4", "--fps", "12.5") == 0
    assert opencv_rate(tmp_path / "films/dog.mp4") == 12.5


def test_sequences_are_measured_against_their_masks(checkpoint, second, tmp_path, capsys):
    """J and F as loops over pixels find them, in percent, for both networks."""
    rng = np.random.default_rng(0)
    pictures = demo_frames(tmp_path, 4)
    masks = [255 * (rng.random((6, 8)) < 0.4).repeat(8, 0).repeat(8, 1).astype(np.uint8) for _ in range(3)]
    root = davis(tmp_path / "DAVIS", pictures, masks)
    davis(root, pictures, [255 - mask for mask in masks], name="cow")
    assert compare([checkpoint, second], tmp_path, tmp_path / "out", "--sequence", "dog,cow") == 0
    out = capsys.readouterr().out
    rows = {tuple(line.split()[:2]): line.split()[2:] for line in out.splitlines()}
    assert "dog: 1 frames without a mask are not measured" in out
    means = []
    for name, path in (("a", checkpoint), ("b", second)):
        j, f = [], []
        for number, mask in enumerate(masks):
            image = Image.open(root / f"JPEGImages/480p/dog/{number:05d}.jpg")
            found, truth = predict_label(*load_trained(path), image) > 0, mask > 0
            j.append((found & truth).sum() / (found | truth).sum())
            f.append(f_by_loop(found, truth, 1))
        got = rows["dog", name]
        assert float(got[0]) == pytest.approx(100 * np.mean(j), abs=0.051)
        assert float(got[3]) == pytest.approx(100 * np.mean(f), abs=0.051)
        assert got[7] == "3"
        means.append((float(got[0]) + float(rows["cow", name][0])) / 2)
    assert [float(rows["mean", name][0]) for name in "ab"] == pytest.approx(means, abs=0.1)


def test_one_class_can_be_measured_alone(checkpoint, tmp_path, capsys):
    picture = demo_frames(tmp_path, 1)[0]
    save(tmp_path / "JPEGImages/480p/dog/0.png", np.asarray(picture))
    label = predict_label(*load_trained(checkpoint), picture)
    index = 1 + int(np.bincount(label.ravel(), minlength=DEMO.num_classes)[1:].argmax())
    save(tmp_path / "Annotations/480p/dog/0.png", 255 * (label == index).astype(np.uint8))
    for flags, want in (((), False), (("--foreground", DEMO.names[index]), True)):
        assert run(checkpoint, tmp_path, tmp_path / "o.mp4", "--sequence", "dog", *flags) == 0
        numbers = capsys.readouterr().out.splitlines()[-1].split()
        assert ((numbers[2], numbers[5]) == ("100.0", "100.0")) is want


def test_side_by_side(checkpoint, second, tmp_path):
    drawn = demo_frames(tmp_path, 4, (250, 120))
    for number, picture in enumerate(drawn):
        save(tmp_path / f"in/{number}.png", np.asarray(picture))
    flags = ("--titles", "DeepLab v3", "RWS")
    assert compare([checkpoint, second], tmp_path / "in", tmp_path / "b.mp4", *flags) == 0
    frames = opencv_frames(tmp_path / "b.mp4")
    assert frames[0].shape[1] == 2 * 250 + GAP
    for path, left in ((checkpoint, 0), (second, 250 + GAP)):
        for frame, want in zip(frames, expected(path, drawn), strict=True):
            top = next(y for y in range(99) if close(frame[y : y + 120, left : left + 250], want))
            assert 15 < top < 40, "below the titles"


def test_the_truth_stands_beside_the_prediction(checkpoint, tmp_path):
    """A frame without a mask is shown as it is."""
    drawn = demo_frames(tmp_path, 3, (250, 120))
    mask = np.zeros((120, 250), np.uint8)
    mask[20:90, 30:200] = 255
    davis(tmp_path / "DAVIS", drawn, [mask, mask])
    flags = ("--sequence", "dog", "--truth")
    assert run(checkpoint, tmp_path / "DAVIS", tmp_path / "t.mp4", *flags) == 0
    frames = opencv_frames(tmp_path / "t.mp4")
    assert frames[0].shape[1] == 2 * 250 + GAP
    true = [overlay(picture, mask // 255, OBJECTS) for picture in drawn[:2]] + drawn[2:]
    for left, pictures in ((0, expected(checkpoint, drawn)), (250 + GAP, true)):
        for frame, want in zip(frames, pictures, strict=True):
            assert any(close(frame[y : y + 120, left : left + 250], want) for y in range(15, 40))


def test_photographs_side_by_side(checkpoint, second, tmp_path, capsys):
    drawn = demo_frames(tmp_path, 2, (250, 120))
    save(tmp_path / "in/a.png", np.asarray(drawn[0]))
    save(tmp_path / "in/deep/b.png", np.asarray(drawn[1]))
    (tmp_path / "in/broken.png").write_bytes(b"no image")
    assert compare([checkpoint, second], tmp_path / "in", tmp_path / "out") == 2
    said = capsys.readouterr()
    assert "2 of 3 images predicted" in said.out
    assert "broken.png: image cannot be decoded" in said.err
    for name, picture in (("a_compare.jpg", drawn[0]), ("deep/b_compare.jpg", drawn[1])):
        whole = np.asarray(Image.open(tmp_path / "out" / name))
        assert whole.shape[1] == 3 * 250 + 2 * GAP
        wanted = [picture, *expected(checkpoint, [picture]), *expected(second, [picture])]
        for left, want in zip((0, 256, 512), wanted):
            assert any(close(whole[y : y + 120, left : left + 250], want, 4) for y in range(40))


def test_camera_until_it_is_ended(checkpoint, tmp_path, monkeypatch, capsys):
    """Ctrl-C is how the film of a camera ends: no error."""
    capture, left = Capture(demo_frames(tmp_path, 60)), []

    def read():
        left.append(1)
        if len(left) == 12:
            signal.raise_signal(signal.SIGINT)
        return Capture.read(capture)

    monkeypatch.setattr(capture, "read", read, raising=False)
    monkeypatch.setattr(camera.cv2, "VideoCapture", lambda number: capture)
    monkeypatch.chdir(tmp_path)
    assert run(checkpoint, "0", tmp_path / "b.mp4") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert 4 <= len(opencv_frames(tmp_path / "b.mp4")) < 60
    (tmp_path / "0").write_bytes(b"a file of that name is no camera")
    assert run(checkpoint, "0", tmp_path / "out") == 2
    assert "0: image cannot be decoded" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_interrupted_the_film_is_complete_so_far(checkpoint, tmp_path, monkeypatch, capsys, ending):
    source, real, seen = encode(tmp_path / "a.mp4", demo_frames(tmp_path, 40)), projection.overlay, []

    def interrupting(*args):
        seen.append(1)
        if len(seen) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*args)

    monkeypatch.setattr(projection, "overlay", interrupting)
    before = signal.getsignal(signal.SIGINT)  # ignored where a shell has started this in the background
    path = tmp_path / f"b.{ending}"
    assert run(checkpoint, source, path) == 130
    assert "a: interrupted; the film holds the frames so far" in capsys.readouterr().err
    assert 5 <= len(opencv_frames(path)) < 40
    assert signal.getsignal(signal.SIGINT) is before
    assert [p.name for p in tmp_path.glob("b*")] == [path.name]


def test_a_second_interruption_does_not_wait(checkpoint, tmp_path, monkeypatch, capsys):
    source, real, seen = encode(tmp_path / "a.mp4", demo_frames(tmp_path, 40)), projection.overlay, []

    def interrupting(*args):
        seen.append(1)
        if len(seen) == 5:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return real(*args)

    monkeypatch.setattr(projection, "overlay", interrupting)
    monkeypatch.setattr(projection.Projection, "_close", lambda self: signal.raise_signal(signal.SIGINT))
    assert run(checkpoint, source, tmp_path / "b.mp4") == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(tmp_path.glob("b*")) == []


class Drawn(Source):
    """Frames made one by one, and how many of them are alive."""

    name, rate, tick = "drawn", Fraction(24), Fraction(1, 24)

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count, self.alive, self.most = count, 0, 0

    def gone(self) -> None:
        self.alive -= 1

    def frames(self):
        for number in range(self.count):
            pixels = np.full((32, 48, 3), number % 256, np.uint8)
            pixels[number % 30 :, number % 40 :] = 200
            image = Image.fromarray(pixels)
            self.alive += 1
            weakref.finalize(image, self.gone)
            self.most = max(self.most, self.alive)
            yield Frame(image, number * self.tick, self.tick)


@pytest.mark.parametrize("form", ["mp4", "gif"])
def test_as_many_frames_are_alive_in_a_long_film_as_in_a_short_one(checkpoint, tmp_path, form):
    predictors = load_predictors([checkpoint], None, torch.device("cpu"), PredictOptions())
    most = {}
    for count in (60, 600):
        source, path = Drawn(count), tmp_path / f"{count}.{form}"
        made = Projection(source, predictors, Scores(predictors, None), path, Shown(form, None, False)).run()
        assert made.frames == count
        most[count] = source.most
    gc.collect()
    assert most[600] <= most[60] + 2 <= 16


PEAK = """
import resource, sys
sys.path[:0] = ["tests/predict", "tests/helpers"]
from test_films import *
from tiny import TINY
from rws.models import FAMILIES
FAMILIES["tiny"] = TINY
predictors = load_predictors([Path(sys.argv[1])], None, torch.device("cpu"), PredictOptions())
source = Drawn(int(sys.argv[2]))
path = Path(sys.argv[3])
Projection(source, predictors, Scores(predictors, None), path, Shown(path.suffix[1:], 960, False)).run()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_peak_memory_does_not_grow_with_length(checkpoint, tmp_path, ending):
    """960 x 640 pixels: 540 frames more would be 995 MB."""
    peaks = []
    for count in (60, 600):
        argv = [sys.executable, "-c", PEAK, str(checkpoint), str(count), str(tmp_path / f"{count}.{ending}")]
        ended = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        peaks.append(int(ended.stdout.split()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 25, peaks


def test_damaged_film_is_made_as_far_as_it_goes_and_the_code_says_so(checkpoint, tmp_path, capsys):
    pictures = demo_frames(tmp_path, 3)
    for number, picture in enumerate(pictures):
        save(tmp_path / f"in/{number}.png", np.asarray(picture))
    (tmp_path / "in/1.png").write_bytes(b"damaged")
    assert run(checkpoint, tmp_path / "in", tmp_path / "b.mp4") == 2
    said = capsys.readouterr()
    assert "error: " in said.err
    assert "1.png: image cannot be decoded" in said.err
    assert len(opencv_frames(tmp_path / "b.mp4")) == 2


BAD = {
    "no film": (["--input", "gone.mp4"], "gone.mp4: no such film; check the path"),
    "empty film": (["--input", "empty.mp4"], "empty.mp4: the film is empty; replace the file"),
    "cut film": (["--input", "cut.mp4"], "cut.mp4: the film cannot be read"),
    "no camera": (["--input", "97"], "camera 97: cannot be opened"),
    "other ending": (["--output", "b.avi"], "b.avi: films are written as .mp4 or .gif"),
    "output is the input": (["--output", "a.mp4"], "a.mp4: the result would overwrite this input"),
    "output is the input by another name": (["--output", "same.mp4"], "would overwrite this input"),
    "output folder is the input's": (["--output", "."], "a.mp4: the result would overwrite this input"),
    "output under a file": (["--output", "a.mp4/b.mp4"], "a.mp4/b.mp4: cannot be written"),
    "form and ending": (["--format", "gif"], "b.mp4: ends in .mp4 but --format is gif"),
    "rate of a film": (["--fps", "10"], "--fps: only images are given a rate"),
    "no rate": (["--fps", "0"], "argument --fps: 0 given, needed is a number above 0"),
    "heat maps": (["--cam", "spider"], "--cam: heat maps are drawn of photographs, not of films"),
    "a legend": (["--legend", "strip"], "--legend strip: is of photographs; --titles gives a film its"),
    "no truth": (["--truth"], "--truth: a has no masks; it is for sequences of DAVIS that have"),
    "unknown foreground": (["--foreground", "dog"], "no class 'dog': the classes are kite"),
    "too narrow": (["--width", "20"], "--width 20: leaves 20 pixels"),
    "too wide": (["--width", "99999"], "--width 99999: is more than the 16384 pixels"),
    "titles": (["--titles", "a", "b"], "--titles: 2 titles for 1 networks"),
    "unknown root": (["--sequence", "dog"], "no such folder for the data set"),
    "photograph to film": (["--input", "p.png"], "p.png: is no film but a photograph"),
    "folder without images": (["--input", "none"], "none: no image in this folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(checkpoint, tmp_path, monkeypatch, capfd, case):
    flags, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    frames = demo_frames(tmp_path, 3)
    data = encode(Path("a.mp4"), frames).read_bytes()
    Path("cut.mp4").write_bytes(data[: len(data) // 2])
    Path("empty.mp4").touch()
    Path("same.mp4").hardlink_to("a.mp4")
    Path("none").mkdir()
    frames[0].save("p.png")
    before = {path.name for path in tmp_path.iterdir()}
    assert run(checkpoint, "a.mp4", "b.mp4", *flags) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert {path.name for path in tmp_path.iterdir()} == before
    assert Path("a.mp4").read_bytes() == data


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fps", "3"], "--fps: is for films; "),
        (["--foreground", "kite"], "--foreground: is for films; "),
        (["--truth"], "--truth: is for films; "),
        (["--width", "300"], "--width: is for films and pictures side by side"),
        (["--titles", "a"], "--titles: is for films and pictures side by side"),
        (["--compare", "x.pt", "y.pt"], "give one of --model, --checkpoint and --compare"),
    ],
)
def test_options_that_photographs_do_not_have(checkpoint, tmp_path, capsys, flags, message):
    demo_frames(tmp_path, 1)[0].save(tmp_path / "p.png")
    assert run(checkpoint, tmp_path / "p.png", tmp_path / "out", *flags) == 2
    assert message in capsys.readouterr().err


def test_comparisons_that_are_none(checkpoint, tmp_path, capsys):
    demo_frames(tmp_path, 1)[0].save(tmp_path / "p.png")
    for argv, message in (
        (["--compare", str(checkpoint)], "--compare: needs two networks or more"),
        (
            ["--compare", str(checkpoint), str(checkpoint), "--cam", "kite"],
            "--cam: heat maps are drawn of one",
        ),
        (["--compare", str(checkpoint), "no.pt"], "no.pt: no such checkpoint"),
    ):
        assert predict.main([*argv, "--input", str(tmp_path / "p.png"), "--output", str(tmp_path / "o")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_after_a_film_that_fails_the_others_are_made_and_measured(checkpoint, tmp_path, capsys):
    pictures, mask = demo_frames(tmp_path, 2), np.full((48, 64), 255, np.uint8)
    for name, masks in (("one", [mask, mask]), ("two", [mask[:24], mask]), ("three", [mask, mask])):
        davis(tmp_path, pictures, masks, name=name)
    assert run(checkpoint, tmp_path, tmp_path / "out", "--sequence", "one,two,three") == 2
    said = capsys.readouterr()
    assert "error: " in said.err
    assert sorted(path.name for path in (tmp_path / "out").glob("*.mp4")) == ["one.mp4", "three.mp4"]
    rows = [line.split()[0] for line in said.out.splitlines() if len(line.split()) > 8]
    assert {"one", "three"} <= set(rows)
    assert "two" not in rows


def test_a_mask_of_another_size_is_one_line(checkpoint, tmp_path, capsys):
    davis(tmp_path, demo_frames(tmp_path, 2), [np.zeros((48, 64), np.uint8), np.zeros((24, 64), np.uint8)])
    assert run(checkpoint, tmp_path, tmp_path / "b.mp4", "--sequence", "dog") == 2
    assert "mask of frame 00001: is 64 x 24, its frame 64 x 48 pixels" in capsys.readouterr().err
    assert not (tmp_path / "b.mp4").exists()
