"""predict.py as a person runs it: what it writes, and what it says of bad input."""

import importlib.util
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rws.data.classes import DEMO
from rws.data.import_.__main__ import main as import_main
from rws.errors import UserError
from rws.look.named_regions import named_overlay
from rws.models import FAMILIES, build_network
from rws.predict import command as predict_command
from rws.predict import photographs, predictor
from rws.predict.cam_figure import draw_cam_figure
from rws.predict.images import open_image, write_pictures
from rws.predict.inference import predict_logits, prepare_for_prediction
from rws.predict.sliding import sliding_label
from rws.predict.ways import HeatMaps, PredictOptions, Windows
from rws.runs.model_file import Card, load_trained, save_trained
from rws.runtime.prefetch import ahead

SCRIPT = Path(__file__).resolve().parents[2] / "predict.py"
LIGHT = "deeplabv3_efficientnet_lite0"
_spec = importlib.util.spec_from_file_location("predict", SCRIPT)
predict = importlib.util.module_from_spec(_spec)
sys.modules["predict"] = predict  # dataclasses look their module up
_spec.loader.exec_module(predict)


def photo(path: Path, height: int, width: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(height).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    network, _ = build_network(LIGHT, DEMO.num_classes, weights="none")
    network.train()(torch.randn(4, 3, 64, 64))
    # An untrained network sees one class everywhere; each class's logits are centred so that all appear.
    with torch.no_grad():
        network.classifier[-1].bias -= network.eval()(torch.randn(4, 3, 64, 64))["out"].mean((0, 2, 3))
    path = tmp_path_factory.mktemp("run") / "best.pt"
    card = Card(LIGHT, aux=True, stages=FAMILIES[LIGHT].stages, classes=DEMO, base_size=64)
    save_trained(path, network, card, miou=0.5)
    return path


@pytest.fixture
def photos(tmp_path) -> Path:
    photo(tmp_path / "in/a.jpg", 97, 131)
    photo(tmp_path / "in/a.png", 64, 80)
    photo(tmp_path / "in/deep/b.webp", 70, 50)
    return tmp_path / "in"


def command(checkpoint: Path, source: Path, output: Path, *more: str) -> list[str]:
    paths = ("--checkpoint", checkpoint, "--input", source, "--output", output)
    return [*map(str, paths), "--device", "cpu", *more]


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_folder_with_a_broken_file(checkpoint, photos, tmp_path, capsys):
    (photos / "broken.jpg").write_bytes((photos / "a.jpg").read_bytes()[:300])
    (photos / "notes.txt").touch()
    assert predict.main(command(checkpoint, photos, tmp_path / "out")) == 2
    said = capsys.readouterr()
    errors = [line for line in said.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert str(photos / "broken.jpg") in errors[0]
    assert "3 of 4 images predicted" in said.out
    assert "left out: 1 files that are no images (endings .txt)" in said.out
    assert files(tmp_path / "out") == [
        *("a.jpg.png", "a.jpg_overlay.jpg", "a.png.png", "a.png_overlay.jpg"),
        *("deep/b.png", "deep/b_overlay.jpg"),
    ]


@pytest.mark.parametrize("above", [".", "..", "in/results"])
def test_the_output_may_lie_above_the_photographs_or_in_them(
    checkpoint, photos, tmp_path, monkeypatch, above
):
    monkeypatch.chdir(tmp_path)
    assert predict.main(command(checkpoint, Path("in"), Path(above))) == 0
    assert (tmp_path / above / "a.jpg.png").is_file()


def test_the_folder_of_the_photographs_is_no_output(checkpoint, photos, capsys):
    assert predict.main(command(checkpoint, photos, photos)) == 2
    assert "is the folder of the photographs" in capsys.readouterr().err
    assert len(files(photos)) == 3


def test_annotations_of_an_interrupted_command_are_kept(checkpoint, photos, tmp_path, monkeypatch):
    real, seen = predict_command.ImageJob.predict, []

    def interrupted(job, photograph):
        if seen:
            raise KeyboardInterrupt
        seen.append(photograph)
        return real(job, photograph)

    monkeypatch.setattr(predict_command.ImageJob, "predict", interrupted)
    predict.main(command(checkpoint, photos, tmp_path / "out", "--format", "coco"))
    (written,) = (tmp_path / "out").glob("*.json")
    assert len(json.loads(written.read_text())["images"]) == 1


def test_hidden_files_are_no_photographs(checkpoint, photos, tmp_path, capsys):
    (photos / "._a.jpg").write_bytes(b"of another system")
    photo(photos / ".thumbnails/a.jpg", 20, 20)
    assert predict.main(command(checkpoint, photos, tmp_path / "out")) == 0
    assert "3 of 3 images predicted" in capsys.readouterr().out


def test_prediction_is_the_networks_at_the_images_size(checkpoint, photos, tmp_path):
    source = photos / "a.jpg"
    assert predict.main(command(checkpoint, source, tmp_path / "out", "--tta", "ms_flip")) == 0
    with Image.open(tmp_path / "out/a.png") as label:
        assert label.mode == "P"
        assert label.size == (131, 97)
        assert label.getpalette() == DEMO.flat_palette()
        got = np.array(label)
    want = predict_logits(*load_trained(checkpoint), open_image(source), "ms_flip").argmax(0).numpy()
    assert np.array_equal(got, want)
    network = load_trained(checkpoint)[1].classes
    shown = named_overlay(open_image(source), want.astype(np.uint8), network)
    with Image.open(tmp_path / "out/a_overlay.jpg") as picture:
        assert picture.size == shown.size
        assert np.abs(np.asarray(picture, float) - np.asarray(shown)).mean() < 4


@pytest.mark.parametrize(("legend", "taller"), [("none", False), ("strip", True)])
def test_legend(checkpoint, photos, tmp_path, legend, taller):
    assert predict.main(command(checkpoint, photos / "a.jpg", tmp_path / "out", "--legend", legend)) == 0
    with Image.open(tmp_path / "out/a_overlay.jpg") as picture:
        assert picture.width == 131
        assert (picture.height > 97) == taller


def test_heat_maps(checkpoint, photos, tmp_path, capsys):
    source = photos / "a.jpg"
    label = predict_logits(*load_trained(checkpoint), open_image(source)).argmax(0)
    counts = label.flatten().bincount(minlength=DEMO.num_classes)[1:]
    assert counts.max() > 0, "the fixture's network must predict some foreground"
    there = DEMO.names[1 + int(counts.argmax())]
    assert predict.main(command(checkpoint, source, tmp_path / "out", "--cam", there)) == 0
    assert "no pixel" not in capsys.readouterr().out
    with Image.open(tmp_path / "out/a_cam.png") as figure:
        assert figure.width == 1600
        alone = np.asarray(figure)
    assert predict.main(command(checkpoint, source, tmp_path / "out", "--cam", there, "--cam-whole")) == 0
    with Image.open(tmp_path / "out/a_cam.png") as figure:
        whole = np.asarray(figure)
    assert whole.shape == alone.shape
    coloured = [(np.ptp(each.astype(int), 2) > 30).sum() for each in (alone, whole)]
    assert coloured[0] < coloured[1]


@pytest.mark.parametrize(("size", "panel"), [((150, 200), 294), ((400, 600), 600), ((1000, 2400), 1200)])
def test_heat_maps_stand_at_the_photographs_own_size(checkpoint, size, panel):
    network, card = load_trained(checkpoint)
    network = prepare_for_prediction(network, torch.device("cpu"))
    seen = predictor.Predictor("a", network, card, PredictOptions())
    image = Image.new("RGB", size[::-1], (10, 80, 200))
    figure, found = draw_cam_figure(seen, image, np.ones(size, np.uint8), HeatMaps(DEMO.names[1]))
    assert found
    # The first picture of the upper row is the photograph; a figure's layout leaves some pixels between them.
    blue = (np.abs(np.asarray(figure).astype(int) - (10, 80, 200)).max(-1) < 3)[: figure.height // 2]
    assert blue.any(0).sum() == pytest.approx(panel, rel=0.06)


def test_heat_maps_of_a_class_that_is_not_predicted(checkpoint, photos, tmp_path, capsys):
    content = torch.load(checkpoint, weights_only=True)
    bias = next(v for k, v in content["model"].items() if k.startswith("classifier") and k.endswith("4.bias"))
    bias[DEMO.index("lamp")] = -1e6
    del content["sha256"]  # of the network that it was
    torch.save(content, tmp_path / "nolamp.pt")
    source = photos / "a.png"
    assert predict.main(command(tmp_path / "nolamp.pt", source, tmp_path / "out", "--cam", "lamp")) == 0
    assert f"{source}: no pixel is predicted as lamp" in capsys.readouterr().out
    assert (tmp_path / "out/a_cam.png").is_file()


def test_a_result_that_cannot_be_written_is_one_line_and_the_others_are_written(
    checkpoint, photos, tmp_path, capsys
):
    (tmp_path / "out/a.jpg.png").mkdir(parents=True)
    assert predict.main(command(checkpoint, photos, tmp_path / "out")) == 2
    said = capsys.readouterr()
    (error,) = (line for line in said.err.splitlines() if line.startswith("error:"))
    assert f"{tmp_path / 'out/a.jpg.png'}: cannot be written" in error
    assert "2 of 3 images predicted" in said.out
    assert files(tmp_path / "out") == ["a.png.png", "a.png_overlay.jpg", "deep/b.png", "deep/b_overlay.jpg"]


def test_errors_come_in_the_images_order(checkpoint, photos, tmp_path, capsys):
    for name in ("0.jpg", "a0.jpg", "z.jpg"):
        (photos / name).write_bytes(b"\xff\xd8 no image")
    photo(photos / "strip.png", 4, 400)
    assert predict.main(command(checkpoint, photos, tmp_path / "out")) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert [Path(line.split(": ")[1]).name for line in errors] == ["0.jpg", "a0.jpg", "strip.png", "z.jpg"]


def test_interrupted_it_leaves_whole_results_of_the_images_before(
    checkpoint, photos, tmp_path, monkeypatch, capsys
):
    real, seen = predictor.label_of_input, []

    def interrupted(*args):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(args)
        return real(*args)

    monkeypatch.setattr(predictor, "label_of_input", interrupted)
    assert predict.main(command(checkpoint, photos, tmp_path / "out")) == 130
    assert "interrupted" in capsys.readouterr().err
    names = ["a.jpg.png", "a.jpg_overlay.jpg", "a.png.png", "a.png_overlay.jpg"]
    assert files(tmp_path / "out") == names
    for name in names:
        with Image.open(tmp_path / "out" / name) as picture:
            picture.load()


def test_work_ahead_keeps_its_order_and_its_bound():
    taken = []

    def items():
        for i in range(20):
            taken.append(i)
            yield i

    with ThreadPoolExecutor(3) as pool:
        for i, future in enumerate(ahead(pool, lambda x: x * x, items(), most=4)):
            assert future.result() == i * i
            assert len(taken) <= i + 4, "what is not yet used does not pile up"
    assert taken == list(range(20))


def test_without_auxiliary_head_the_logits_are_exactly_the_networks(checkpoint, photos):
    image = open_image(photos / "a.jpg")
    plain, card = load_trained(checkpoint)
    plain = plain.to(memory_format=torch.channels_last)
    faster = prepare_for_prediction(load_trained(checkpoint)[0], torch.device("cpu"))
    assert faster.aux_classifier is None
    assert torch.equal(predict_logits(faster, card, image), predict_logits(plain, card, image))


def not_a_checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "junk.pt").write_bytes(b"junk")
    return tmp_path / "junk.pt"


def without_network(tmp_path: Path) -> Path:
    torch.save({"format": 1, "step": 3}, tmp_path / "state.pt")
    return tmp_path / "state.pt"


def empty_folder(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/film.mp4").touch()
    return tmp_path / "empty"


def broken_image(tmp_path: Path) -> Path:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no image")
    return tmp_path / "broken.jpg"


def a_file(tmp_path: Path) -> Path:
    (tmp_path / "a_file").touch()
    return tmp_path / "a_file"


BAD = {
    "missing checkpoint": ("--checkpoint", lambda p: p / "no.pt", "no.pt: no such checkpoint"),
    "not a checkpoint": ("--checkpoint", not_a_checkpoint, "junk.pt: not a readable checkpoint"),
    "no network in it": ("--checkpoint", without_network, "state.pt: holds no trained network"),
    "missing input": ("--input", lambda p: p / "gone", "gone: no such image, folder or film"),
    "no image in folder": ("--input", empty_folder, "no image in this folder (endings .jpg, .jpeg, .png"),
    "broken image": ("--input", broken_image, "broken.jpg: image cannot be decoded"),
    "output is a file": ("--output", a_file, "a_file: the output is a file"),
    "output under a file": ("--output", lambda p: a_file(p) / "out", "a_file/out: the output cannot be made"),
    "output over input": ("--output", lambda p: p / "in", "the result would overwrite this input"),
    "unknown class": ("--cam", lambda p: "spidr", "did you mean 'spider'? the classes are kite, fish, lamp"),
    "unknown augmentation": ("--tta", lambda p: "rotate", "invalid choice: 'rotate'"),
    "unknown device": ("--device", lambda p: "tpu9", "device 'tpu9' cannot be used"),
    "unknown flag": (
        "--camm",
        lambda p: "spider",
        "--camm: unknown; the nearest known one is --cam",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_code_2(checkpoint, photos, tmp_path, capsys, case):
    flag, make, message = BAD[case]
    source = photos / "a.png"  # its result in the same folder would be a.png again
    argv = [*command(checkpoint, source, tmp_path / "out"), flag, str(make(tmp_path))]
    assert predict.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_sliding_windows(checkpoint, photos, tmp_path, monkeypatch):
    source = photos / "a.jpg"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # a larger one would be refused
    assert predict.main(command(checkpoint, source, tmp_path / "out", "--slide", "48", "--tta", "flip")) == 0
    monkeypatch.undo()
    network, card = load_trained(checkpoint)
    with Image.open(tmp_path / "out/a.png") as label:
        got = np.array(label)
    network = prepare_for_prediction(network, torch.device("cpu"))
    want = sliding_label(network, card, open_image(source), Windows(48, 32), "flip")
    assert np.array_equal(got, want)


@pytest.mark.parametrize(
    "more", [("--stride", "9"), ("--slide", "64", "--stride", "65"), ("--cam-method", "layercam")]
)
def test_options_that_do_not_go_together(checkpoint, photos, tmp_path, capsys, more):
    assert predict.main(command(checkpoint, photos, tmp_path / "out", *more)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: command line: {more[-2]}")


def test_as_a_script(checkpoint, photos, tmp_path):
    argv = [sys.executable, str(SCRIPT), *command(checkpoint, photos, tmp_path / "out", "--cam", "spidr")]
    ended = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: no class 'spidr'")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["coco", "labelme"])
def test_predictions_as_annotations_give_the_same_labels_when_they_are_imported(
    checkpoint, photos, tmp_path, form
):
    (photos / "a.png").unlink()
    out = tmp_path / "out"
    assert predict.main(command(checkpoint, photos, out, "--format", form)) == 0
    written = ["a.json", "deep/b.json"] if form == "labelme" else ["annotations.coco.json"]
    assert [name for name in files(out) if name.endswith(".json")] == written
    mine = tmp_path / "mine"
    assert import_main([form, str(out), "--images", str(photos), "--output", str(mine)]) == 0
    names = (mine / "classes.txt").read_text().splitlines()
    for image_id, label in (("a", "a.png"), ("b", "deep/b.png")):
        with Image.open(mine / f"masks/{image_id}.png") as mask, Image.open(out / label) as predicted:
            ours = np.array([DEMO.names.index(name) for name in names])[np.array(mask)]
            assert (ours == np.array(predicted)).mean() > 0.999


def test_annotations_that_may_have_been_corrected_are_not_overwritten(checkpoint, photos, tmp_path, capsys):
    argv = command(checkpoint, photos / "a.jpg", tmp_path / "out", "--format", "labelme")
    assert predict.main(argv) == 0
    (tmp_path / "out/a.json").write_text("corrected")
    assert predict.main(argv) == 2
    assert f"{tmp_path / 'out/a.json'}: is there, and may have been corrected" in capsys.readouterr().err
    assert (tmp_path / "out/a.json").read_text() == "corrected"


def test_where_every_photograph_fails_no_annotations_are_in_the_way(checkpoint, tmp_path):
    photo(tmp_path / "in/a.png", 8, 400)
    assert predict.main(command(checkpoint, tmp_path / "in", tmp_path / "out", "--format", "coco")) == 2
    assert files(tmp_path / "out") == []


@pytest.mark.parametrize("side", [65_500, 65_501])
def test_a_picture_that_is_too_large_for_jpeg_is_made_smaller_and_told(tmp_path, capsys, side):
    path = tmp_path / "a_overlay.jpg"
    write_pictures([Image.new("RGB", (9, side))], [path])
    with Image.open(path) as written:
        assert written.size == (9, 65_500)
    told = f"note: {path}: is 9 x 65500 pixels; a JPEG has 65500 a side at most\n"
    assert capsys.readouterr().out == (told if side > 65_500 else "")


def test_annotations_are_written_though_the_pictures_cannot_be(checkpoint, photos, tmp_path, monkeypatch):
    def full(*_):
        raise UserError("the disk is full")

    monkeypatch.setattr(photographs, "write_pictures", full)
    argv = command(checkpoint, photos / "a.jpg", tmp_path / "out", "--format", "labelme")
    assert predict.main(argv) == 2
    assert files(tmp_path / "out") == ["a.json"]


def test_annotations_are_of_photographs_and_of_one_network(checkpoint, photos, tmp_path, capsys):
    argv = ["--compare", checkpoint, checkpoint, "--input", photos, "--output", tmp_path, "--format", "coco"]
    assert predict.main([str(flag) for flag in argv]) == 2
    assert "--format coco: is of one network" in capsys.readouterr().err
    film = tmp_path / "film.gif"
    frames = [Image.new("RGB", (32, 24), (n, 0, 0)) for n in (0, 200)]
    frames[0].save(film, save_all=True, append_images=frames[1:])
    assert predict.main(command(checkpoint, film, tmp_path / "out", "--format", "coco")) == 2
    assert f"--format coco: is of photographs; {film} is a film" in capsys.readouterr().err
