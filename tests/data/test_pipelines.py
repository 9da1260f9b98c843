"""A pipeline of albumentations moves image, label and coordinates alike, and is seeded as our own is."""

import json
import pickle
import sys

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_augment import GIVEN, PLAIN, SIZES, check, waves
from torchvision import tv_tensors

from rws.core.fusion import identity_coordinates
from rws.data.batches import SeededBatches
from rws.data.coordinate_map import CoordinateMap
from rws.data.pipelines import REFUSED, Pipeline
from rws.data.transforms import Geometry, finish, train_transform
from rws.data.views import TrainViews, View, train_loader
from rws.errors import UserError

pytest.importorskip("albumentations")


def saved(folder, *transforms: dict, name: str = "pipeline.json", **more) -> str:
    """A file as albumentations.save leaves it; each transform is its class with its arguments."""
    tree = {"__class_fullname__": "Compose", "p": 1.0, "transforms": list(transforms), **more}
    path = folder / name
    content = {"__version__": "2.0.8", "transform": tree}
    path.write_text(yaml.safe_dump(content) if path.suffix == ".yaml" else json.dumps(content))
    return str(path)


def photo() -> tv_tensors.Image:
    return tv_tensors.Image(waves(96, 120))


def threes() -> tv_tensors.Mask:
    return tv_tensors.Mask(torch.full((96, 120), 3, dtype=torch.uint8))


def one(kind: str, p: float = 1.0, **arguments) -> dict:
    return {"__class_fullname__": kind, "p": p, **arguments}


# Those that move pixels. Small changes of size only: a pixel of a reduced image is the mean of several.
MOVES = [
    one("HorizontalFlip"),
    one("VerticalFlip"),
    one("Transpose"),
    one("D4"),
    one("RandomRotate90"),
    one("SquareSymmetry"),
    one("RandomCrop", height=60, width=70),
    one("CenterCrop", height=64, width=50),
    one("RandomCropFromBorders"),
    one("RandomScale", scale_limit=[0.0, 0.4]),
    one("Resize", height=220, width=210),
    one("SmallestMaxSize", max_size=210),
    one("LongestMaxSize", max_size=230),
    one("RandomResizedCrop", size=[100, 110], scale=[0.3, 0.5]),
    one("RandomSizedCrop", min_max_height=[50, 80], size=[90, 100]),
    one("CropAndPad", px=[-9, 9]),
    one("Pad", padding=[3, 20]),
    one("PadIfNeeded", min_height=205, min_width=210),
    one("Rotate", limit=[-40, 40]),
    one("SafeRotate", limit=[-40, 40], border_mode=0),
    one("Affine", scale=[1.0, 1.3], translate_percent=[-0.1, 0.1], rotate=[-20, 20], shear=[-8, 8]),
    one("ShiftScaleRotate", scale_limit=[0.0, 0.2]),
    one("Perspective", scale=[0.02, 0.08]),
    one("ElasticTransform", alpha=30, sigma=12),
    one("GridDistortion", distort_limit=[-0.1, 0.1]),
    one("OpticalDistortion", distort_limit=[-0.1, 0.1]),
]


class Moved:
    """A pipeline with the last steps of our own transforms, as `check` looks at what comes out of them."""

    def __init__(self, path: str):
        self.pipeline, self.finish = Pipeline(path, 255), finish(PLAIN)

    def __call__(self, *tensors):
        tensors = self.pipeline(*tensors)
        for step in self.finish:
            tensors = step(*tensors)
        return tensors


@pytest.mark.parametrize("move", MOVES, ids=[m["__class_fullname__"] for m in MOVES])
def test_each_transform_moves_image_label_and_coordinates_alike(move, tmp_path):
    moved = Moved(saved(tmp_path, move))

    @GIVEN
    @given(size=SIZES, seed=st.integers(0, 10**6))
    def holds(size, seed):
        check(moved, size, seed)

    holds()


def test_coordinates_that_stay_behind_are_found_out(tmp_path):
    moved = Moved(saved(tmp_path, one("HorizontalFlip")))

    def forgets(image, label, where):
        return (*moved(image, label, where)[:2], where)

    with pytest.raises(AssertionError):
        check(forgets, (96, 120), 0)


RECOLOURS = ("RandomBrightnessContrast", "HueSaturationValue", "GaussianBlur", "GaussNoise", "CLAHE")


@pytest.mark.parametrize("kind", RECOLOURS)
def test_colours_move_nothing(kind, tmp_path):
    image, label = (
        photo(),
        threes(),
    )
    where = CoordinateMap(identity_coordinates(96, 120))
    changed, same_label, same_where = Pipeline(saved(tmp_path, one(kind)), 255)(image, label, where)
    assert not torch.equal(changed, image)
    assert torch.equal(same_label, label)
    assert torch.equal(same_where, where)


def test_labels_are_never_mixed_and_what_is_filled_is_ignored(tmp_path):
    """Also where the file asks for something else."""
    turn = one("Rotate", limit=[30, 30], mask_interpolation=1, fill_mask=1, border_mode=0)
    holes = one("CoarseDropout", fill_mask=1, num_holes_range=[4, 4])
    label = np.zeros((96, 120), np.uint8)
    label[30:70, 30:70] = 9
    _, turned = Pipeline(saved(tmp_path, turn, holes), 255)(photo(), tv_tensors.Mask(torch.from_numpy(label)))
    assert set(turned.unique().tolist()) == {0, 9, 255}
    assert (turned[0, :10] == 255).all(), "a corner that the turned image does not reach"


def test_holes_without_a_label_of_their_own_keep_the_label(tmp_path):
    label = threes()
    image, kept = Pipeline(saved(tmp_path, one("CoarseDropout")), 255)(photo(), label)
    assert torch.equal(kept, label)
    assert (image == 0).all(0).any()


SEVERAL = {
    "__class_fullname__": "OneOf",
    "p": 0.9,
    "transforms": [one("Rotate", 0.7), one("Sequential", transforms=[one("Affine"), one("GaussNoise", 0.5)])],
}


class Photos:
    """A split of four images of waves in other places, labelled with their number."""

    ids = tuple("abcd")

    def image(self, image_id: str) -> Image.Image:
        return Image.fromarray(
            np.roll(waves(70, 90).permute(1, 2, 0).numpy(), 9 * self.ids.index(image_id), 1)
        )

    def label(self, image_id: str) -> np.ndarray:
        return np.full((70, 90), self.ids.index(image_id), np.uint8)


def views(path: str | None) -> TrainViews:
    transform = train_transform(Geometry(64, (48, 48), albumentations=path), PLAIN, 255)
    return TrainViews(Photos(), [View(i) for i in Photos.ids], transform, identity_coordinates)


def test_a_crop_depends_on_its_seed_alone(tmp_path):
    """Not on what was drawn before, nor on any other random state."""
    path = saved(tmp_path, SEVERAL, one("RandomBrightnessContrast", 0.5))
    used, fresh = views(path), views(path)
    for index in range(4):
        used[index, 3]
    np.random.seed(1)
    for seed in range(12):
        for one_of, other in zip(used[seed % 4, seed][1], fresh[seed % 4, seed][1]):
            assert torch.equal(one_of, other)
    crops = {used[0, seed][1][0].numpy().tobytes() for seed in range(12)}
    assert len(crops) == 12


def test_crops_are_the_same_in_other_processes(tmp_path):
    made = views(saved(tmp_path, SEVERAL))
    batches = [list(train_loader(made, SeededBatches(4, 2, 6, seed=3), workers)) for workers in (0, 2)]
    for here, there in zip(*batches, strict=True):
        assert here.ids == there.ids
        assert torch.equal(here.images, there.images)
        assert torch.equal(here.where, there.where)


def test_a_pipeline_goes_to_a_process_that_shares_no_memory(tmp_path):
    pipeline = Pipeline(saved(tmp_path, SEVERAL), 255)
    torch.manual_seed(5)
    here = pipeline(photo(), threes())
    torch.manual_seed(5)
    assert all(map(torch.equal, here, pickle.loads(pickle.dumps(pipeline))(photo(), threes())))


def test_the_pipeline_comes_before_the_crop_of_ours(tmp_path):
    """Whatever size it leaves, a crop has the size that the run asks for."""
    path = saved(tmp_path, one("CenterCrop", height=20, width=30))
    image, label, where = views(path)[2, 0][1]
    assert image.shape == (3, 48, 48)
    assert set(label.unique().tolist()) <= {2, 255}
    x = where[0][where[2] == 1]
    assert x.min() > -30 / 90 - 0.02
    assert x.max() < 30 / 90 + 0.02


def test_json_and_yaml_say_the_same(tmp_path):
    files = [saved(tmp_path, SEVERAL, name=f"pipeline.{kind}") for kind in ("json", "yaml")]
    crops = [views(path)[1, 7][1] for path in files]
    assert all(map(torch.equal, *crops))


def test_what_albumentations_saves_is_read(tmp_path):
    import albumentations

    boxes = albumentations.BboxParams(format="yolo", label_fields=["names"])
    pipeline = albumentations.Compose([albumentations.HorizontalFlip(p=1)], bbox_params=boxes)
    albumentations.save(pipeline, tmp_path / "whole.yaml", data_format="yaml")
    albumentations.save(pipeline[0], tmp_path / "single.json")
    image = tv_tensors.Image(waves(40, 50))
    for name in ("whole.yaml", "single.json"):
        assert torch.equal(Pipeline(tmp_path / name, 255)(image), image.flip(-1))


WRONG = {
    "unknown": ([one("Sparkle")], "'Sparkle' is no transform of albumentations"),
    "class of one's own": (
        [one("mine.augment.Flip")],
        "'mine.augment.Flip' is no transform of albumentations",
    ),
    "class of python": ([one("os.system")], "'os.system' is no transform of albumentations"),
    "inner": ([{**SEVERAL, "transforms": [one("subprocess.Popen")]}], "'subprocess.Popen' is no transform"),
    "a word": (["HorizontalFlip"], "'HorizontalFlip' is no transform"),
    "unknown argument": (
        [one("HorizontalFlip", turns=3)],
        "'turns' are not valid for transform",
    ),
    "value": ([one("Rotate", limit="far")], "limit"),
    "missing": ([one("RandomCrop")], "height"),
    "of another image": ([one("FDA")], "FDA needs fda_metadata"),
    "of boxes": ([one("RandomCropNearBBox")], "RandomCropNearBBox needs cropping_bbox"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_pipeline_that_cannot_be_taken_is_one_line(case, tmp_path):
    transforms, said = WRONG[case]
    path = saved(tmp_path, *transforms)
    with pytest.raises(UserError) as error:
        Pipeline(path, 255)
    assert str(error.value).startswith(f"data.albumentations {path}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", REFUSED)
def test_transforms_that_cannot_be_part_of_it_are_named_with_the_reason(kind, tmp_path):
    with pytest.raises(UserError, match=f"{kind} cannot be in it: {REFUSED[kind][:20]}"):
        Pipeline(saved(tmp_path, SEVERAL, one("OneOf", transforms=[one(kind)])), 255)


FILES = {
    "a list": ("[1, 2]", "not a pipeline"),
    "another file": ("train:\n  lr: 0.1\n", "not a pipeline"),
    "nothing": ("", "not a pipeline"),
    "no YAML": ("{", "not valid YAML"),
    "no text": ("\x00", "not valid YAML"),
    "python": ("!!python/object/apply:os.getcwd []", "not valid YAML"),
    "aliases": (
        "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"{n}: &{n} [{', '.join([f'*{m}'] * 10)}]\n" for m, n in zip("abcdefg", "bcdefgh")),
        "more than 10,000 values",
    ),
    "itself": ("a: &a\n  b: *a\n", "not valid YAML"),
}


@pytest.mark.parametrize("case", FILES)
def test_another_file_is_refused_in_one_line(case, tmp_path):
    text, said = FILES[case]
    path = tmp_path / "pipeline.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        Pipeline(path, 255)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"gone\.json: no such file"):
        Pipeline(tmp_path / "gone.json", 255)


def test_without_the_library_the_way_to_it_is_told(tmp_path, monkeypatch):
    path = saved(tmp_path, one("HorizontalFlip"))
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(UserError, match=r"not installed; run `pip install '\.\[albumentations\]'`"):
        Pipeline(path, 255)


def test_the_successor_of_another_series_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["albumentations"], "__version__", "2.5.1")
    with pytest.raises(UserError, match=r"2\.5\.1 of albumentations is installed, not 2\.0\.x; run `pip"):
        Pipeline(saved(tmp_path, one("HorizontalFlip")), 255)


def test_a_crop_larger_than_the_image_is_one_line(tmp_path):
    pipeline = Pipeline(saved(tmp_path, one("RandomCrop", height=500, width=500)), 255)
    with pytest.raises(UserError, match="fails on an image of 96x120 pixels"):
        pipeline(photo())


def test_an_image_of_one_channel_is_refused(tmp_path):
    pipeline = Pipeline(saved(tmp_path, one("ToGray", num_output_channels=1)), 255)
    with pytest.raises(UserError, match=r"leaves uint8 of shape \(96, 120\)"):
        pipeline(photo())
