"""Label files: the class numbers that they hold, in whichever mode a tool has written them."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from rws.data.classes import Colour, voc_colour
from rws.data.files import Header, orientation_of, raw_mode, turn
from rws.data.opening import FileError, opened
from rws.errors import UserError, said

LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".jpg", ".jpeg")
DRAWN_ON = ("shown", "stored")
_LOSSY = {"JPEG": "JPEG", "MPO": "JPEG", "JPEG2000": "JPEG 2000", "WEBP": "WebP", "AVIF": "AVIF"}
# Pillow spreads 2- and 4-bit grey values over 0..255; indices want them back.
_GREY_SCALE = {"L;2": 85, "L;4": 17}
_VOID = 255
_DAMAGED = "a label that cannot be decoded"
_INDICES = "labels must hold class indices, mode P or L"


def read_label(
    path: str | Path,
    by_colour: Mapping[Colour, int] | None = None,
    palette: Collection[Colour] = (),
    classes: Collection[int] = (),
) -> np.ndarray:
    """A label's numbers as the file holds them: palette indices or grey values, never colours.

    With `by_colour`, the number of each colour, a label in RGB is converted, one in mode P whose colours are
    those of other numbers, and one in mode L whose greys are such colours and not all numbers of classes.
    Without it RGB is taken for numbers where its red alone, or all channels alike, can be nothing else;
    `palette` are the colours of the classes, `classes` their numbers.

    Shape: (H, W) uint8.

    Raises: UserError for a missing or damaged file; FileError for one that does not hold class indices, and
    for a palette of greys that may be the numbers that are meant.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such label; add it or take its id from the list")
    with opened(path, what="label ") as label:
        mode, raw, form = label.mode, raw_mode(label), label.format
        pixels, shown = np.array(label), label.getpalette("RGB") if mode == "P" else None
        orientation = orientation_of(label)  # of TIFF, which decoding turns, it is gone by now
        form = "JPEG" if label.info.get("compression") == "jpeg" else form  # within TIFF
    if lossy := _LOSSY.get(form):
        way_out = f"{lossy} changes the numbers: make these labels again as PNG"
        raise FileError.of(path, f"a label in {lossy}", form, way_out)
    if ";16" in raw and pixels.ndim == 3:
        raise FileError.of(path, "a label of 16 bits a channel", mode, f"{_INDICES} (8 bits)")
    numbers = _Reading(path, mode, by_colour, palette, classes).numbers(pixels, raw, shown)
    return turn(numbers, orientation)


class _Reading:
    """One label on its way from pixels to numbers."""

    def __init__(
        self,
        path: str | Path,
        mode: str,
        by_colour: Mapping[Colour, int] | None,
        palette: Collection[Colour],
        classes: Collection[int],
    ) -> None:
        self.path, self.mode, self.by_colour = path, mode, by_colour
        self.palette, self.classes = palette, classes

    def numbers(self, pixels: np.ndarray, raw: str, shown: list[int] | None) -> np.ndarray:
        """Shape: (H, W) or (H, W, channels) -> (H, W) uint8."""
        if self.mode in ("P", "L", "1"):
            pixels = pixels.astype(np.uint8) // np.uint8(_GREY_SCALE.get(raw, 1))
            return self._of_palette(pixels, shown) if shown else self._of_greys(pixels)
        if self.mode in ("LA", "PA", "RGBA"):
            pixels = self._opaque(pixels)
        if pixels.ndim == 2:
            return self._of_large(pixels)
        if self.mode not in ("RGB", "RGBA"):
            raise FileError.of(self.path, "a label in a mode of photographs", self.mode, _INDICES)
        return self._of_colours(pixels)

    def _opaque(self, pixels: np.ndarray) -> np.ndarray:
        """Without the alpha channel: what is transparent must be 0 everywhere, so that nothing hides there.

        Shape: (H, W, n) -> (H, W, n - 1), or (H, W) of two.
        """
        alpha, plain = pixels[..., -1], pixels[..., :-1]
        hidden = (alpha < 255) & ((alpha > 0) | plain.any(-1))
        if hidden.any() and len(np.unique(alpha)) > 1:
            detail = f"{self.mode}, {hidden.mean():.0%} of its pixels"
            way_out = (
                "save it without alpha, with its own number where it is transparent (255 counts nowhere)"
            )
            raise FileError.of(self.path, "a label with transparent pixels", detail, way_out)
        return plain[..., 0] if plain.shape[-1] == 1 else plain

    def _of_large(self, pixels: np.ndarray) -> np.ndarray:
        """Whole numbers up to 255 of a mode that can hold more."""
        fit = (pixels >= 0) & (pixels <= 255) & (pixels == np.floor(pixels))
        if not fit.all():
            way_out = "labels hold class numbers of 8 bits; are these the numbers of objects (instances)?"
            detail = f"mode {self.mode}, such as {pixels[~fit][0]:g}"
            raise FileError.of(
                self.path, "a label with values that are no numbers from 0 to 255", detail, way_out
            )
        return pixels.astype(np.uint8)

    def _of_palette(self, numbers: np.ndarray, shown: list[int]) -> np.ndarray:
        colours = np.array(shown, np.uint8).reshape(-1, 3)
        if self.by_colour and disagreement(colours, np.unique(numbers), self.by_colour) is not None:
            return self._by_colour(colours[numbers])
        if (colours == colours[:, :1]).all():
            self._refuse_doubt(np.unique(numbers[numbers < len(colours)]), colours[:, 0])
        return numbers

    def _refuse_doubt(self, numbers: np.ndarray, greys: np.ndarray) -> None:
        """A palette of greys may show the numbers, or what writes GIF and small PNG made it of greys that
        were numbers: 0 and 2 become 0 and 1.

        Shape: numbers (n,) that are in the label, greys (m,) of the palette.
        Raises: FileError where 0 is not black, where greys are in another order than the numbers, and where
        they are all numbers of classes as well.
        """
        numbers = numbers[numbers != _VOID]
        shown = greys[numbers].astype(int)
        known = (*self.palette, *(self.by_colour or ()))
        as_meant = all(
            (g, g, g) in known or (g, g, g) == voc_colour(n) for n, g in zip(numbers.tolist(), shown)
        )
        if as_meant or (shown == numbers).all() or len(set(shown.tolist())) < len(shown):
            return
        ordered = (np.diff(shown) > 0).all() and (numbers[0] > 0 or shown[0] == 0)
        others = set(shown.tolist()) - {0, _VOID}
        if ordered and not (others and others <= set(self.classes)):
            return
        at = np.flatnonzero(shown != numbers)[0]
        detail = f"number {numbers[at]} is grey {shown[at]}"
        way_out = (
            "save it as PNG in mode L, in which greys are numbers, with the number of each pixel's class"
        )
        raise FileError.of(
            self.path, "a label with a palette of greys that may be its numbers", detail, way_out
        )

    def _of_greys(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers as they are, unless they are the colours of classes and no numbers of them."""
        present = np.unique(numbers).tolist() if self.by_colour else []
        if all(n in self.classes for n in present) or not all((n, n, n) in self.by_colour for n in present):
            return numbers
        return self._by_colour(np.dstack([numbers] * 3))

    def _of_colours(self, pixels: np.ndarray) -> np.ndarray:
        """Numbers that stand in all channels alike, or in red alone; or those of the colours."""
        if self.by_colour is not None:
            return self._by_colour(pixels)
        grey = (pixels == pixels[..., :1]).all()
        found = [tuple(c) for c in np.unique(pixels.reshape(-1, 3), axis=0).tolist() if any(c)]
        coloured = [colour for colour in found if colour in self.palette]
        if (grey or not pixels[..., 1:].any()) and not (found and coloured == found):
            return pixels[..., 0].copy()
        way_out = f"{_INDICES}: map the colours (--data.convert-rgb-labels does)"
        if not coloured:
            way_out = (
                f"{_INDICES}; its colours, such as {found[0]}, are no class's: give the classes theirs (in "
                "classes.txt of a folder), then --data.convert-rgb-labels maps them"
            )
        raise FileError.of(self.path, "a label in colours", self.mode, way_out)

    def _by_colour(self, pixels: np.ndarray) -> np.ndarray:
        """The numbers of the colours of a label.

        Shape: (H, W, 3) uint8 -> (H, W) uint8.
        Raises: FileError for a colour of no class, with the first place where it is.
        """
        codes = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
        present, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        colours = [(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in present]
        for colour, place in zip(colours, first.tolist()):
            if colour not in self.by_colour:
                row, column = divmod(place, codes.shape[1])
                detail = f"colour {colour} at row {row}, column {column}"
                way_out = "correct the label, or the colours of the set's classes"
                raise FileError.of(self.path, "a label with a colour of no class", detail, way_out)
        numbers = np.array([self.by_colour[colour] for colour in colours], np.uint8)
        return numbers[inverse].reshape(codes.shape)


def disagreement(
    palette: np.ndarray, numbers: np.ndarray, by_colour: Mapping[Colour, int]
) -> tuple[int, Colour, int] | None:
    """A number of a label in mode P, its colour, and the other number whose class has this colour.

    None where numbers and colours agree, and where the colours are no classes' or do not tell numbers apart.

    Shape: (n, 3) uint8 and the numbers that occur.
    """
    there = [int(n) for n in numbers if n < len(palette)]
    colours = {n: tuple(palette[n].tolist()) for n in there if n != 255 or 255 not in by_colour.values()}
    told = len(colours) > 1 and len(set(colours.values())) == len(colours)
    if not told or not all(colour in by_colour for colour in colours.values()):
        return None
    wrong = ((n, colour, by_colour[colour]) for n, colour in colours.items() if by_colour[colour] != n)
    return next(wrong, None)


def as_shown(label: np.ndarray, image: Header, option: str | None, path: Path) -> np.ndarray:
    """A label turned as its image is: where its size is that of the image as stored, it is turned too.

    option: one of DRAWN_ON, for labels whose size does not tell.

    Shape: (H, W) -> (H, W) or (W, H).
    Raises: FileError where neither tells.
    """
    if image.orientation == 1:
        return label
    if (on := drawn_on(label.shape, image, option)) is None:
        raise FileError.of(
            path,
            "an image that EXIF turns, where the label's size does not say whether it was drawn on the image "
            "as shown or as stored",
            f"orientation {image.orientation}",
            "say --data.orientation shown (what viewers and most tools show) or stored (the file's pixels)",
        )
    return turn(label, image.orientation) if on == "stored" else label


def drawn_on(size: tuple[int, int], image: Header, option: str | None) -> str | None:
    """Whether a label of this size was drawn on an image as "shown" or as "stored"; where the size does not
    tell, what the `option` says."""
    if image.orientation >= 5 and image.size[0] != image.size[1]:
        return "stored" if size == image.size[::-1] else "shown"
    return option


def read_mat(path: str | Path, key: str, field: str | None = None) -> np.ndarray:
    """A matrix of class numbers in a MATLAB file: the variable `key`, or a field of that structure.

    Shape: (H, W) uint8.
    Raises: UserError for a missing or damaged file, one without it, and one with other numbers than 0..255.
    """
    from scipy.io import loadmat  # here: most sets have none

    try:
        found = loadmat(path, squeeze_me=True, struct_as_record=False)[key]
        found = np.asarray(getattr(found, field) if field else found)
    except FileNotFoundError:
        raise UserError(f"{path}: no such label; add it or take its id from the list") from None
    except Exception as error:  # on damaged files nearly any type
        message = f"{path}: label cannot be decoded ({said(error)}); replace the file"
        raise FileError.of(path, _DAMAGED, "", "replace these files", message) from None
    if found.ndim != 2 or not np.issubdtype(found.dtype, np.integer) or found.min() < 0 or found.max() > 255:
        message = f"{path}: {key} is no matrix of class numbers in 0..255; replace the file"
        raise FileError.of(path, _DAMAGED, "", "replace these files", message)
    return found.astype(np.uint8)
