"""Prediction for photographs: at their own size, with test-time augmentation, and heat maps of the stages."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as TF

from rws.core.cam import CamMethod, grad_cam, seg_grad_cam
from rws.core.labels import likeliest, resized_scores
from rws.core.stages import find_stages
from rws.data.files import DECODE_ERRORS
from rws.errors import UserError
from rws.predict.tta import augmented_scores, check, has_quarters, with_quarters
from rws.runs.model_file import Card
from rws.runtime.device import to_network

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
# The short side becomes the card's base_size: a strip of 10 x 4000 pixels would fill the memory.
MAX_ASPECT = 16


def displayed(image: Image.Image) -> Image.Image:
    """The image in 8-bit RGB as a viewer shows it: the camera's EXIF orientation applied.

    Raises: UserError for pixels whose range is unknown (32-bit integers, floats).
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        # Pillow's own conversion would cut everything above 255 to white.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UserError(f"image in mode {image.mode} (32 bits a pixel): save it with 8 or 16 bits")
    return image.convert("RGB")


def open_image(path: Path) -> Image.Image:
    """Read a photograph as `displayed` gives it.

    Raises: UserError that names a file that is missing or cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            return displayed(image)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except DECODE_ERRORS as error:
        raise UserError(f"{path}: image cannot be decoded ({error}); replace the file") from None


def network_input(card: Card, image: Image.Image, tta: str = "none") -> Tensor:
    """What the network sees of an image in RGB.

    Shape: (1, 3, h, w), the short side `card.base_size`; (5, 3, h, w) where `tta` `has_quarters`.
    Raises: UserError for an unknown `tta`, and an image more than MAX_ASPECT times as long as wide.
    """
    check(tta)
    if max(image.size) > MAX_ASPECT * min(image.size):
        size = f"{image.width} x {image.height} pixels"
        raise UserError(f"{size}: longer than {MAX_ASPECT} times its width; cut it into pieces")
    pixels = tv_tensors.Image(TF.pil_to_tensor(image))
    whole = card.transform()(pixels).as_subclass(Tensor)[None]
    return with_quarters(pixels, whole, card.transform()) if has_quarters(tta) else whole


def for_prediction(network: nn.Module, device: torch.device) -> nn.Module:
    """Bring a network to the device in eval mode and channels_last, without its auxiliary head.

    torchvision's networks would compute that head in eval mode too; the logits do not depend on it.
    channels_last is the format of training and evaluation, and faster; a contiguous network's logits differ
    in the last bits.
    """
    if getattr(network, "aux_classifier", None) is not None:
        network.aux_classifier = None
    return network.eval().to(device, memory_format=torch.channels_last)


@torch.inference_mode()
def probabilities(network: nn.Module, images: Tensor, tta: str = "none") -> Tensor:
    """Softmax probabilities, with `tta` their mean.

    Shape: as `augmented_scores`, float32 on the network's device.
    Raises: UserError for an unknown `tta`.
    """
    scores = augmented_scores(network, images, tta).float()
    return scores.softmax(1) if tta == "none" else scores


@torch.inference_mode()
def predict_logits(network: nn.Module, card: Card, image: Image.Image, tta: str = "none") -> Tensor:
    """The network's logits at the image's own (displayed) size; with `tta` logarithms of mean probabilities.

    With "none" they are the logits of the plain network, resized, and nothing else; "flip" averages over the
    mirrored image, "ms_flip" over TTA_SCALES too, "quarters" over the whole image and its enlarged quarters,
    "quarters_flip" over these and their mirror images. In each case a softmax gives probabilities.

    Shape: (C, H, W) on the network's device.
    Raises: UserError for an unknown `tta` and for an image that cannot be used.
    """
    image = displayed(image)
    scores = augmented_scores(network, network_input(card, image, tta), tta)
    scores = resized_scores(scores, (image.height, image.width))[0]
    return scores if tta == "none" else scores.clamp_min(torch.finfo(scores.dtype).tiny).log()


def predict_label(network: nn.Module, card: Card, image: Image.Image, tta: str = "none") -> np.ndarray:
    """The likeliest class of each pixel, as the argmax of `predict_logits`, in the memory of a few classes.

    Shape: (H, W) uint8.
    Raises: UserError for an unknown `tta` and for an image that cannot be used.
    """
    image = displayed(image)
    return label_of_input(network, network_input(card, image, tta), (image.height, image.width), tta)


@torch.inference_mode()
def label_of_input(network: nn.Module, images: Tensor, size: tuple[int, int], tta: str) -> np.ndarray:
    """`predict_label` of what `network_input` made of an image of `size` = (H, W).

    Shape: (1, 3, h, w), or what else `network_input` makes for `tta` -> (H, W) uint8.
    Raises: UserError for an unknown `tta`.
    """
    return likeliest(augmented_scores(network, images, tta), size).cpu().numpy()


def class_maps(
    network: nn.Module,
    card: Card,
    image: Image.Image,
    label: np.ndarray,
    index: int,
    method: CamMethod = grad_cam,
) -> tuple[Tensor, np.ndarray]:
    """Seg-Grad-CAM of every stage, or another `method`, for the pixels that `label` gives to class `index`.

    Shape: `image` (displayed) and `label` (H, W) -> maps (L, h, w) in [0, 1] on the CPU, all 0 at pixels
    of another class, and those of the class (h, w) bool at that size, which is the network input's.
    """
    images = to_network(network_input(card, image), network)
    height, width = images.shape[-2:]
    small = Image.fromarray(label == index).resize((width, height), Image.Resampling.NEAREST)
    own = np.asarray(small, dtype=bool)
    # Everything else gets a value of no class, so that only these pixels make the score.
    target = torch.from_numpy(np.where(own, index, -1)).to(images.device)
    stages = find_stages(network, card.stages)
    found = seg_grad_cam(network, stages, images, target[None], [index], method=method)
    return found.maps[0].cpu(), own


def find_images(source: Path, output: Path) -> tuple[list[Path], list[str]]:
    """The images of a folder and of the folders in it, or the one file; and a note on whatever is left out.

    Raises: UserError for a missing source and for a folder without an image.
    """
    if source.is_file():
        return [source], []
    if not source.is_dir():
        raise UserError(f"{source}: no such image or folder; give one with --input")
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    # Results of an earlier run in a folder inside the input are not its images.
    inside = output.resolve() != source.resolve()
    results = {path for path in files if inside and output.resolve() in path.resolve().parents}
    others = Counter(path.suffix or "none" for path in files if path.suffix.lower() not in SUFFIXES)
    images = [path for path in files if path not in results and path.suffix.lower() in SUFFIXES]
    if not images:
        raise UserError(f"{source}: no image in this folder (endings {', '.join(SUFFIXES)})")
    notes = [f"left out: {len(results)} files in the output folder {output}"] if results else []
    if others:
        endings = ", ".join(sorted(others))
        notes.append(f"left out: {others.total()} files that are no images (endings {endings})")
    return images, notes


def result_stems(images: Sequence[Path], source: Path, endings: Sequence[str]) -> dict[Path, Path]:
    """Where each image's results go, relative to the output and still without one of the `endings`.

    That is its stem; its whole name where stems would overwrite each other, as those of a.jpg and a.png.
    """
    folder = source if source.is_dir() else source.parent
    whole: set[Path] = set()
    while True:
        stems = {path: path.relative_to(folder) for path in images}
        stems = {path: stem if path in whole else stem.with_suffix("") for path, stem in stems.items()}
        results = {path: [f"{stem}{ending}" for ending in endings] for path, stem in stems.items()}
        count = Counter(name for names in results.values() for name in names)
        clashing = {path for path, names in results.items() if any(count[name] > 1 for name in names)}
        if clashing <= whole:
            return stems
        whole |= clashing
