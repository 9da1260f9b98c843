"""Scoring and selection over a small training set."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rws.config import SliceConfig
from rws.core.cam import seg_grad_cam
from rws.core.slices import window_boxes
from rws.core.stages import find_stages
from rws.data import open_split
from rws.data.classes import DEMO, ClassSet
from rws.data.eval_images import eval_loader
from rws.data.sets.demo import generate
from rws.data.sliced_images import SlicedImages, sliced_loader
from rws.data.transforms import Normalisation, eval_transform
from rws.method.bank import Bank
from rws.method.cams import CamNetwork
from rws.method.score import looked_at, score_images
from rws.method.select import select_features

STAGES = ("first", "second", "third")
TRANSFORM = eval_transform(60, Normalisation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))


class Net(nn.Module):
    """Three stages with batch normalisation and dropout, 6 classes."""

    def __init__(self):
        super().__init__()

        def stage(i, o, stride):
            return nn.Sequential(nn.Conv2d(i, o, 3, stride, 1), nn.BatchNorm2d(o), nn.ReLU(inplace=True))

        self.first, self.second, self.third = stage(3, 6, 2), stage(6, 8, 2), stage(8, 10, 1)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Conv2d(10, 6, 1)

    def forward(self, x):
        out = self.classifier(self.dropout(self.third(self.second(self.first(x)))))
        return {"out": F.interpolate(out, x.shape[-2:], mode="bilinear")}


def make_network(seed):
    torch.manual_seed(seed)
    network = Net()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.normal_(module.bias, std=0.3)
    return network.eval()


@pytest.fixture
def whole():
    return CamNetwork(make_network(0), STAGES, DEMO)


@pytest.fixture
def sliced():
    return CamNetwork(make_network(1), STAGES, DEMO)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    root = generate(tmp_path_factory.mktemp("demo") / "set", train=4, val=2, progress=False)
    return open_split("demo", root, "train")


@pytest.fixture(scope="module")
def batches(split):
    return list(eval_loader(split, TRANSFORM, batch_size=3, workers=0))


def plain_maps(scored, batch):
    stages = find_stages(scored.network, scored.stage_names)
    return seg_grad_cam(scored.network, stages, batch.images, batch.labels, DEMO.foreground).maps


def plain_iou(A, label, box):
    y, x, h, w = box
    attended, front = A[y : y + h, x : x + w] > 0, label[y : y + h, x : x + w] > 0
    either = np.count_nonzero(attended | front)
    return np.count_nonzero(attended & front) / either if either else 0.0


def test_weak_slices_and_missing_weights_are_those_of_a_plain_computation(whole, split, batches):
    windows = window_boxes(120, 160).tolist()
    boxes, missing, pixels = {}, np.zeros(3), 0
    for batch in batches:
        for image_id, A, label in zip(batch.ids, plain_maps(whole, batch).numpy(), batch.labels.numpy()):
            ious = [plain_iou(A[-1], label, box) for box in windows]
            boxes[image_id] = [tuple(box) for box, iou in zip(windows, ious) if 0 < iou < 0.95]
            for y, x in zip(*np.nonzero(label > 0)):
                missing += A[:, y, x].max() - A[:, y, x]
                pixels += 1
    scores = score_images(whole, batches, split.ids, SliceConfig())
    assert scores.boxes == boxes
    assert scores.weak == sum(map(len, boxes.values())) > 0
    assert scores.windows == 4 * len(windows)
    assert list(scores.missing) == list(STAGES)
    np.testing.assert_allclose(list(scores.missing.values()), missing / pixels, rtol=1e-5)


def test_weak_slices_need_the_last_stage_alone(whole, split, batches, monkeypatch):
    """With missing weights of some images only, the others' backward passes end at the last stage."""
    expected = score_images(whole, batches, split.ids, SliceConfig())
    monkeypatch.setattr("rws.method.score.RUN", 1)
    mapped = []
    real = CamNetwork.maps

    def maps(self, images, labels, **how):
        found = real(self, images, labels, **how)
        mapped.append(found.maps.shape[1])
        return found

    monkeypatch.setattr(CamNetwork, "maps", maps)
    one = list(eval_loader(split, TRANSFORM, batch_size=1, workers=0))
    found = score_images(whole, one, split.ids, SliceConfig(missing_images=1))
    assert sorted(mapped) == [1, 1, 1, 3]
    assert (found.boxes, found.weak, found.windows) == (expected.boxes, expected.weak, expected.windows)
    alone = score_images(whole, one[:1], [one[0].ids[0]], SliceConfig(missing_images=None))
    assert one[0].ids[0] in looked_at(split.ids, 1)
    assert found.missing == alone.missing


@pytest.mark.parametrize(("number", "expected"), [(None, 40), (40, 40), (16, 16), (7, 8), (1, 8)])
def test_images_looked_at_are_spread_over_the_set(number, expected):
    ids = [f"{i:02d}" for i in range(40)]
    found = looked_at(ids, number)
    assert len(found) == expected
    if expected == 16:
        assert sorted(found) == [*ids[:8], *ids[16:24]]


def test_boxes_are_in_the_order_of_the_data_set_whatever_the_batches(whole, split, batches):
    scores = score_images(whole, batches, split.ids, SliceConfig())
    backwards = score_images(whole, batches[::-1], split.ids, SliceConfig())
    assert list(scores.boxes) == list(backwards.boxes) == split.ids
    assert scores.boxes == backwards.boxes
    one = list(eval_loader(split, TRANSFORM, batch_size=1, workers=0))
    assert score_images(whole, one, split.ids, SliceConfig()).boxes == scores.boxes


def test_at_most_so_many_of_the_weakest_slices_are_kept(whole, split, batches):
    scores = score_images(whole, batches, split.ids, SliceConfig())
    every = scores.boxes
    assert max(map(len, every.values())) > 5
    capped = score_images(whole, batches, split.ids, SliceConfig(most_per_image=5))
    few = capped.boxes
    assert capped.weak == scores.weak == sum(map(len, every.values())), "the stop test counts them all"
    for batch in batches:
        for image_id, A, label in zip(batch.ids, plain_maps(whole, batch).numpy(), batch.labels.numpy()):
            ious = sorted(plain_iou(A[-1], label, box) for box in every[image_id])
            kept = sorted(plain_iou(A[-1], label, box) for box in few[image_id])
            assert kept == ious[:5]
            assert set(few[image_id]) <= set(every[image_id])


def test_without_background_every_labelled_pixel_is_foreground(whole):
    labels = torch.tensor([[0, 1, 255]])
    assert whole.is_foreground(labels).tolist() == [[False, True, False]]
    scene = ClassSet(("sky", "road"), ((0, 0, 0), (1, 1, 1)), background=None)
    assert CamNetwork(whole.network, STAGES, scene).is_foreground(labels).tolist() == [[True, True, False]]


@pytest.fixture(scope="module")
def boxes(split):
    """Five slices, of each image but the second."""
    windows = [tuple(box) for box in window_boxes(120, 160)[::7].tolist()]
    return {image_id: [] if image_id == split.ids[1] else windows[:5] for image_id in split.ids}


def select(whole, sliced, split, boxes, folder, batch_size=3, workers=0):
    images = sliced_loader(SlicedImages(split, boxes, TRANSFORM), workers)
    select_features(whole, sliced, images, folder, batch_size)
    return Bank(folder)


def test_the_bank_holds_the_images_with_slices_alone(whole, sliced, split, boxes, tmp_path):
    bank = select(whole, sliced, split, boxes, tmp_path / "bank")
    assert [image_id in bank for image_id in split.ids] == [True, False, True, True]
    assert bank.channels == {"first": 6, "second": 8, "third": 10}
    assert any(bank.fused_share(4).values())
    for image_id in split.ids:
        for stage, rows in bank.read(image_id).items():
            stride = {"first": 2, "second": 4, "third": 4}[stage]
            assert rows.grid == (60 // stride, 80 // stride)
            assert rows.f.shape == (len(rows.cells), bank.channels[stage])
            assert ((rows.n >= 0) & (rows.n < 1)).all()
            # Fused cells lie inside the image's own slices.
            y = (rows.cells // rows.grid[1] + 0.5) * 120 / rows.grid[0]
            x = (rows.cells % rows.grid[1] + 0.5) * 160 / rows.grid[1]
            inside = [
                (top <= y) & (y < top + h) & (left <= x) & (x < left + w)
                for top, left, h, w in boxes[image_id]
            ]
            assert torch.stack(inside).any(0).all()


def test_the_batch_size_does_not_matter(whole, sliced, split, boxes, tmp_path):
    first = select(whole, sliced, split, boxes, tmp_path / "3")
    for batch_size in (1, 36):
        other = select(whole, sliced, split, boxes, tmp_path / str(batch_size), batch_size)
        for image_id in split.ids:
            a, b = first.read(image_id), other.read(image_id)
            assert a.keys() == b.keys()
            for stage in a:
                assert torch.equal(a[stage].cells, b[stage].cells)
                torch.testing.assert_close(a[stage].n, b[stage].n, rtol=0, atol=1e-3)
                torch.testing.assert_close(a[stage].f, b[stage].f, rtol=2e-3, atol=2e-3)


def test_fault_11_features_are_those_of_eval_mode_without_augmentation(whole, sliced, split, boxes, tmp_path):
    select(whole, sliced, split, boxes, tmp_path / "eval")
    state = {k: v.clone() for k, v in whole.network.state_dict().items()}
    whole.network.train()
    sliced.network.train()
    torch.manual_seed(99)
    select(whole, sliced, split, boxes, tmp_path / "train")
    files = sorted(path.name for path in (tmp_path / "eval").iterdir())
    assert files == ["0.json", "0.rows", "index.json"]
    for name in files:
        assert (tmp_path / "eval" / name).read_bytes() == (tmp_path / "train" / name).read_bytes()
    assert whole.network.training
    assert sliced.network.training
    assert all(torch.equal(v, state[k]) for k, v in whole.network.state_dict().items())


def test_features_of_a_slice_are_those_of_its_enlarged_view(whole, sliced, split, boxes, tmp_path):
    """One slice, by hand: cut, enlarge, run, and read its map at the cells' centres."""
    image_id = split.ids[0]
    box = boxes[image_id][2]
    bank = select(whole, sliced, split, {image_id: [box]}, tmp_path / "bank")
    item = SlicedImages(split, {image_id: [box]}, TRANSFORM)[0]
    with torch.no_grad():
        f = sliced.network.first(item.slices)[0]
    rows = bank.read(image_id)["first"]
    assert len(rows.cells) > 0
    y = (rows.cells // rows.grid[1] + 0.5) * 120 / rows.grid[0]
    x = (rows.cells % rows.grid[1] + 0.5) * 160 / rows.grid[1]
    spots = torch.stack([(x - box[1]) / box[3], (y - box[0]) / box[2]], 1) * 2 - 1
    expected = F.grid_sample(f[None], spots[None, None], padding_mode="border", align_corners=False)
    expected = expected[0, :, 0].T
    torch.testing.assert_close(rows.f.float(), expected, rtol=2e-3, atol=2e-3)


def test_classes_that_no_slice_holds_get_no_map_of_the_whole_and_the_bank_is_the_same(
    whole, sliced, split, tmp_path, monkeypatch
):
    windows = window_boxes(120, 160).tolist()

    def held(image_id, box):
        y, x, h, w = box
        label = split.label(image_id)
        return len(np.unique(label)) - len(np.unique(label[y : y + h, x : x + w]))

    boxes = {i: [tuple(max(windows, key=lambda box: held(i, box)))] for i in split.ids}
    seen, maps = [], CamNetwork.maps

    def noted(self, images, labels, **kwargs):
        seen.append(labels.unique().tolist())
        return maps(self, images, labels, **kwargs)

    monkeypatch.setattr(CamNetwork, "maps", noted)
    few = select(whole, sliced, split, boxes, tmp_path / "few")
    passes, seen = seen, []
    monkeypatch.setattr("rws.method.select._of_windows", lambda item, ignored: item.label)
    select(whole, sliced, split, boxes, tmp_path / "all")
    assert sum(map(len, passes)) < sum(map(len, seen))
    assert any(few.fused_share(4).values())
    for name in ("0.json", "0.rows"):
        assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()


def test_no_image_with_slices_writes_no_bank(whole, sliced, split, tmp_path):
    images = sliced_loader(SlicedImages(split, {}, TRANSFORM), 0)
    select_features(whole, sliced, images, tmp_path / "bank", 3)
    assert not (tmp_path / "bank").exists()
