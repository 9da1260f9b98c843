"""Each wrong input is one line on stderr and exit code 2, before anything is trained."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import REPOSITORY, TINY, TinyNetwork, load_script

from rws.models import FAMILIES

pytestmark = pytest.mark.usefixtures("tiny_family")

train = load_script("train")
LIGHT = "deeplabv3_efficientnet_lite0"


class PooledNetwork(TinyNetwork):
    """Batch normalisation after pooling to one value, as in ASPP."""

    def __init__(self, num_classes: int, aux: bool = True):
        super().__init__(num_classes, aux)
        self.pool = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.BatchNorm2d(3))

    def forward(self, x):
        return super().forward(x + self.pool(x))


@pytest.fixture(autouse=True)
def pooled(monkeypatch):
    monkeypatch.setitem(FAMILIES, "pooled", TINY.__class__(PooledNetwork, TINY.stages, TINY.mean, TINY.std))


class Trial:
    """A good set in VOC layout to spoil, and the command that trains on it."""

    ids = tuple(f"im{i}" for i in range(8))

    def __init__(self, folder: Path):
        self.folder, self.root = folder, folder / "set"
        for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
            (self.root / name).mkdir(parents=True)
        for image_id in self.ids:
            pixels = np.random.default_rng(int(image_id[2:])).integers(0, 256, (12, 16, 3), np.uint8)
            Image.fromarray(pixels).save(self.image(image_id))
            Image.fromarray(np.full((12, 16), 3, np.uint8)).save(self.label(image_id))
        self.ids_of("train", self.ids[:6])
        self.ids_of("val", self.ids[6:])
        (folder / "c.yaml").write_text(
            f"runs: {folder / 'runs'}\ndevice: cpu\nmodel: {{name: tiny, weights: none}}\n"
            f"data: {{root: {self.root}, partial: true, base_size: 12, crop_size: [12, 16], workers: 0}}\n"
            "train: {batch_size: 2}\ncycles: {limit: 0}\n"
        )

    def image(self, image_id: str) -> Path:
        return self.root / "JPEGImages" / f"{image_id}.jpg"

    def label(self, image_id: str) -> Path:
        return self.root / "SegmentationClass" / f"{image_id}.png"

    def ids_of(self, name: str, ids) -> Path:
        path = self.root / "ImageSets/Segmentation" / f"{name}.txt"
        path.write_text("".join(f"{image_id}\n" for image_id in ids))
        return path

    def command(self, *flags: str) -> list[str]:
        return ["--config", str(self.folder / "c.yaml"), *flags]

    def assert_no_training(self) -> None:
        left = {p.name for p in (self.folder / "runs").rglob("*")}
        assert not left & {"log.jsonl", "state.json", "summary.json", "cycles", "training.pt", "last.pt"}


@pytest.fixture
def trial(tmp_path) -> Trial:
    return Trial(tmp_path)


@pytest.fixture
def refused(trial, capsys):
    """Runs train.py with flags; returns the line it refuses them with."""

    def run(*flags: str) -> str:
        capsys.readouterr()
        assert train.main(trial.command(*flags)) == 2
        # Progress bars end with a carriage return and blanks, and are gone from the screen.
        shown = [line.rsplit("\r", 1)[-1] for line in capsys.readouterr().err.split("\n")]
        lines = [line for line in shown if line.strip()]
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        trial.assert_no_training()
        return lines[0]

    return run


def test_the_set_is_good_before_it_is_spoilt(trial):
    assert train.main(trial.command()) == 0
    assert (trial.folder / "runs/run/summary.json").is_file()


def test_check_data_looks_and_stops(trial, capsys):
    assert train.main(trial.command("--check-data")) == 0
    said = capsys.readouterr().out
    assert "train: 6 images (1,464 images published), height x width 12x16 (6); 0.0% ignored" in said
    assert "bird             100.00%" in said, "class 3 of VOC 2012, in every pixel"
    trial.assert_no_training()
    trial.label("im0").unlink()
    assert train.main(trial.command("--check-data")) == 2
    assert "im0" in capsys.readouterr().err


def test_a_part_of_a_published_set_is_refused_unless_it_is_allowed(trial, refused):
    assert "train has 6 images, the official set 1,464; complete the set" in refused("--data.partial=false")


# The data.


def test_missing_root(trial, refused):
    assert f"{trial.folder}/nowhere: no such folder" in refused("--data.root", f"{trial.folder}/nowhere")
    assert "JPEGImages" in refused("--data.root", str(trial.folder))


@pytest.mark.parametrize("name", ["train", "val"])
def test_missing_list(trial, refused, name):
    (trial.root / f"ImageSets/Segmentation/{name}.txt").unlink()
    assert f"no list {name}.txt" in refused()


def test_missing_list_by_flag(refused):
    said = refused("--data.train-list", "trainaug")
    assert "trainaug.txt" in said
    assert "train, val" in said, "the lists that are there"


@pytest.mark.parametrize("list_name", ["train", "val"])
def test_empty_list(trial, refused, list_name):
    path = trial.ids_of(list_name, ["", "  "])
    assert f"{path}: the list is empty" in refused()


@pytest.mark.parametrize("what", ["image", "label"])
def test_ids_without_file_five_named_and_all_counted(trial, refused, what):
    for image_id in trial.ids[:6]:
        getattr(trial, what)(image_id).unlink()
    said = refused()
    assert f"6 of 6 ids of train without {what}" in said
    assert "im0, im1, im2, im3, im4, ..." in said
    assert "im5" not in said


def test_an_id_of_val_without_label(trial, refused):
    trial.label("im7").unlink()
    assert "1 of 2 ids of val without label" in refused()


def test_label_of_another_size(trial, refused):
    Image.fromarray(np.zeros((12, 15), np.uint8)).save(trial.label("im3"))
    said = refused()
    assert "another size" in said
    assert "im3 (image 12x16, label 12x15)" in said


def test_label_values_outside_the_classes(trial, refused):
    Image.fromarray(np.full((12, 16), 21, np.uint8)).save(trial.label("im2"))
    said = refused()
    assert "im2.png (21)" in said
    assert "0..20 and 255" in said


def test_a_list_of_which_nothing_can_be_used_shows_no_empty_table(trial, capsys):
    for image_id in trial.ids[:6]:
        Image.fromarray(np.full((12, 16), 21, np.uint8)).save(trial.label(image_id))
    assert train.main(trial.command("--check-data")) == 2
    lines = capsys.readouterr().out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("train: "))
    assert lines[at].endswith(", none of which can be used")
    assert lines[at + 1].startswith("val: ")


def test_rgb_label(trial, refused):
    Image.new("RGB", (16, 12), (128, 0, 0)).save(trial.label("im4"))
    said = refused()
    assert "im4.png (RGB)" in said
    assert "mode P or L" in said


@pytest.mark.parametrize("kept", [0, 100, -40])
def test_truncated_jpeg(trial, refused, kept):
    path = trial.image("im1")
    path.write_bytes(path.read_bytes()[:kept])
    assert "im1.jpg" in refused()


def test_an_image_that_is_text(trial, refused):
    trial.image("im1").write_text("404 not found")
    assert "im1.jpg" in refused()


@pytest.mark.parametrize("category", ["zebra", "background"])
def test_unknown_category(refused, category):
    said = refused("--data.category", category)
    assert f"no class '{category}'" in said
    assert "aeroplane" in said


def test_category_without_its_lists(trial, refused):
    said = refused("--data.category", "cat", "--data.lists-dir", str(trial.folder / "lists"))
    assert "train_cat_list.txt" in said
    assert "make_class_lists.py" in said


# The configuration.


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("\ntrian: {lr: 1}", "'train.lr'"),
        ("\nseed: many", '"seed"'),
        ("\nslices: {step: small}", '"slices.step"'),
        ("\nx: [1", "not valid YAML"),
    ],
)
def test_wrong_yaml(trial, refused, text, named):
    path = trial.folder / "c.yaml"
    path.write_text(path.read_text() + text)
    said = refused()
    assert str(path) in said
    assert named in said


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--trian.lr", "1"], "'train.lr'"),
        (["--seed", "many"], '"seed"'),
        (["--data.crop-size", "32"], '"data.crop_size"'),
        (["--train.batch-size", "0"], '"train.batch_size"'),
        (["--data.name", "coco"], "coco"),
        (["stray"], "stray"),
    ],
)
def test_wrong_flags(refused, flags, named):
    said = refused(*flags)
    assert "command line: " in said
    assert named in said


def test_missing_configuration(trial, refused):
    path = str(trial.folder / "gone.yaml")
    assert f"{path}: no such configuration" in refused("--config", path)


@pytest.mark.parametrize("name", ["a/b", "../b", "/tmp/b", "."])
def test_a_run_name_is_no_path(trial, refused, name):
    assert f"name {name!r}" in refused(f"--name={name}")


def test_an_existing_run(trial, refused, capsys):
    assert train.main(trial.command("--name", "first", "--runs", str(trial.folder / "other"))) == 0
    assert "--resume or --overwrite" in refused("--name", "first", "--runs", str(trial.folder / "other"))


# The network.


def test_unknown_network(refused):
    said = refused("--model.name", "deeplabv3_resnet5")
    assert "deeplabv3_resnet5: unknown; did you mean deeplabv3_resnet50" in said


@pytest.mark.parametrize("name", ["backbone.9", "layer4", ""])
def test_unknown_stage_with_the_names_there_are(refused, name):
    said = refused("--model.stages", f"[backbone.0, '{name}']")
    assert f"model.stages: the network has no stage {name!r}" in said
    assert "backbone.0, backbone.1, backbone.2" in said


def test_weights_of_another_hash(trial, refused):
    folder = trial.folder / "weights"
    folder.mkdir()
    (folder / "deeplabv3_resnet50_coco.pth").write_bytes(b"a download that broke off")
    said = refused(
        "--model.name", "deeplabv3_resnet50", "--model.weights", "auto", "--model.weights-dir", str(folder)
    )
    assert str(folder / "deeplabv3_resnet50_coco.pth") in said
    assert "expected cd0a2569" in said
    assert "SHA-256 begins with" in said


def test_weights_that_are_not_there(trial, refused):
    said = refused("--model.name", "deeplabv3_resnet101", "--model.weights", "auto")
    assert "deeplabv3_resnet101_coco.pth: not found" in said
    assert "; run `rws download deeplabv3_resnet101`, or pass" in said
    assert "gone.pth: no such weights file" in refused("--model.weights", str(trial.folder / "gone.pth"))


def test_weights_with_no_key_that_fits(trial, refused):
    path = trial.folder / "other.pth"
    torch.save({"conv.weight": torch.zeros(3)}, path)
    said = refused("--model.weights", str(path))
    assert f"{path}: no tensor fits" in said
    assert "conv.weight" in said


def test_a_batch_of_one_with_batch_norm_after_pooling(refused, trial):
    said = refused("--model.name", "pooled", "--train.batch-size", "1")
    assert "train.batch_size 1" in said
    assert "--train.batch-size 2" in said


def test_a_batch_of_one_is_fine_without(trial):
    assert train.main(trial.command("--train.batch-size", "1")) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_where_there_is_none(refused):
    assert "device 'cuda' cannot be used" in refused("--device", "cuda")


@pytest.mark.parametrize("device", ["gpu", "cuda:x"])
def test_unknown_device(refused, device):
    assert f"device {device!r} cannot be used" in refused(f"--device={device}")


def test_the_command_itself_shows_no_traceback(trial):
    command = [sys.executable, str(REPOSITORY / "train.py"), *trial.command("--model.name", LIGHT)]
    trial.label("im2").unlink()
    done = subprocess.run(
        command, cwd=trial.folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert lines[-1].startswith(f"error: {trial.root}: 1 of 6 ids of train without label")
    assert sum("error" in line for line in lines) == 1


# What was found by trying.


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("seed: null", '"seed": null given'),
        ("data: {root: null}", '"data.root": null given'),
        ("seed: -1", '"seed": -1 given'),
    ],
)
def test_values_that_are_none_or_negative(trial, refused, yaml, said):
    child = trial.folder / "child.yaml"
    child.write_text(f"base: c.yaml\n{yaml}\n")
    assert said in refused("--config", str(child))


@pytest.mark.parametrize(
    "flags", [("--slices.size", "2"), ("--slices.step", "0.6"), ("--slices.size", "0.01")]
)
def test_windows_that_leave_gaps(refused, flags):
    assert "windows must leave no gaps" in refused(*flags)


def test_a_size_that_cannot_be(refused):
    assert "slices.size 2" in refused("--slices.size", "2")


@pytest.mark.parametrize("name", ["..", "."])
def test_a_run_is_never_outside_its_folder(refused, name):
    assert "must be a plain folder name" in refused("--name", name)


def test_a_run_folder_that_is_a_file(trial, refused):
    (trial.folder / "file").write_text("")
    assert str(trial.folder / "file") in refused("--runs", str(trial.folder / "file"))


@pytest.mark.parametrize("content", ["", "- a list", "data: [", "seed: 1"])
def test_a_damaged_configuration_of_a_run(trial, capsys, content):
    assert train.main(trial.command()) == 0
    (trial.folder / "runs/run/config.yaml").write_text(content)
    capsys.readouterr()
    assert train.main(trial.command("--resume")) == 2
    assert "config.yaml: damaged" in capsys.readouterr().err


def test_a_damaged_state_of_a_run(trial, capsys):
    assert train.main(trial.command()) == 0
    (trial.folder / "runs/run/state.json").write_text("{")
    assert train.main(trial.command("--resume")) == 0
    assert "state.json: damaged" in capsys.readouterr().out


def test_a_run_that_is_not_there_begins_and_says_so(trial, capsys):
    assert train.main(trial.command("--resume")) == 0
    said = capsys.readouterr().out.splitlines()
    assert f"{trial.folder / 'runs/run'}: no run is there to go on with; it begins" in said
    assert train.main(trial.command("--resume")) == 0
    assert "no run is there" not in capsys.readouterr().out


def test_resume_and_overwrite_exclude_each_other(refused):
    assert "give one of them" in refused("--resume", "--overwrite")


def test_hidden_files_of_a_folder_that_is_no_run_are_left_alone(trial, refused):
    other = trial.folder / "runs" / "other"
    other.mkdir(parents=True)
    (other / ".precious.txt").write_text("")
    assert "not a run" in refused("--name", "other", "--overwrite")
    assert (other / ".precious.txt").is_file()


@pytest.mark.parametrize("split", ["train", "val"])
def test_labels_that_are_ignored_everywhere(trial, refused, split):
    for image_id in trial.ids[:6] if split == "train" else trial.ids[6:]:
        Image.fromarray(np.full((12, 16), 255, np.uint8)).save(trial.label(image_id))
    assert f"the labels of {split} hold ignored pixels only" in refused()


def test_a_stage_named_twice(refused):
    assert "names a stage twice" in refused("--model.stages", f"[{TINY.stages[0]}, {TINY.stages[0]}]")


def test_a_stage_that_is_no_stage(refused):
    assert "does not lead to the logits" in refused("--model.stages", f"[{TINY.stages[0]}, aux_classifier]")


def test_results_can_be_read_by_others(trial):
    assert train.main(trial.command()) == 0
    assert all(p.stat().st_mode & 0o044 for p in (trial.folder / "runs/run").glob("*.*"))


def test_a_device_without_values(refused):
    assert "'meta' cannot be used" in refused("--device", "meta")


def test_weights_that_overflow_are_not_kept(trial, capsys):
    """The loss of the last step was finite: its weights were stored, and called the best."""
    flags = (
        "--train.lr",
        "1e38",
        "--train.optimizer",
        "sgd",
        "--train.epochs",
        "1",
        "--data.crop-size",
        "[12,16]",
    )
    trial.ids_of("train", trial.ids[:2])
    assert train.main(trial.command(*flags, "--train.warmup-epochs", "0")) == 2
    lines = [line.rsplit("\r", 1)[-1] for line in capsys.readouterr().err.split("\n")]
    (line,) = [line for line in lines if line.startswith("error: ")]
    assert "is not finite after step 1, so this network is not kept; lower --train.lr" in line
    assert not list((trial.folder / "runs").rglob("*.pt"))


def test_overwrite_trains_anew_behind_a_link(trial):
    (trial.folder / "disk").mkdir()
    (trial.folder / "runs").mkdir()
    (trial.folder / "runs/run").symlink_to(trial.folder / "disk")
    assert train.main(trial.command()) == 0
    first = (trial.folder / "disk/last.pt").read_bytes()
    assert train.main(trial.command("--overwrite", "--seed", "5")) == 0
    assert (trial.folder / "disk/last.pt").read_bytes() != first
    assert '"seed": 5' in (trial.folder / "disk/summary.json").read_text()
