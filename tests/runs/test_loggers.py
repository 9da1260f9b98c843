"""Where scores and pictures go: each logger holds what it was told, once, and stays on this machine."""

import csv
import sqlite3

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rws.errors import UserError
from rws.runs import loggers

OPTIONS = {"train.lr": 0.01, "log": ("csv",), "data.category": None}
PICTURE = Image.new("RGB", (12, 8), (200, 10, 10))


def tell(name: str, folder, values=None) -> None:
    (logger,) = loggers.open_loggers([name], folder, "run", OPTIONS)
    logger.scores(values or {"rws/loss": 0.5, "rws/iou/traffic light": 12.5}, 32)
    logger.picture("rws/samples", PICTURE, 32)
    logger.end({"final/rws_miou": 50.0})


def test_tensorboard_holds_scores_pictures_and_hyperparameters(tmp_path):
    tell("tensorboard", tmp_path)
    seen = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (loss,) = seen.Scalars("rws/loss")
    assert (loss.step, loss.value) == (32, 0.5)
    assert seen.Scalars("rws/iou/traffic light")[0].value == 12.5
    assert (seen.Images("rws/samples")[0].width, seen.Images("rws/samples")[0].height) == (12, 8)
    assert "_hparams_/session_start_info" in seen.summary_metadata
    assert seen.Scalars("final/rws_miou")[0].value == 50.0


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_csv_is_written_once_by_a_run_that_repeats_itself(tmp_path):
    tell("csv", tmp_path)
    tell("csv", tmp_path)
    assert rows(tmp_path / "scores.csv") == [
        ["name", "images", "value"],
        ["rws/loss", "32", "0.5"],
        ["rws/iou/traffic light", "32", "12.5"],
    ]
    assert Image.open(tmp_path / "samples" / "rws_samples_32.jpg").size == (12, 8)


def test_a_line_of_a_csv_that_was_cut_off_is_written_again(tmp_path):
    (tmp_path / "scores.csv").write_text("name,images,value\nrws/loss,3")
    tell("csv", tmp_path, {"rws/loss": 0.25})
    assert rows(tmp_path / "scores.csv")[-1] == ["rws/loss", "32", "0.25"]


def test_each_logger_is_opened_once(tmp_path):
    assert len(loggers.open_loggers(["csv", "csv"], tmp_path, "run", {})) == 1


@pytest.mark.parametrize("name", loggers.EXTRAS)
def test_a_missing_package_is_one_line_before_a_run_begins(name, monkeypatch):
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=f"log: {name} is not installed; `pip install {name}`"):
        loggers.check_loggers(["csv", name])


@pytest.mark.slow
def test_wandb_is_offline_and_in_the_runs_folder(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    tell("wandb", tmp_path)
    (offline,) = (tmp_path / "wandb").glob("offline-run-*")
    assert list(offline.glob("*.wandb"))
    assert list(offline.rglob("*.png"))


@pytest.mark.slow
def test_mlflow_is_a_database_in_the_runs_folder_and_a_resumed_run_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tell("mlflow", tmp_path)
    tell("mlflow", tmp_path, {"rws/loss": 0.25})
    with sqlite3.connect(tmp_path / "mlflow.db") as base:
        assert base.execute("select count(*) from runs").fetchone() == (1,)
        found = base.execute("select value, step from metrics where key = 'rws/loss' order by value")
        assert found.fetchall() == [(0.25, 32), (0.5, 32)]
        assert base.execute("select value from params where key = 'train.lr'").fetchone() == ("0.01",)
    assert list((tmp_path / "mlruns").rglob("*.png"))


def test_a_logger_that_cannot_be_opened_is_one_line(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError("no\nroute")

    monkeypatch.setitem(loggers.KINDS, "wandb", broken)
    with pytest.raises(UserError, match=r"log: wandb cannot be opened: no route; leave it out of --log"):
        loggers.open_loggers(["wandb"], tmp_path, "run", {})
