"""Pictures as data URIs of a few kilobytes each."""

import base64
import io

import numpy as np
from matplotlib import colormaps
from PIL import Image

# Levels of a heat map: more cannot be told apart by eye, and cost bytes.
LEVELS = 48


def _uri(picture: Image.Image, kind: str, **how: object) -> str:
    content = io.BytesIO()
    picture.save(content, kind, **how)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"


def fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height scaled down so that the longer is at most so many pixels."""
    factor = min(1.0, longest / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def photo(image: Image.Image, longest: int, *, quality: int = 80) -> str:
    """A photograph, in colours or in grey."""
    small = image.resize(fitted(image.size, longest), Image.Resampling.LANCZOS)
    return _uri(small, "JPEG", quality=quality, optimize=True)


def indexed(values: np.ndarray, palette: list[int], clear: list[int], longest: int) -> str:
    """Numbers in the colours of a palette; those in `clear` are transparent.

    Shape: (H, W) uint8.
    """
    picture = Image.fromarray(values)
    picture = picture.resize(fitted(picture.size, longest), Image.Resampling.NEAREST)
    picture.putpalette(palette)
    opaque = bytes(0 if value in clear else 255 for value in range(256))
    return _uri(picture, "PNG", optimize=True, transparency=opaque)


def heat(map: np.ndarray, where: np.ndarray, colours: str, longest: int) -> str:
    """A map in the colours of matplotlib's `colours`; transparent outside `where`.

    Shape: (H, W) in [0, 1]; (H, W) bool.
    """
    size = fitted((map.shape[1], map.shape[0]), longest)
    small = Image.fromarray(map.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    inside = np.asarray(Image.fromarray(where).resize(size, Image.Resampling.NEAREST))
    levels = np.rint(np.clip(np.asarray(small), 0, 1) * (LEVELS - 1)).astype(np.uint8)
    shades = (255 * colormaps[colours](np.linspace(0, 1, LEVELS))[:, :3]).round().astype(int)
    palette = [*shades.flatten().tolist(), *[0] * (768 - 3 * LEVELS)]
    return indexed(np.where(inside, levels, LEVELS).astype(np.uint8), palette, [LEVELS], longest)


def gradient(colours: str, stops: int = 12) -> str:
    """A colour bar from 0 to 1 as a CSS gradient."""
    shades = (255 * colormaps[colours](np.linspace(0, 1, stops))[:, :3]).round().astype(int)
    return f"linear-gradient(to right, {', '.join('rgb({}, {}, {})'.format(*shade) for shade in shades)})"
