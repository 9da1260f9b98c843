"""Augmentation by a pipeline that `albumentations.save` has written: image, label and coordinates move alike.

What such a file names is looked up among the transforms of albumentations and never imported.
"""

import importlib
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor
from torchvision import tv_tensors

from rws.data.coordinate_map import CoordinateMap
from rws.errors import UserError

NEAREST, LINEAR = 0, 1  # OpenCV's names of the interpolations
SERIES = "2.0."
MOST = 10_000  # values in a file, with each alias of YAML as what it stands for
# Transforms that a pipeline cannot have here, and why.
_ALREADY = "the run does this itself, by what the network expects; leave it out"
_OF_LABELS = "it changes the classes of a label"
_DRAWS = "what it draws depends on the label"
REFUSED = {
    "Normalize": _ALREADY,
    "ToFloat": _ALREADY,
    "FromFloat": _ALREADY,
    "ToTensorV2": _ALREADY,
    "ToTensor3D": _ALREADY,
    "Lambda": "a function of your own cannot be read from a file",
    "Morphological": _OF_LABELS,
    "MaskDropout": _DRAWS,
    "CropNonEmptyMaskIfExists": _DRAWS,
}


class Pipeline:
    """A transform like those of torchvision; what it draws depends on torch's random state alone.

    Labels are never interpolated, coordinates always are. What a transform fills is ignored.
    """

    def __init__(self, path: str | Path, ignore_index: int):
        """Raises: UserError for a file that holds no pipeline, or one that cannot be taken."""
        self.path, self.ignore_index = path, ignore_index
        tree = _read(Path(path))
        self._labels = _made(tree, path, ignore_index, NEAREST)
        self._coordinates = _made(tree, path, 0, LINEAR)

    def __reduce__(self) -> tuple:
        """As read from its file: what albumentations makes does not always go to another process."""
        return Pipeline, (self.path, self.ignore_index)

    def __call__(
        self, image: Tensor, label: Tensor | None = None, where: CoordinateMap | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """The same change of all that is given.

        Shape: image (3, H, W) uint8; label (H, W) uint8; where (3, H, W).

        Raises: UserError for a pipeline that fails, or leaves something else than an image and its label.
        """
        pixels, seed = image.permute(1, 2, 0).numpy(), int(torch.randint(2**31, ()))
        if label is None:
            return self._image(self._run(self._labels, seed, image=pixels))
        moved = self._run(self._labels, seed, image=pixels, mask=label.numpy())
        both = self._image(moved), tv_tensors.Mask(torch.from_numpy(np.ascontiguousarray(moved["mask"])))
        if where is None:
            return both
        # Drawn alike, since image and seed are the same.
        planes = where.permute(1, 2, 0).numpy()
        planes = self._run(self._coordinates, seed, image=pixels, mask=planes)["mask"]
        return *both, CoordinateMap(torch.from_numpy(np.ascontiguousarray(planes)).permute(2, 0, 1))

    def _run(self, pipeline: Any, seed: int, **given: np.ndarray) -> dict:
        pipeline.set_random_seed(seed)
        try:
            return pipeline(**given)
        except Exception as error:  # of any kind: each transform has its own
            size = "x".join(map(str, given["image"].shape[:2]))
            raise _wrong(self.path, f"fails on an image of {size} pixels ({_said(error)})") from error

    def _image(self, moved: dict) -> tv_tensors.Image:
        pixels = moved["image"]
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise _wrong(
                self.path, f"leaves {pixels.dtype} of shape {pixels.shape}, needed is uint8 (H, W, 3)"
            )
        if "mask" in moved and moved["mask"].shape != pixels.shape[:2]:
            raise _wrong(self.path, f"leaves a label of {moved['mask'].shape} for {pixels.shape[:2]} pixels")
        return tv_tensors.Image(torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1))


def _wrong(path: str | Path, reason: str) -> UserError:
    return UserError(f"data.albumentations {path}: {reason}")


def _said(error: Exception) -> str:
    """What an error of the library says, in one line."""
    if hasattr(error, "errors"):  # pydantic's: a page of which the first entry is enough
        first = error.errors()[0]
        return f"{' '.join(map(str, first['loc']))}: {first['msg']}"
    return " ".join(str(error).split()) or type(error).__name__


def _read(path: Path) -> dict:
    """The tree of transforms that a file holds. Raises: UserError."""
    if not path.is_file():
        raise _wrong(path, "no such file; albumentations.save(pipeline, FILE) writes one")
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        small = _count(content, MOST) >= 0
    except (ValueError, OSError, yaml.YAMLError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise _wrong(path, f"not valid {kind}: {_said(error)}") from error
    if not small:
        raise _wrong(path, f"holds more than {MOST:,} values, counting what its aliases stand for")
    tree = content.get("transform") if isinstance(content, dict) else None
    if not isinstance(tree, dict) or "__class_fullname__" not in tree:
        raise _wrong(path, "not a pipeline; albumentations.save(pipeline, FILE) writes one")
    return tree


def _count(value: object, left: int) -> int:
    """How many values may come after those in `value`; below 0 once there are too many."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    left -= 1
    for each in inner:
        if left < 0:
            break
        left = _count(each, left)
    return left


def _made(tree: dict, path: str | Path, fill: int, interpolation: int) -> Any:
    """The pipeline in a form that fills masks with `fill`. Raises: UserError."""
    library = _library(path)
    known = {
        name: kind
        for name, kind in library.core.serialization.SERIALIZABLE_REGISTRY.items()
        if kind.__module__.startswith("albumentations.")
    }
    tree = _without_boxes(tree, path, known)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings(
                "error", ".* not valid "
            )  # to the library an unknown argument is no error
            made = library.from_dict({"transform": tree})
            whole = library.Compose([made], mask_interpolation=interpolation)
    except Exception as error:  # of any kind, by what a transform makes of its arguments
        raise _wrong(
            path, f"albumentations {library.__version__} does not take it ({_said(error)})"
        ) from error
    for each in _all(whole):
        if needed := getattr(each, "targets_as_params", []):
            raise _wrong(path, f"{type(each).__name__} needs {needed[0]}, which is not there; leave it out")
        for name in ("fill_mask", "mask_drop_value"):
            if getattr(each, name, None) is not None:
                setattr(each, name, fill)
    return whole


def _all(transform: Any) -> Iterator[Any]:
    """A transform with all those in it."""
    yield transform
    for each in getattr(transform, "transforms", ()):
        yield from _all(each)


def _without_boxes(tree: object, path: str | Path, known: dict[str, type]) -> dict:
    """The tree without what is said of boxes and keypoints, and with nothing in it that is not known.

    Raises: UserError.
    """
    full = tree.get("__class_fullname__") if isinstance(tree, dict) else None
    name = str(full).removeprefix("albumentations.").rpartition(".")[2] if full else str(tree)
    if name in REFUSED:
        raise _wrong(path, f"{name} cannot be in it: {REFUSED[name]}")
    if full not in (name, f"albumentations.{name}") or name not in known:
        raise _wrong(path, f"{full or tree!r} is no transform of albumentations, and nothing else is run")
    kept = {key: value for key, value in tree.items() if key not in ("bbox_params", "keypoint_params")}
    if "transforms" in kept:
        inner = kept["transforms"] if isinstance(kept["transforms"], list) else [kept["transforms"]]
        kept["transforms"] = [_without_boxes(each, path, known) for each in inner]
    return kept


def _library(path: str | Path) -> ModuleType:
    """The module albumentations, without its look at the network for a newer version of itself.

    Raises: UserError where it is not installed, or another one than it.
    """
    for switch in ("NO_ALBUMENTATIONS_UPDATE", "ALBUMENTATIONS_NO_TELEMETRY"):
        os.environ.setdefault(switch, "1")
    way_out = "run `pip install '.[albumentations]'`"
    try:
        library = importlib.import_module("albumentations")
    except ImportError as error:
        raise _wrong(path, f"the package albumentations is not installed; {way_out}") from error
    # albumentationsx has the same module: its transforms take other arguments, and draw by another state.
    if not library.__version__.startswith(SERIES):
        raise _wrong(path, f"{library.__version__} of albumentations is installed, not {SERIES}x; {way_out}")
    return library
