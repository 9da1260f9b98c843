"""The five steps of a cycle, each from what the steps before it left to what it leaves itself."""

import shutil
from collections.abc import Callable
from pathlib import Path

from torch import nn
from torch.optim.swa_utils import AveragedModel

from rws.core.fusion import identity_coordinates
from rws.cycle.artifacts import Artifacts
from rws.cycle.setup import Setup
from rws.data.batches import steps_per_epoch
from rws.data.boxes import Box
from rws.data.sliced_images import SlicedImages, sliced_loader
from rws.data.transforms import train_transform
from rws.data.views import TrainViews, View
from rws.errors import UserError
from rws.method.bank import Bank, is_sealed
from rws.method.cams import Scored
from rws.method.fuse import BankFusion, FusionSchedule
from rws.method.online import OnlineFusion, SliceReader, moving_average
from rws.method.random_control import draw_boxes, select_random
from rws.method.score import score_images
from rws.method.select import select_features
from rws.runs import checkpoint
from rws.runs.log import Reporter, SilentReporter
from rws.runtime.distributed import is_first
from rws.runtime.seeding import derive_seed
from rws.train.evaluation import evaluate
from rws.train.training import Job, Training

# What the seconds of a cycle hold beside those of its steps: sums over its trainings.
INSIDE = ("steps", "evaluation")


class Steps(Artifacts):
    """The steps of one run. Each returns what it adds to the record of its cycle.

    cycles: the records so far. spent: seconds of the trainings of the step that runs.
    """

    def __init__(self, setup: Setup):
        super().__init__(setup)
        self.report = Reporter(self.folder) if is_first() else SilentReporter()
        self.spent: dict[str, float] = {}

    @property
    def cycles(self) -> list[dict]:
        raise NotImplementedError

    def _uses_slices(self) -> bool:
        train = self.config.train
        return self.config.fusion.enabled or train.slice_mix > 0

    def _whole(self, k: int) -> dict:
        """Train on whole images, fused with the bank of the cycle before."""
        network = self._network(None if self.config.cycles.start == "initial" else k - 1)
        bank, steps = self._bank(k - 1), self._whole_steps(k)
        teacher = self._teacher(k) if bank else None
        share = self.config.train.slice_mix
        slices = self._slice_views(k - 1) if k and share else []
        views = [*(View(i) for i in self.setup.train.ids), *slices]
        views = self._views(views, self._attach(bank, k))
        history = self._train(
            f"whole-{k}",
            network,
            views,
            steps,
            on_epoch=self._keep_best(network, k),
            fusion=self._recipe(bank, network, k, steps, teacher) if bank else None,
            teacher=teacher,
            steps_before=self.config.train.epochs * self._epoch_steps() - steps if k else 0,
            slices=len(slices),
            slice_mix=share,
        )
        self._save(self._cycle(k) / "whole.pt", network, k, history)
        self._save(self.folder / "last.pt", network, k, history)
        images = len(self.setup.train.ids)
        record = {"images": images, "whole": history, "whole_images": steps * self._batch()}
        return record | ({"fused_share": bank.fused_share(images)} if bank else {})

    def _whole_steps(self, k: int) -> int:
        """Steps of a training on whole images.

        Raises: UserError when the slices have used up a cycle's images.
        """
        train = self.config.train
        epochs = (train.first_epochs or train.epochs) if k == 0 else train.epochs
        taken = (
            self.cycles[k - 1].get("slice_images", 0) if k and self.config.cycles.budget == "within" else 0
        )
        steps = epochs * self._epoch_steps() - taken // self._batch()
        if steps < 1:
            raise UserError(
                f"cycles.budget within: the slices took {taken} images, all that {epochs} epochs hold; "
                "lower train.slice_epochs"
            )
        return steps

    def _teacher(self, k: int) -> AveragedModel | None:
        """The slice network that follows the one in training, where it does."""
        bank = self.config.bank
        follows = bank.online and bank.teacher_decay < 1
        return moving_average(self._network(k - 1, "slices"), bank.teacher_decay) if follows else None

    def _recipe(
        self, bank: Bank, network: nn.Module, k: int, steps: int, teacher: AveragedModel | None
    ) -> FusionSchedule:
        config, crop = self.config.fusion, self.config.data.crop_size
        if self.config.bank.online:
            sliced = teacher.module if teacher is not None else self._network(k - 1, "slices")
            fusion = OnlineFusion(bank, network, crop, config.stages, sliced=sliced)
        else:
            fusion = BankFusion(bank, network, crop, config.stages)
        return FusionSchedule(fusion, config.mode, steps, derive_seed(self.config.seed, f"whole-{k}"))

    def _attach(self, bank: Bank | None, k: int) -> Callable[[str], object] | None:
        """What reads the rows that travel with an image."""
        if bank is None or not self.config.bank.online:
            return bank and bank.read
        return SliceReader(bank, self._sliced_images(self._boxes(k - 1)))

    def _plain(self, k: int) -> dict:
        """Train the plain network further by as many images as RWS saw in this cycle, slices included."""
        if not self.config.cycles.plain:
            return {}
        done = self.cycles[k]
        if k == 0:
            if is_first():
                shutil.copyfile(self._cycle(0) / "whole.pt", self._cycle(0) / "plain.pt")
            return {"plain": done["whole"], "plain_images": done["whole_images"]}
        network = self._network(k - 1, "plain")
        images = done["whole_images"] + self.cycles[k - 1].get("slice_images", 0)
        views = self._views([View(i) for i in self.setup.train.ids])
        history = self._train(f"plain-{k}", network, views, images // self._batch())
        self._save(self._cycle(k) / "plain.pt", network, k, history)
        return {"plain": history, "plain_images": images}

    def _score(self, k: int) -> dict:
        """Map the training images and find the weak slices, where anything uses them."""
        if not self._uses_slices():
            return {}
        scored = self._scored(self._network(k))
        batches = self.setup.train_batches
        scores = score_images(scored, batches, self.setup.train.ids, self.config.slices)
        checkpoint.write_json(self._cycle(k) / "slices.json", scores.boxes)
        if self.config.cam_vis and is_first():
            from rws.look.cam_vis import write_pictures  # matplotlib is loaded only for those who look

            folder = self.folder / "cam" / str(k)
            config, setup = self.config, self.setup
            images, method = config.cam_vis_images, config.cam_method
            write_pictures(scored, setup.train, setup.card, folder, images, method)
        kept = sum(len(boxes) for boxes in scores.boxes.values())
        counts = {"weak_slices": scores.weak, "windows": scores.windows, "kept_slices": kept}
        return counts | {"missing_weight": scores.missing, "attention": scores.attention}

    def _slices(self, k: int) -> dict:
        """Train a copy on the weak slices, where their features are used; without epochs it stays a copy."""
        if not self.config.fusion.enabled:
            return {}
        if not self.config.train.slice_epochs:
            if is_first():
                shutil.copyfile(self._cycle(k) / "whole.pt", self._cycle(k) / "slices.pt")
            return {"slice_images": 0}
        network = self._network(None if self.config.cycles.start == "initial" else k)
        views = self._views(self._slice_views(k))
        epoch = steps_per_epoch(len(views), self._batch())
        steps = max(1, round(self.config.train.slice_epochs * epoch))
        history = self._train(f"slices-{k}", network, views, steps, scored=False)
        self._save(self._cycle(k) / "slices.pt", network, k, history)
        return {"slice_images": steps * self._batch(), "slice_loss": history[-1]["loss"]}

    def _select(self, k: int) -> dict:
        """Let the slices compete, and write the winners' features into the bank."""
        if not self.config.fusion.enabled:
            return {}
        sliced = self._scored(self._network(k, "slices"))
        random = self.config.fusion.positions == "random"
        bank = self._cycle(k) / ("advantaged" if random else "bank")
        if not (random and is_sealed(bank)):  # a comparison lends the selection of another arm
            select_features(
                self._scored(self._network(k)),
                sliced,
                sliced_loader(self._sliced_images(self._boxes(k)), self.setup.workers),
                bank,
                self.config.train.eval_batch_size,
                "winner" if self.config.bank.online else self.config.bank.precision,
            )
        if random:
            self._randomise(k, sliced, bank)
        return {}

    def _randomise(self, k: int, sliced: Scored, advantaged: Path) -> None:
        """Replace the bank by one of random positions."""
        seed = derive_seed(self.config.seed, f"random-{k}")
        found, split = Bank(advantaged), self.setup.train
        boxes = draw_boxes(found, self._boxes(k), split, self.config.slices, seed)
        loader = sliced_loader(self._sliced_images(boxes), self.setup.workers)
        select_random(sliced, found, loader, self._cycle(k) / "bank", self.config.train.eval_batch_size, seed)
        if is_first():
            shutil.rmtree(advantaged)

    def _sliced_images(self, boxes: dict[str, list[Box]]) -> SlicedImages:
        return SlicedImages(self.setup.train, boxes, self.setup.card.transform())

    def _scored(self, network: nn.Module) -> Scored:
        return Scored(network.eval(), self.setup.card.stages, self.setup.card.classes)

    def _batch(self) -> int:
        return self.config.train.batch_size

    def _epoch_steps(self) -> int:
        return steps_per_epoch(len(self.setup.train.ids), self._batch())

    def _views(self, views: list[View], attach: Callable[[str], object] | None = None) -> TrainViews:
        card = self.setup.card
        transform = train_transform(self.setup.geometry, card.normalisation, card.classes.ignore_index)
        fused = {"coordinates": identity_coordinates, "attach": attach} if attach else {}
        return TrainViews(self.setup.train, views, transform, **fused)

    def _train(
        self,
        key: str,
        network: nn.Module,
        views: TrainViews,
        steps: int,
        *,
        scored: bool = True,
        on_epoch: Callable[[dict], None] = lambda record: None,
        **special: object,
    ) -> list[dict]:
        """Run one training of the run, with what is special about its job; its records go into the log."""
        arm = "plain" if key.startswith("plain") else "rws"
        epoch = steps_per_epoch(len(views) - special.get("slices", 0), self._batch())
        job = Job(
            key=key,
            views=views,
            steps=steps,
            steps_per_epoch=epoch,
            batch_size=self._batch(),
            seed=derive_seed(self.config.seed, key),
            workers=self.setup.workers,
            evaluate=self._evaluate if scored else None,
            **special,
        )
        before = sum(c.get("whole_images", 0) + c.get("slice_images", 0) for c in self.cycles)

        def report(record: dict) -> None:
            self.report.epoch(key, arm, before + record["step"] * self._batch(), record)
            on_epoch(record)

        classes = self.setup.card.classes
        training = Training(
            network, job, self.config.train, self.folder / "training.pt", classes.ignore_index
        )
        history = training.run(report)
        self._spend(training.seconds_before, history)
        return history

    def _spend(self, before: float, history: list[dict]) -> None:
        """Count a training's seconds: those before it was resumed, of optimizer steps, of evaluation."""
        self.spent["before"] += before
        for name, key in zip(INSIDE, ("seconds_steps", "seconds_eval")):
            self.spent[name] += sum(record.get(key, 0.0) for record in history)

    def _evaluate(self, network: nn.Module) -> dict:
        return evaluate(network, self.setup.val_batches, self.setup.card.classes)
