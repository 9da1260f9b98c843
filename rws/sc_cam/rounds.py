"""The rounds of SC-CAM: classify, cluster the features into sub-categories, classify these too, and again.

Round 0 knows the classes alone, so its maps are the plain ones. Every later round starts from the initial
weights and learns the sub-categories that the features of the round before fall into.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from rws.cycle.setup import Setup, make_network
from rws.data import Split
from rws.data.batches import SeededBatches, steps_per_epoch
from rws.data.eval_images import EvalBatch
from rws.data.transforms import train_transform
from rws.errors import UserError
from rws.look.viz import colour_label
from rws.models.sc_cam import SUB_CATEGORIES, SubCategoryNetwork
from rws.runs import checkpoint
from rws.runs.model_file import save_trained
from rws.runtime.device import device_of, to_network
from rws.runtime.distributed import world
from rws.runtime.seeding import derive_seed
from rws.sc_cam.cams import label_map, multi_scale_maps
from rws.sc_cam.clusters import sub_category_labels
from rws.sc_cam.images import TrainImages, image_labels, train_loader
from rws.train.evaluation import as_scores, confusion_matrix, evaluate
from rws.train.optimization import learning_rate, make_optimizer

# Of the background, among which the best one on the training images is taken.
THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 13))


class Rounds:
    """One run of SC-CAM in its folder; rounds that are finished are not run again.

    A round leaves rounds/<r>/network.pt and its record in rounds.json; the last one also last.pt, which
    predict.py reads, and the label maps of the training images, labels/<id>.png.
    """

    def __init__(self, setup: Setup):
        self.setup, self.config, self.folder = setup, setup.config, setup.folder
        classes = setup.card.classes
        if classes.background != 0:
            raise UserError(
                f"model.name {self.config.model.name}: needs a data set whose class 0 is background"
            )
        if world() > 1:
            raise UserError(
                f"model.name {self.config.model.name}: runs in one process; start it without torchrun"
            )
        self.labels = image_labels(setup.train)
        path = self.folder / "rounds.json"
        self.records: list[dict] = checkpoint.read_json(path)["rounds"] if path.is_file() else []

    def run(self) -> dict:
        """Run the rounds that are left; returns the summary."""
        for r in range(len(self.records), self.config.sc_cam.rounds + 1):
            self.records.append(self._round(r))
            checkpoint.write_json(self.folder / "rounds.json", {"rounds": self.records})
            tqdm.write(_row(self.records[-1]))
        network = self._restored(len(self.records) - 1)
        threshold = self.records[-1]["threshold"]
        self._write_labels(network, threshold)
        network.threshold.fill_(threshold)
        scores = evaluate(network, self.setup.val_batches, self.setup.card.classes)
        save_trained(self.folder / "last.pt", network, self.setup.card, miou=scores["miou"])
        summary = {"name": self.config.name, "seed": self.config.seed, "rounds": self.records, "last": scores}
        checkpoint.write_json(self.folder / "summary.json", summary)
        tqdm.write(f"the last network by itself, without image labels: mIoU {scores['miou']:.2f}")
        return summary

    def _round(self, r: int) -> dict:
        network = self._initial()
        subs = None
        if r:
            found = pooled_features(self._restored(r - 1), self.setup)
            seed = derive_seed(self.config.seed, "clusters", r) % 2**32
            subs = sub_category_labels(found, self.labels, SUB_CATEGORIES, seed)
        loss = self._train(network, subs, r)
        checkpoint.save(self._path(r), {"model": network.state_dict()})
        batches = self.setup.train_batches
        by_threshold = self._map_scores(network, self.setup.train, batches, self.labels, THRESHOLDS)
        threshold = max(THRESHOLDS, key=lambda t: by_threshold[t]["miou"])
        val = self.setup.val
        scores = self._map_scores(network, val, self.setup.val_batches, image_labels(val), (threshold,))
        return {
            "round": r,
            "loss": loss,
            "threshold": threshold,
            "train": by_threshold[threshold],
            "val": scores[threshold],
        }

    def _path(self, r: int):
        return self.folder / "rounds" / str(r) / "network.pt"

    def _initial(self) -> SubCategoryNetwork:
        return make_network(self.config, self.setup.card.classes.num_classes, self.setup.device)[0]

    def _restored(self, r: int) -> SubCategoryNetwork:
        network = self._initial()
        network.load_state_dict(checkpoint.load(self._path(r))["model"])
        return network

    def _train(self, network: SubCategoryNetwork, subs: np.ndarray | None, r: int) -> float:
        """Train the classifiers; the mean loss of the last epoch."""
        train, setup = self.config.train, self.setup
        transform = train_transform(setup.geometry, setup.card.normalisation, setup.card.classes.ignore_index)
        images = TrainImages(setup.train, transform)
        epoch = steps_per_epoch(len(images), train.batch_size)
        key, steps = f"round-{r}", epoch * train.epochs
        seed = derive_seed(self.config.seed, key)
        batches = SeededBatches(len(images), train.batch_size, steps, seed)
        optimizer = make_optimizer(network, train)
        labels = torch.from_numpy(self.labels)
        sub_labels = None if subs is None else torch.from_numpy(subs)
        losses = []
        torch.manual_seed(seed)
        network.train()
        loader = tqdm(train_loader(images, batches, setup.workers), desc=key, unit="step", leave=False)
        for step, (batch, index) in enumerate(loader):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps, epoch, train) * group["lr_factor"]
            scores = network.scores(network.features(to_network(batch, network)))
            known = (labels[index], None if sub_labels is None else sub_labels[index])
            loss = classification_loss(scores, known, self.config.sc_cam.sub_loss)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            loader.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
        network.eval()
        return float(np.mean(losses[-epoch:]))

    def _map_scores(
        self, network: SubCategoryNetwork, split: Split, batches, labels: np.ndarray, thresholds
    ) -> dict[float, dict]:
        """mIoU of the label maps at each threshold, where each image's classes are known."""
        classes = self.setup.card.classes
        matrices = {t: confusion_matrix(classes.num_classes, classes.ignore_index) for t in thresholds}
        for batch, maps, present in self._maps(network, split, batches, labels):
            for threshold, matrix in matrices.items():
                matrix.update(label_map(maps, present, threshold).cpu(), batch.labels)
        return {t: as_scores(matrix.compute(), classes.names) for t, matrix in matrices.items()}

    def _maps(self, network: SubCategoryNetwork, split: Split, batches, labels: np.ndarray):
        """Batches with their maps at the labels' size and the classes that each image holds."""
        place = {image_id: k for k, image_id in enumerate(split.ids)}
        for batch in tqdm(batches, desc=f"maps of {split.split}", unit="batch", leave=False):
            rows = [place[image_id] for image_id in batch.ids]
            present = torch.from_numpy(labels[rows] > 0).to(device_of(network))
            size = tuple(batch.labels.shape[-2:])
            yield batch, multi_scale_maps(network, batch.images, size, self.config.sc_cam.scales), present

    def _write_labels(self, network: SubCategoryNetwork, threshold: float) -> None:
        """The label maps of the training images, which a segmentation network can be trained on."""
        folder = self.folder / "labels"
        folder.mkdir(exist_ok=True)
        maps = self._maps(network, self.setup.train, self.setup.train_batches, self.labels)
        for batch, found, present in maps:
            for image_id, label in zip(batch.ids, label_map(found, present, threshold).cpu().numpy()):
                picture = colour_label(label.astype(np.uint8), self.setup.card.classes)
                picture.save(folder / f"{image_id}.png")


def classification_loss(
    scores: tuple[Tensor, Tensor], known: tuple[Tensor, Tensor | None], sub_loss: float
) -> Tensor:
    """Binary cross-entropy of the classes, plus `sub_loss` times that of the sub-categories where known.

    Shape: logits (N, F) and (N, F K), labels of the same shapes, 0 or 1 -> scalar.
    Source: Chang et al., eq. 4.
    """
    parents = F.binary_cross_entropy_with_logits(scores[0].float(), known[0].to(scores[0].device))
    if known[1] is None:
        return parents
    subs = F.binary_cross_entropy_with_logits(scores[1].float(), known[1].to(scores[1].device))
    return parents + sub_loss * subs


@torch.inference_mode()
def pooled_features(network: SubCategoryNetwork, setup: Setup) -> np.ndarray:
    """Mean of the features over each training image, in eval mode, in the order of the split.

    Shape: (N, C) float32.
    """
    place = {image_id: k for k, image_id in enumerate(setup.train.ids)}
    network.eval()
    found: dict[int, np.ndarray] = {}
    batch: EvalBatch
    for batch in tqdm(setup.train_batches, desc="features", unit="batch", leave=False):
        pooled = F.adaptive_avg_pool2d(network.features(to_network(batch.images, network)), 1).flatten(1)
        found |= dict(zip((place[i] for i in batch.ids), pooled.float().cpu().numpy()))
    return np.stack([found[k] for k in range(len(place))])


def _row(record: dict) -> str:
    kind = "plain maps" if record["round"] == 0 else "sub-categories"
    return (
        f"round {record['round']} ({kind}): loss {record['loss']:.4f}, mIoU of its maps: train "
        f"{record['train']['miou']:.2f}, val {record['val']['miou']:.2f}, threshold {record['threshold']:.2f}"
    )
