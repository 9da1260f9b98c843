"""Objects of another image in a crop: which are taken, and that image, label and coordinates agree."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rws.core.fusion import identity_coordinates
from rws.data.batches import SeededBatches
from rws.data.copy_paste import LARGEST, an_object, pasted
from rws.data.transforms import Geometry, Normalisation, train_transform
from rws.data.views import TrainViews, View, train_loader

PLAIN = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def a_label() -> Tensor:
    """Ground 0 with two squares of 1, a bar of 2 over half of the crop, one pixel of 3, and ignored ones."""
    label = torch.zeros(40, 40, dtype=torch.int64)
    label[2:8, 2:8] = label[30:36, 30:36] = 1
    label[10:30] = 2
    label[0, 20] = 3
    label[39] = 255
    return label


def test_an_object_is_a_connected_part_of_middle_size():
    """Only the squares are: the bar is too large, the pixel too small."""
    torch.manual_seed(0)
    places = set()
    for _ in range(30):
        mask = an_object(a_label(), (1, 2, 3))
        assert mask.sum() == 36
        assert (a_label()[mask] == 1).all()
        places.add(tuple(mask.nonzero()[0].tolist()))
    assert places == {(2, 2), (30, 30)}


@pytest.mark.parametrize("classes", [(), (2,), (3,), (2, 3), (4,)])
def test_where_there_is_no_object_nothing_is_pasted(classes):
    assert an_object(a_label(), classes) is None
    crop = [torch.rand(3, 40, 40), torch.zeros(40, 40, dtype=torch.int64)]
    assert all(map(torch.equal, pasted(crop, [torch.rand(3, 40, 40), a_label()], classes), crop))


def test_image_label_and_coordinates_agree_on_the_object():
    torch.manual_seed(1)
    crop = [torch.rand(3, 40, 40), torch.full((40, 40), 5), identity_coordinates(40, 40)]
    donor = [torch.rand(3, 40, 40) + 2, a_label()]
    image, label, where = pasted(crop, donor, (1,))
    mask = label == 1
    assert mask.sum() == 36
    assert torch.equal(image, torch.where(mask, donor[0], crop[0]))
    assert torch.equal(label, torch.where(mask, 1, 5))
    assert torch.equal(where, torch.where(mask, 0.0, crop[2]))
    assert (crop[1] == 5).all(), "what was handed in is left alone"


class Scenes:
    """A split of four images in one colour each, with a square in their middle of class 1 or 2."""

    ids = tuple("abcd")

    class classes:
        foreground, ignore_index = (1, 2), 255

    def image(self, image_id: str) -> Image.Image:
        return Image.new("RGB", (48, 48), (50 * self.ids.index(image_id),) * 3)

    def label(self, image_id: str) -> np.ndarray:
        label = np.zeros((48, 48), np.uint8)
        label[16:32, 16:32] = 1 + self.ids.index(image_id) % 2
        return label


def views(share: float, augment: str = "none") -> TrainViews:
    transform = train_transform(Geometry(48, (48, 48), augment=augment), PLAIN, 255)
    return TrainViews(Scenes(), [View(i) for i in Scenes.ids], transform, identity_coordinates, len, share)


def crops(share: float, count: int = 200) -> list:
    made = views(share)
    return [made[k % 4, k] for k in range(count)]


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_so_many_crops_have_an_object_of_another_image(share):
    """Those whose donor is the image itself look as before: one in four."""
    changed = sum(len(plain[0].unique()) == 2 for _, plain, _ in crops(share))
    assert abs(changed / 200 - share * 3 / 4) < 0.1
    for _, (image, label, where), _ in crops(share):
        pasted_here = where[2] == 0
        assert pasted_here.sum() in (0, 16 * 16)
        assert (label[pasted_here] > 0).all()
        assert len(image[:, pasted_here].unique()) <= 1
        assert pasted_here.float().mean() <= LARGEST


def test_without_it_nothing_is_drawn_and_nothing_changes():
    """The crops are those of views that know no copies, also where other crops have them."""
    transform = train_transform(Geometry(48, (48, 48)), PLAIN, 255)
    before = TrainViews(Scenes(), [View(i) for i in Scenes.ids], transform)
    for seed in range(5):
        now = views(0.0, "light")[1, seed][1]
        assert all(map(torch.equal, now[:2], before[1, seed][1]))


def test_a_resumed_training_sees_the_same_copies():
    def loaded(first: int, workers: int = 0) -> list:
        strong = views(0.8, "strong")
        strong.coordinates = strong.attach = None
        return list(train_loader(strong, SeededBatches(4, 2, 6, seed=3, first=first), workers))

    whole = loaded(0)
    for one, other in zip([*whole[3:], *whole], [*loaded(3), *loaded(0, workers=1)], strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
