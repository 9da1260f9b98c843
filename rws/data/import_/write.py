"""An export written as a folder of one's own: images/, masks/, classes.txt, and the lists of the splits."""

import io
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from rws.data.classes import ClassSet, voc_colour
from rws.data.files import SUFFIXES, Header, read_header, read_image, turn
from rws.data.import_.found import IGNORED, Found, Objects, Picture, number_classes
from rws.data.import_.shapes import Unread
from rws.data.label_files import drawn_on
from rws.data.lookup import key
from rws.data.opening import CONVERT, DECODE_ERRORS, WINDOWED
from rws.data.sets.folder_layouts import CLASSES_FILE, IMAGES, MASKS
from rws.errors import UserError
from rws.runtime.bars import tracked

_ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "TIFF": ".tif", "WEBP": ".webp"}
_LONGEST = 200  # bytes of an id


@dataclass(frozen=True)
class Options:
    """How to write.

    copy: images, where else they are linked. orientation: what was drawn on, where EXIF turns an image and
    its size does not tell. skip_empty: leave out images without an object.
    """

    copy: bool = False
    orientation: str = "shown"
    skip_empty: bool = False


@dataclass
class Written:
    """What has become of an export; `splits` has the ids."""

    names: list[str] = field(default_factory=list)
    splits: dict[str | None, list[str]] = field(default_factory=dict)
    empty: int = 0
    lost: list[int] = field(default_factory=list)  # pixels, an image that has some
    unsplit: list[str] = field(default_factory=list)  # ids in train that are of no split
    small: list[str] = field(default_factory=list)  # images with objects that cover no pixel
    turned: int = 0
    linked: bool = True


def write(found: Found, output: Path, options: Options) -> Written:
    """Write what was found into the new folder `output`, which appears only when it is complete; what cannot
    be read is added to `found.left_out`.

    Raises: UserError for an output that exists or cannot be written, and where no image can be read.
    """
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UserError(f"{output}: exists already; delete it, or give another --output")
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        written = _Writer(unfinished, options, number_classes(found.names)).write(found)
        unfinished.chmod(0o755)  # mkdtemp makes folders for their owner alone
        with suppress(FileNotFoundError):
            output.rmdir()
        unfinished.rename(output)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return written


class _Writer:
    """Writes one export into a folder."""

    def __init__(self, root: Path, options: Options, numbers: dict[str, int]) -> None:
        self.root, self.options, self.numbers = root, options, numbers
        by_number = {number: name for name, number in reversed(numbers.items()) if number != IGNORED}
        names = tuple(by_number[number] for number in range(len(by_number)))
        self.classes = ClassSet(names, tuple(map(voc_colour, range(len(names)))), background=0)
        self.written = Written(list(names))
        self.classed = False  # whether some pixel is of a class but background
        self.ignored: str | None = None  # where something is annotated that counts nowhere

    def write(self, found: Found) -> Written:
        """Write all pictures, the classes and the lists.

        Raises: UserError where no picture can be read, and where no pixel is of a class.
        """
        for folder in (IMAGES, MASKS):
            (self.root / folder).mkdir()
        places: dict[Path, str] = {}
        for image_id, picture in zip(ids_of(found.pictures), tracked(found.pictures, unit="image")):
            try:
                if isinstance(picture.image, Path):
                    _refuse_twice(picture, places)
                if self._write_pair(image_id, picture):
                    self.written.splits.setdefault(picture.split, []).append(image_id)
            except Unread as reason:
                found.leave_out(picture.place, reason)
            except UserError as error:
                found.left_out.append(str(error))
        for leftover in self.root.glob(".embedded*"):
            leftover.unlink()
        if not self.written.splits:
            why = f", such as {found.left_out[0]}" if found.left_out else ""
            raise UserError(f"no image of the export can be read{why}")
        if not self.classed and self.ignored is None:
            raise UserError("no image has an object: annotate some, or export the annotations, too")
        if not self.classed:
            raise UserError(
                f"no image has a pixel of a class: what is annotated counts nowhere, as in {self.ignored} "
                "(255 in a mask, __ignore__ in labelme); give objects the number of their class, or name "
                "their colour in labelmap.txt, as in cat:255,255,255::"
            )
        self._write_texts()
        return self.written

    def _write_pair(self, image_id: str, picture: Picture) -> bool:
        """Whether the picture is there now, and not left out because it is empty.

        Raises: Unread or UserError for one that cannot be read.
        """
        image = self._file(picture.image)
        header = read_header(image, WINDOWED, "image ")
        label, lost = self._label(picture, header)
        empty = not label.any()
        self.written.empty += empty
        self.classed = self.classed or bool(((label != 0) & (label != IGNORED)).any())
        self.ignored = self.ignored or (picture.place if (label == IGNORED).any() else None)
        if empty and self.options.skip_empty:
            return False
        self._place(image, header, self.root / IMAGES / f"{image_id}{image.suffix}")
        mask = Image.fromarray(label)
        mask.putpalette(self.classes.flat_palette())
        mask.save(self.root / MASKS / f"{image_id}.png")
        self.written.lost += [lost] if lost else []
        return True

    def _file(self, image: Path | Callable[[], bytes]) -> Path:
        """The file of an image; one that an annotation holds is written.

        Raises: Unread for what is no image that is read.
        """
        if not isinstance(image, Path):
            content = image()
            file = self.root / f".embedded{_ending_of(content)}"
            file.write_bytes(content)
            return file
        if image.suffix.lower() not in SUFFIXES:
            raise Unread(f"{image.suffix} is not read; {CONVERT}")
        return image

    def _label(self, picture: Picture, header: Header) -> tuple[np.ndarray, int]:
        """The label of the image as a viewer shows it, and the pixels that objects lost to later ones.

        Raises: Unread for one of another size than the image.
        """
        stored = header.size[::-1] if header.orientation >= 5 else header.size
        if isinstance(picture.content, Objects):
            size = picture.size or header.size
            _require_size(size, header.size, stored)
            label, lost, small = picture.content.label(size, self.numbers)
        else:
            label, lost, small = picture.content.label(None, self.numbers)
            _require_size(label.shape, header.size, stored)
        if header.orientation > 1 and drawn_on(label.shape, header, self.options.orientation) == "stored":
            label = turn(label, header.orientation)
        self.written.small += [picture.place] if small else []
        return label, lost

    def _place(self, image: Path, header: Header, path: Path) -> None:
        """Link, move or copy an image; one whose label would not tell how it is turned is written upright.

        Raises: Unread where that cannot be done.
        """
        if header.orientation > 1 and drawn_on(header.size, header, None) is None:
            if header.deep:
                raise Unread("is turned by EXIF and has more than 8 bits; save it upright")
            self.written.turned += 1
            read_image(image).save(path.with_suffix(".png"))
            return
        if image.parent == self.root:
            image.rename(path)
            return
        if not self.options.copy:
            with suppress(OSError, NotImplementedError):
                os.symlink(image.resolve(), path)
                return
        self.written.linked = False
        shutil.copyfile(image, path)

    def _write_texts(self) -> None:
        _write_lines(self.root / CLASSES_FILE, self.written.names)
        before, self.written.splits = self.written.splits, lists_of(self.written.splits)
        self.written.unsplit = [] if None in self.written.splits else before.get(None, [])
        for split, ids in self.written.splits.items():
            if split is not None:
                _write_lines(self.root / f"{split}.txt", ids)


def lists_of(splits: dict[str | None, list[str]]) -> dict[str | None, list[str]]:
    """The splits as a folder is read: train and val, or none; test stands in for a val that is missing."""
    splits = dict(splits)
    if "val" not in splits and {"train", "test"} <= splits.keys():
        splits["val"] = splits.pop("test")
    if not {"train", "val"} <= splits.keys():
        return {None: [image_id for ids in splits.values() for image_id in ids]}
    splits["train"] = [*splits["train"], *splits.pop(None, [])]
    return splits


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _refuse_twice(picture: Picture, places: dict[Path, str]) -> None:
    """Raises: Unread for an image that an earlier annotation has."""
    if (before := places.setdefault(picture.image, picture.place)) is not picture.place:
        raise Unread(f"its image is that of {before}, too; the first one counts")


def _ending_of(image: bytes) -> str:
    """Raises: Unread for what is no image that is read."""
    with suppress(*DECODE_ERRORS), Image.open(io.BytesIO(image)) as opened:
        if opened.format in _ENDINGS:
            return _ENDINGS[opened.format]
    raise Unread("its imageData is no image that is read")


def _require_size(size: tuple[int, int], shown: tuple[int, int], stored: tuple[int, int]) -> None:
    if size not in (shown, stored):
        raise Unread(f"is annotated at {size[1]} x {size[0]} pixels, its image has {shown[1]} x {shown[0]}")


def ids_of(pictures: Sequence[Picture]) -> list[str]:
    """An id for each picture that no other has: its name, with its folders where names are alike."""
    stems = [PurePosixPath(picture.name).with_suffix("") for picture in pictures]
    count = Counter(key(_plain(stem.name)) for stem in stems)
    ids, taken = [], set()
    for stem in stems:
        image_id = _plain(stem.name)
        if count[key(image_id)] > 1:
            image_id = _plain("-".join(stem.parts))
        while key(image_id) in taken:
            image_id += "_"
        taken.add(key(image_id))
        ids.append(image_id)
    return ids


def _plain(name: str) -> str:
    """A name that a line of a list can hold."""
    name = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in name)
    name = re.sub(r"\s", "_", name).lstrip(".") or "image"
    return name.encode()[:_LONGEST].decode(errors="ignore")
