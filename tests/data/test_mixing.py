"""Slices among whole images: how many, which, and that whole images stay those of the plain training."""

import pytest

from rws.data.batches import MixedBatches, SeededBatches, portion


def mixed(share: float, first: int = 0, batch: int = 8, steps: int = 12, whole: int = 40, slices: int = 30):
    return list(MixedBatches(SeededBatches(whole, batch, steps, seed=5, first=first), slices, share))


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.25, 2), (0.5, 4), (1.0, 8)])
def test_the_share_of_each_batch(share, count):
    for batch in mixed(share):
        assert len(batch) == 8
        assert sum(index >= 40 for index, _ in batch) == count


def test_shares_that_do_not_divide_a_batch_come_out_over_the_steps():
    counts = [sum(index >= 40 for index, _ in batch) for batch in mixed(0.3, steps=20)]
    assert sum(counts) == 0.3 * 8 * 20
    assert set(counts) == {2, 3}
    assert portion(3, 0.5, 5) == 8


def test_whole_images_that_stay_are_those_of_the_plain_training():
    for batch, plain in zip(mixed(0.5), SeededBatches(40, 8, 12, seed=5)):
        assert batch[:4] == plain[:4]


def test_slices_are_taken_all_before_any_comes_again():
    indices = [index - 40 for batch in mixed(0.5, steps=15) for index, _ in batch if index >= 40]
    assert sorted(indices[:30]) == sorted(indices[30:60]) == list(range(30))
    assert indices[:30] != indices[30:60]


def test_each_slice_has_a_seed_of_its_own():
    seeds = [seed for batch in mixed(1.0) for _, seed in batch]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("first", [1, 7, 11])
def test_a_resumed_training_sees_the_same_batches(first):
    assert mixed(0.3, first=first) == mixed(0.3)[first:]
