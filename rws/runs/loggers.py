"""Where the scores and pictures of a run go beside its own log: TensorBoard, CSV, Weights & Biases, MLflow.

Nothing leaves the machine unless a person has said so by the variables of the service itself: WANDB_MODE and
MLFLOW_TRACKING_URI.
"""

import csv
import hashlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from rws.errors import UserError
from rws.runtime.files import cut_off

PROJECT = "rws"  # of Weights & Biases; the experiment of MLflow
EXTRAS = ("wandb", "mlflow")  # loggers that need a package of their own, of the same name


class Logger(Protocol):
    """What a run tells. `images` counts the images that the arm has been trained on so far."""

    def scores(self, values: dict[str, float], images: int) -> None:
        """Numbers by name; a slash divides a name into groups."""

    def picture(self, name: str, picture: Image.Image, images: int) -> None:
        """A picture in RGB."""

    def end(self, results: dict[str, float]) -> None:
        """The run has ended or was stopped; its last scores, where it has any."""


class TensorBoard:
    """Event files in the run's folder `tensorboard`; the options and last scores as hyperparameters."""

    def __init__(self, folder: Path, name: str, options: dict[str, object]):
        self._writer, self._options = SummaryWriter(str(folder / "tensorboard")), options

    def scores(self, values: dict[str, float], images: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, images)
        self._writer.flush()

    def picture(self, name: str, picture: Image.Image, images: int) -> None:
        self._writer.add_image(name, np.asarray(picture), images, dataformats="HWC")

    def end(self, results: dict[str, float]) -> None:
        if results:
            self._writer.add_hparams(plain(self._options), results, run_name=".")
        self._writer.close()


class Csv:
    """`scores.csv` has a line for each number: name, images, value. Pictures lie in the folder `samples`.

    A resumed run repeats what it told after its last checkpoint; such lines are written once.
    """

    def __init__(self, folder: Path, name: str, options: dict[str, object]):
        self._path, self._samples = folder / "scores.csv", folder / "samples"
        self._told: set[tuple[str, str]] = set()
        cut_off(self._path)
        if self._path.is_file():
            with open(self._path, newline="", encoding="utf-8") as file:
                self._told = {(row[0], row[1]) for row in csv.reader(file) if len(row) == 3}
        else:
            self._add([("name", "images", "value")])

    def _add(self, rows: list[tuple[str, str, str]]) -> None:
        with open(self._path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)

    def scores(self, values: dict[str, float], images: int) -> None:
        rows = [(name, str(images), f"{value:.8g}") for name, value in values.items()]
        new = [row for row in rows if row[:2] not in self._told]
        self._told.update(row[:2] for row in new)
        self._add(new)

    def picture(self, name: str, picture: Image.Image, images: int) -> None:
        self._samples.mkdir(exist_ok=True)
        picture.save(self._samples / f"{name.replace('/', '_')}_{images}.jpg")

    def end(self, results: dict[str, float]) -> None:
        pass


class Wandb:
    """A run of Weights & Biases, offline in the run's folder unless WANDB_MODE says otherwise."""

    def __init__(self, folder: Path, name: str, options: dict[str, object]):
        import wandb

        self._picture_of = wandb.Image
        self._run = wandb.init(
            project=PROJECT,
            name=name,
            id=hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16],
            resume="allow",
            dir=str(folder),
            config=options,
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(silent=True),
        )
        self._run.define_metric("images")
        self._run.define_metric("*", step_metric="images")

    def scores(self, values: dict[str, float], images: int) -> None:
        self._run.log({**values, "images": images})

    def picture(self, name: str, picture: Image.Image, images: int) -> None:
        self._run.log({name: self._picture_of(picture), "images": images})

    def end(self, results: dict[str, float]) -> None:
        self._run.summary.update(results)
        self._run.finish()


class MLflow:
    """A run of MLflow, in a database in the run's folder unless MLFLOW_TRACKING_URI says otherwise."""

    def __init__(self, folder: Path, name: str, options: dict[str, object]):
        from mlflow import MlflowClient

        here = folder.resolve()
        elsewhere = os.environ.get("MLFLOW_TRACKING_URI")
        self._client = MlflowClient(tracking_uri=elsewhere or f"sqlite:///{here / 'mlflow.db'}")
        found = self._client.get_experiment_by_name(PROJECT)
        place = None if elsewhere else (here / "mlruns").as_uri()
        experiment = found.experiment_id if found else self._client.create_experiment(PROJECT, place)
        self._run = self._run_of(experiment, name, str(here))
        for key, value in plain(options).items():
            self._client.log_param(self._run, key, value)

    def _run_of(self, experiment: str, name: str, folder: str) -> str:
        """The run that this folder has begun, or a new one."""
        found = self._client.search_runs([experiment], f"tags.folder = '{folder}'", max_results=1)
        run = (
            found[0] if found else self._client.create_run(experiment, run_name=name, tags={"folder": folder})
        )
        return run.info.run_id

    def scores(self, values: dict[str, float], images: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, _mlflow_name(name), value, step=images)

    def picture(self, name: str, picture: Image.Image, images: int) -> None:
        self._client.log_image(self._run, picture, key=_mlflow_name(name), step=images)

    def end(self, results: dict[str, float]) -> None:
        self.scores(results, 0)
        self._client.set_terminated(self._run)


def _mlflow_name(name: str) -> str:
    """A name in the letters that MLflow allows."""
    return "".join(letter if letter.isalnum() or letter in "/_-. " else "_" for letter in name)


KINDS = {"tensorboard": TensorBoard, "csv": Csv, "wandb": Wandb, "mlflow": MLflow}
FILES = {"tensorboard", "scores.csv", "samples", "wandb", "mlflow.db", "mlruns"}  # in a run's folder


def plain(options: dict[str, object]) -> dict[str, bool | int | float | str]:
    """Options as hyperparameters, which are numbers or text."""
    return {key: v if isinstance(v, bool | int | float | str) else str(v) for key, v in options.items()}


def check_loggers(names: Sequence[str]) -> None:
    """Raises: UserError for a logger whose package is missing."""
    for name in names:
        if name in EXTRAS and importlib.util.find_spec(name) is None:
            raise UserError(f"log: {name} is not installed; `pip install {name}`, or leave it out of --log")


def open_loggers(names: Sequence[str], folder: Path, name: str, options: dict[str, object]) -> list[Logger]:
    """The loggers of a run, each once; `options` by dotted key.

    Raises: UserError for a logger that cannot be opened, as without a network where it was told to go online.
    """
    found: list[Logger] = []
    for kind in dict.fromkeys(names):
        try:
            found.append(KINDS[kind](folder, name, options))
        except Exception as error:
            if kind not in EXTRAS:
                raise
            words = " ".join(str(error).split())[:200]
            raise UserError(f"log: {kind} cannot be opened: {words}; leave it out of --log") from error
    return found
