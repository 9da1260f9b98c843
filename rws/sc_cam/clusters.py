"""Sub-categories of each class: clusters of the features of the images that hold it."""

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import MiniBatchKMeans

from rws.data.eval_images import EvalBatch
from rws.models.sc_cam import SubCategoryNetwork
from rws.runtime.bars import tracked
from rws.runtime.device import to_network
from rws.runtime.distributed import gathered, is_first


@torch.inference_mode()
def pooled_features(
    network: SubCategoryNetwork, batches: Iterable[EvalBatch], ids: Sequence[str]
) -> np.ndarray:
    """Mean of the features over each image, in eval mode, in the order of `ids`.

    Of several processes each passes its own batches, and all get the features of all images.

    Shape: (N, C) float32.
    """
    found: dict[str, np.ndarray] = {}
    for batch in tracked(batches, desc="features", unit="batch", leave=False, disable=not is_first()):
        pooled = F.adaptive_avg_pool2d(network.features(to_network(batch.images, network)), 1).flatten(1)
        found |= dict(zip(batch.ids, pooled.float().cpu().numpy()))
    everything = {image_id: row for part in gathered(found) for image_id, row in part.items()}
    return np.stack([everything[image_id] for image_id in ids])


def sub_category_labels(features: np.ndarray, labels: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Pseudo labels of the sub-categories, by k-means for each class alone.

    A class with fewer images than `number` gets as many sub-categories as it has images.

    Shape: features (N, C), labels (N, F) 0 or 1 -> (N, F * number) 0 or 1; of the `number` columns of a
        class one is 1 in an image that holds it, none in the others.
    Source: Chang et al., section 3.2.
    """
    found = np.zeros((*labels.shape, number), np.float32)
    for c in range(labels.shape[1]):
        own = np.flatnonzero(labels[:, c])
        if len(own):
            means = MiniBatchKMeans(min(number, len(own)), random_state=seed, n_init=3, batch_size=256)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of fewer distinct images than clusters
                found[own, c, means.fit_predict(features[own])] = 1
    return found.reshape(len(labels), -1)
