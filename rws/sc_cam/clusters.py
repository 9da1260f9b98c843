"""Sub-categories of each class: clusters of the features of the images that hold it."""

import warnings

import numpy as np
from sklearn.cluster import MiniBatchKMeans


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
