"""Images, labels and films of every format, mode and size, sound and damaged."""

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from films import encode
from fuzz import bent, sample_and_all, try_all, wrong
from PIL import Image
from tiny import load_script

train, predict = load_script("train"), load_script("predict")
MODES = (
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "F",
    "I;16",
)
FORMATS = ("PNG", "PNG", "JPEG", "JPEG", "GIF", "BMP", "TIFF", "TIFF", "WEBP", "PPM", "ICO", "TGA",
"JPEG2000",
           "PCX", "DDS", "SGI", "MPO", "PDF", "EPS", "AVIF")  # fmt: skip
ENDINGS = (
    ".jpg",
    ".JPG",
    ".jpeg",
    ".png",
    ".PNG",
    ".tif",
    ".gif",
    ".bmp",
    ".webp",
    ".jp2",
    ".heic",
    ".pdf",
    "",
)
SIZES = ((24, 18), (24, 18), (24, 18), (1, 1), (1, 24), (300, 1), (2, 2), (18, 24), (7, 5), (513, 3))


def drawn(rng: random.Random, label: bool) -> Image.Image:
    width, height = rng.choice(SIZES)
    top = rng.choice((1, 2, 3, 255, 256, 65536)) if label else 256
    values = np.random.default_rng(rng.randrange(1000)).integers(0, top, (height, width, 3))
    mode = rng.choice(MODES)
    if mode in ("I", "F", "I;16"):
        kind = {"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]
        scale = rng.choice((1, 257, 1e-3, -1, float("nan"))) if mode == "F" else rng.choice((1, 257))
        return Image.fromarray((values[..., 0] * scale).astype(kind))
    picture = Image.fromarray(values.astype(np.uint8)[..., 0] if label else values.astype(np.uint8))
    try:
        return picture.convert("P" if label and mode == "PA" else mode)
    except ValueError:
        return picture


def picture(rng: random.Random, label: bool = False) -> bytes:
    """The bytes of a picture file, now and then damaged."""
    frames = [drawn(rng, label) for _ in range(rng.choice((1, 1, 1, 3)))]
    exif = Image.Exif()
    exif[274] = rng.choice((*range(10), 99))
    more = [
        {}, {"exif": exif}, {"exif": b"Exif\0\0" + rng.randbytes(30)}, {"icc_profile": rng.randbytes(50)},
        {"transparency": 0}, {"bits": 4}, {"compression": "tiff_lzw"}, {"dpi": (0, 0)}, {"interlace": 1},
    ]  # fmt: skip
    file = io.BytesIO()
    try:
        several = {"save_all": True, "append_images": frames[1:]} if len(frames) > 1 else {}
        frames[0].save(file, rng.choice(FORMATS), **rng.choice(more), **several)
    except Exception:  # not every format holds every mode
        file = io.BytesIO()
        Image.new("L" if label else "RGB", frames[0].size, 1).save(file, "PNG")
    content = file.getvalue()
    if content[:4] == b"\x89PNG" and rng.random() < 0.3:
        content = resized(
            content, rng.choice((0, 1, 25, 60_000, 2**31 - 1, 2**32 - 1)), rng.choice((1, 18, 60_000))
        )
    return bent(rng, content) if rng.random() < 0.6 else content


def resized(png: bytes, width: int, height: int) -> bytes:
    """A PNG whose header says another size, with the checksum to it."""
    head = png[12:16] + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + head + struct.pack(">I", zlib.crc32(head)) + png[33:]


def asked_to_train(rng: random.Random, place: Path, *flags: str) -> str:
    looking = ("--check-data",) if rng.random() < 0.3 else ()
    return wrong(train.main, "--config", place / "c.yaml", *looking, *flags)


@sample_and_all(10, 600)
def test_images_of_a_set(numbers, tmp_path, spoilable):
    def attempt(rng: random.Random, place: Path) -> str:
        root = spoilable(place)
        (root / "images/im0.jpg").unlink()
        (root / f"images/im0{rng.choice(ENDINGS[:5])}").write_bytes(picture(rng))
        return asked_to_train(rng, place)

    try_all(tmp_path, numbers, attempt, "image")


@sample_and_all(10, 600)
def test_labels_of_a_set(numbers, tmp_path, spoilable):
    def attempt(rng: random.Random, place: Path) -> str:
        root = spoilable(place)
        for image_id in rng.choice((("im0",), ("im0", "im1", "im2", "im3", "im4", "im5"))):
            (root / f"masks/{image_id}.png").write_bytes(picture(rng, label=True))
        return asked_to_train(rng, place, *rng.choice(((), ("--data.convert-rgb-labels",))))

    try_all(tmp_path, numbers, attempt, "label")


@sample_and_all(10, 500)
def test_photographs(numbers, tmp_path, checkpoint):
    def attempt(rng: random.Random, place: Path) -> str:
        photo = place / f"photo{rng.choice(ENDINGS)}"
        photo.write_bytes(picture(rng))
        ways = ((), (), ("--tta", "ms_flip"), ("--slide", "16", "--stride", "9"), ("--ways", "rws"))
        flags = ("--checkpoint", checkpoint, "--input", photo, "--output", place / "out", "--device", "cpu")
        return wrong(predict.main, *flags, *rng.choice(ways))

    try_all(tmp_path, numbers, attempt, "photograph")


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> list[bytes]:
    """Films of a few frames in several containers, and a moving picture."""
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)) for _ in range(3)]
    codecs = {"a.mp4": "libx264", "a.mkv": "libx264", "a.avi": "mpeg4", "a.mov": "mpeg4"}
    made = [encode(folder / name, frames, codec=codec).read_bytes() for name, codec in codecs.items()]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:])
    return [*made, (folder / "a.gif").read_bytes()]


@sample_and_all(6, 300)
def test_films(numbers, tmp_path, checkpoint, films):
    def attempt(rng: random.Random, place: Path) -> str:
        film = place / f"film{rng.choice(('.mp4', '.mkv', '.avi', '.mov', '.gif', '.webm'))}"
        film.write_bytes(bent(rng, rng.choice(films)))
        output = place / rng.choice(("out", "out.gif"))
        flags = ("--checkpoint", checkpoint, "--input", film, "--output", output, "--device", "cpu")
        return wrong(predict.main, *flags, several=True)

    try_all(tmp_path, numbers, attempt, "film")
