"""The rounds of SC-CAM: classify, cluster the features into sub-categories, classify these too, and again.

Round 0 knows the classes alone, so its maps are the plain ones. Every later round starts from the initial
weights and learns the sub-categories that the features of the round before fall into.
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from rws.cli import flatten
from rws.cycle.setup import Setup
from rws.data.batches import steps_per_epoch
from rws.data.transforms import train_transform
from rws.errors import DamagedFile, UserError
from rws.models.sc_cam import SUB_CATEGORIES, Classifier, SubCategoryNetwork
from rws.runs import checkpoint
from rws.runs.model_file import save_trained
from rws.runs.network import make_network
from rws.runs.summary import Round
from rws.runtime.bars import say
from rws.runtime.distributed import barrier, is_first, of_first
from rws.runtime.seeding import derive_seed
from rws.sc_cam.clusters import pooled_features, sub_category_labels
from rws.sc_cam.images import ClassifiedImages, image_labels
from rws.sc_cam.label_maps import LabelMaps
from rws.sc_cam.loss import classification_loss
from rws.training.evaluation import evaluate
from rws.training.job import Job
from rws.training.training import Training

# Of the background, among which the best one on the training images is taken.
THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 13))

# Options of other runs that would do nothing here, and what they are unless told.
UNUSED = {
    "cam_vis": False,
    "data.copy_paste": 0.0,
    "train.loss": "cross_entropy",
    "train.class_weights": "none",
}


class _Rounds(TypedDict):
    """rounds.json."""

    rounds: list[Round]


class Rounds:
    """One run of SC-CAM in its folder; what is finished is not run again.

    A round leaves rounds/<r>/network.pt, rounds/<r>/sub_categories.pt after round 0, and its record in
    rounds.json; the last one also last.pt, which `rws predict` reads, and the label maps of the training
    images, labels/<id>.png.
    """

    def __init__(self, setup: Setup):
        self.setup, self.config, self.folder = setup, setup.config, setup.folder
        if setup.card.classes.background != 0:
            raise UserError(
                f"model.name {self.config.model.name}: needs a data set whose class 0 is background"
            )
        values = flatten(asdict(self.config))
        if unused := [key for key, usual in UNUSED.items() if values[key] != usual]:
            raise UserError(
                f"{unused[0]} {values[unused[0]]}: SC-CAM, which learns from image-level labels, does not "
                f"use it; leave it at {UNUSED[unused[0]]}"
            )
        if setup.photographs is not None:
            raise UserError(
                f"model.name {self.config.model.name}: SC-CAM takes no photographs without labels; drop "
                "--data.unlabelled"
            )
        self.labels = image_labels(setup.train)
        self.records: list[Round] = of_first(self._sound_records)

    def _sound_records(self) -> list[Round]:
        """The records of the rounds whose files are sound; other files are removed, to be made anew."""
        path, records = self.folder / "rounds.json", []
        if path.is_file():
            try:
                records = checkpoint.read_json(path, _Rounds)["rounds"]
            except DamagedFile as error:
                _say(f"warning: {_what(error)}; the rounds are scored again")
        for r in range(self.config.sc_cam.rounds + 1):
            wrong = [*self._wrong(r, "network.pt", len(records) > r), *self._wrong(r, "sub_categories.pt")]
            for what in wrong:
                _say(f"warning: {what}; going back to round {r}")
            records = records[:r] if wrong else records
        return records

    def _wrong(self, r: int, name: str, needed: bool = False) -> list[str]:
        """What is wrong with a file that a round has left; a damaged one is removed."""
        path = self._path(r, name)
        if not path.is_file():
            return [f"{path}: missing"] if needed else []
        try:
            checkpoint.load(path)
        except UserError as error:
            path.unlink()
            return [_what(error)]
        return []

    def run(self) -> dict:
        """Run the rounds that are left; returns the summary."""
        for r in range(len(self.records), self.config.sc_cam.rounds + 1):
            self.records.append(self._round(r))
            checkpoint.write_json(self.folder / "rounds.json", {"rounds": self.records})
            if is_first():
                checkpoint.remove(self.folder / "training.pt")
            _say(_row(self.records[-1]))
        network, threshold = self._restored(len(self.records) - 1), self.records[-1]["threshold"]
        self._label_maps(network).write(self.setup.train_batches, threshold, self.folder / "labels")
        network.threshold.fill_(threshold)
        scores = evaluate(network, self.setup.val_batches, self.setup.card.classes)
        save_trained(self.folder / "last.pt", network, self.setup.card, miou=scores["miou"])
        summary = {"name": self.config.name, "seed": self.config.seed, "rounds": self.records, "last": scores}
        if self.setup.changes:
            summary["changes"] = list(self.setup.changes)
        checkpoint.write_json(self.folder / "summary.json", summary)
        _say(f"the last network by itself, without image labels: mIoU {scores['miou']:.2f}")
        return summary

    def _round(self, r: int) -> dict:
        """Train unless that is done, and score the maps; the round's record."""
        if not self._path(r).is_file():
            self._train(r)
        maps = self._label_maps(self._restored(r))
        by_threshold = maps.scores(self.setup.train_batches, THRESHOLDS)
        threshold = max(THRESHOLDS, key=lambda t: by_threshold[t]["miou"])
        return {
            "round": r,
            "loss": checkpoint.load(self._path(r))["loss"],
            "threshold": threshold,
            "train": by_threshold[threshold],
            "val": maps.scores(self.setup.val_batches, (threshold,))[threshold],
        }

    def _path(self, r: int, name: str = "network.pt") -> Path:
        return self.folder / "rounds" / str(r) / name

    def _initial(self) -> SubCategoryNetwork:
        return make_network(self.config, self.setup.card.classes.num_classes, self.setup.device)[0]

    def _restored(self, r: int) -> SubCategoryNetwork:
        network = self._initial()
        network.load_state_dict(checkpoint.load(self._path(r))["model"])
        return network.eval()

    def _label_maps(self, network: SubCategoryNetwork) -> LabelMaps:
        return LabelMaps(network, self.setup.card.classes, self.config.sc_cam.scales)

    def _train(self, r: int) -> None:
        """Train the classifiers of a round, and keep the network with the mean loss of the last epoch."""
        network, labels = self._initial(), torch.from_numpy(self.labels)
        heads = ["classes"]
        if r:
            heads.append("sub_categories")
            labels = torch.cat([labels, self._sub_categories(r)], 1)
        training = Training(
            Classifier(network, heads),
            self._job(r, labels),
            self.config.train,
            self.folder / "training.pt",
            self.setup.card.classes.ignore_index,
        )
        history = training.run()
        checkpoint.save(self._path(r), {"model": network.state_dict(), "loss": history[-1]["loss"]})
        barrier()

    def _job(self, r: int, labels: Tensor) -> Job:
        setup, train, key = self.setup, self.config.train, f"round-{r}"
        transform = train_transform(setup.geometry, setup.card.normalisation, setup.card.classes.ignore_index)
        epoch = steps_per_epoch(len(setup.train.ids), train.batch_size)
        return Job(
            key=key,
            views=ClassifiedImages(setup.train, transform, labels),
            steps=epoch * train.epochs,
            steps_per_epoch=epoch,
            batch_size=train.batch_size,
            seed=derive_seed(self.config.seed, key),
            workers=setup.workers,
            loss=partial(classification_loss, sub_loss=self.config.sc_cam.sub_loss),
        )

    def _sub_categories(self, r: int) -> Tensor:
        """Labels of the sub-categories that a round learns, found once and kept for a run that is resumed.

        Shape: (N, F * SUB_CATEGORIES) float32, 0 or 1.
        """
        path = self._path(r, "sub_categories.pt")
        if not path.is_file():
            features = pooled_features(self._restored(r - 1), self.setup.train_batches, self.setup.train.ids)
            if is_first():
                seed = derive_seed(self.config.seed, "clusters", r) % 2**32
                found = sub_category_labels(features, self.labels, SUB_CATEGORIES, seed)
                checkpoint.save(path, {"labels": torch.from_numpy(found).bool()})
            barrier()
        return checkpoint.load(path)["labels"].float()


def _what(error: UserError) -> str:
    return str(error).partition(";")[0]


def _say(line: str) -> None:
    if is_first():
        say(line)


def _row(record: dict) -> str:
    kind = "plain maps" if record["round"] == 0 else "sub-categories"
    return (
        f"round {record['round']} ({kind}): loss {record['loss']:.4f}, mIoU of its maps: train "
        f"{record['train']['miou']:.2f}, val {record['val']['miou']:.2f}, threshold {record['threshold']:.2f}"
    )
