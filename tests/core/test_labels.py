"""Probabilities and labels from scores, in either memory format."""

import pytest
import torch

from rws.core.labels import class_probabilities, likeliest


@pytest.mark.parametrize("classes", [2, 15, 16, 40])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_probabilities_are_the_softmax_over_the_classes(classes, memory_format):
    logits = 4 * torch.randn(2, classes, 6, 7, generator=torch.Generator().manual_seed(0))
    found = class_probabilities(logits.contiguous(memory_format=memory_format))
    torch.testing.assert_close(found, logits.exp() / logits.exp().sum(1, keepdim=True))


def test_the_likeliest_is_the_lower_of_equals_also_where_classes_come_one_by_one(monkeypatch):
    scores = torch.randint(0, 3, (1, 9, 5, 6), generator=torch.Generator().manual_seed(0)).float()
    expected = scores[0].argmax(0).to(torch.uint8)
    assert torch.equal(likeliest(scores, (5, 6)), expected)
    monkeypatch.setattr("rws.core.labels.VALUES_AT_ONCE", 1)
    assert torch.equal(likeliest(scores, (5, 6)), expected)
