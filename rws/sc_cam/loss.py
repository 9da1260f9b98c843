"""The loss of the classifier and of the classifier of sub-categories."""

import torch.nn.functional as F
from torch import Tensor

from rws.runtime.distributed import world


def classification_loss(output: dict[str, Tensor], labels: Tensor, sub_loss: float) -> Tensor:
    """Binary cross-entropy of the classes, plus `sub_loss` times that of the sub-categories where there are.

    Of several processes each has an equal part of the batch: the sum of their losses is that of the batch.

    Shape: logits "classes" (N, F) and, perhaps, "sub_categories" (N, F K); labels (N, F) or (N, F + F K),
        0 or 1 -> scalar.
    Source: Chang et al., eq. 4.
    """
    weights = {"classes": 1.0, "sub_categories": sub_loss}
    parts = labels.split([logits.shape[1] for logits in output.values()], 1)
    terms = [
        weights[head] * F.binary_cross_entropy_with_logits(logits.float(), part)
        for (head, logits), part in zip(output.items(), parts)
    ]
    return sum(terms) / world()
