"""mIoU from one confusion matrix, against a table worked out by hand."""

import json

import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from rws.training.evaluation import as_scores, confusion_matrix, iou_per_class, mean_iou


def confusion(predicted, labels, classes: int = 4) -> torch.Tensor:
    metric = confusion_matrix(classes, 255)
    metric.update(torch.as_tensor(predicted), torch.as_tensor(labels))
    return metric.compute()


#      predicted      label         (class 3 is nowhere)
#      0 0 1 1        0   0 0 1
#      0 2 2 1        0 255 2 1
#      2 2 0 0        2 255 1 1
PREDICTED = [[0, 0, 1, 1], [0, 2, 2, 1], [2, 2, 0, 0]]
LABELS = [[0, 0, 0, 1], [0, 255, 2, 1], [2, 255, 1, 1]]
# The 10 labelled pixels, as (label, predicted): (0,0) 3 times, (0,1) once, (1,1) twice, (1,0) twice,
# (2,2) twice. The two predictions of 2 under 255 count nowhere.
COUNTS = [[3, 1, 0, 0], [2, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
# class 0: 3 hits of 3 + 1 missed + 2 wrong = 6 -> 3/6;  class 1: 2 of 2 + 2 + 1 = 5 -> 2/5;
# class 2: 2 of 2 -> 1;  class 3: absent.  mIoU = (1/2 + 2/5 + 1) / 3 = 19/30.
IOU = [3 / 6, 2 / 5, 1.0]


def test_hand_table():
    counts = confusion([PREDICTED], [LABELS])
    assert counts.tolist() == COUNTS
    iou = iou_per_class(counts)
    assert iou.dtype == torch.float64
    assert iou[:3].tolist() == IOU
    assert iou[3].isnan()
    assert mean_iou(iou) == pytest.approx(19 / 30, abs=1e-15)


def test_scores_are_percent_and_json_shows_an_absent_class_as_null():
    scores = as_scores(confusion([PREDICTED], [LABELS]), ("sky", "cat", "dog", "cow"))
    assert scores["miou"] == pytest.approx(100 * 19 / 30)
    assert scores["iou"] == {"sky": 50.0, "cat": 40.0, "dog": 100.0, "cow": None}
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_a_class_that_is_only_predicted_counts_as_zero():
    # Labels 0 0 0 0, predicted 0 0 3 3: class 0 has 2 of 4, class 3 has 0 of 2; classes 1 and 2 are absent.
    iou = iou_per_class(confusion([[0, 0, 3, 3]], [[0, 0, 0, 0]]))
    assert iou[0] == 0.5
    assert iou[3] == 0.0
    assert iou[1:3].isnan().all()
    assert mean_iou(iou) == 0.25


def test_predictions_under_the_ignored_value_count_nowhere():
    everything_wrong_there = confusion([[0, 1, 3, 2]], [[0, 1, 255, 255]])
    assert everything_wrong_there.sum() == 2
    assert mean_iou(iou_per_class(everything_wrong_there)) == 1.0


def test_division_into_batches_does_not_matter():
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randint(0, 4, (7, 5, 6), generator=generator)
    labels = torch.randint(0, 4, (7, 5, 6), generator=generator)
    labels[torch.rand(7, 5, 6, generator=generator) < 0.2] = 255
    once = confusion(predicted, labels)
    for size in (1, 2, 3, 5):
        metric = confusion_matrix(4, 255)
        for start in range(0, 7, size):
            metric.update(predicted[start : start + size], labels[start : start + size])
        assert torch.equal(metric.compute(), once)
    assert once.dtype == torch.int64


def test_counts_stay_exact_beyond_single_precision():
    """2^24 + 1 pixels have no float32."""
    counts = torch.tensor([[2**24 + 1, 0], [1, 2**24]])
    assert iou_per_class(counts)[0].item() == (2**24 + 1) / (2**24 + 2)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_torchmetrics_where_every_class_occurs(seed):
    generator = torch.Generator().manual_seed(seed)
    predicted = torch.randint(0, 4, (2, 8, 8), generator=generator)
    labels = torch.randint(0, 4, (2, 8, 8), generator=generator)
    labels[:, 0] = 255
    theirs = MulticlassJaccardIndex(4, ignore_index=255, average=None)(predicted, labels)
    assert torch.allclose(iou_per_class(confusion(predicted, labels)).float(), theirs)
    mean = MulticlassJaccardIndex(4, ignore_index=255)(predicted, labels)
    assert mean_iou(iou_per_class(confusion(predicted, labels))) == pytest.approx(mean.item(), abs=1e-6)
