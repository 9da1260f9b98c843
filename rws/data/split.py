"""One split of a data set, read image by image; what all data sets have in common."""

import copy
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from rws.data.cache import Cache
from rws.data.classes import UNKNOWN, ClassSet, named
from rws.data.files import SUFFIXES, Header, read_header, read_image
from rws.data.label_files import as_shown, read_label
from rws.data.levels import NO_LEVELS
from rws.data.lists import refuse_paths
from rws.data.lookup import find_file, key
from rws.data.reading import READING, Official, Places, Reading
from rws.errors import UserError
from rws.runtime.bars import tracked


class Split:
    """One split of a data set, read image by image.

    classes: what the numbers of `label` mean; source_classes: the set's own classes, which differ from these
    where the task is on a category. official: None where nothing is published for this list. notes: what is
    no fault and should be known.

    Raises: UserError for an id that would leave the data root, and for a cache inside it.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        classes: ClassSet,
        ids: Sequence[str],
        places: Places,
        reading: Reading = READING,
    ) -> None:
        self.root, self.split, self.places, self.reading = root, split, places, reading
        self.source_classes = self.classes = classes
        self.category: str | None = None
        self.official: Official | None = None
        self.notes: list[str] = []
        refuse_paths(ids, f"ids of {split}")
        self.ids = self._each_once(self._without_ending(image_id) for image_id in ids)
        self._table = classes.file_table()
        self._by_colour = classes.by_colour() if reading.convert_rgb_labels else None
        self._colours = frozenset(classes.palette + classes.colours_in_files)
        self._cache = Cache(reading.cache, outside=root) if reading.cache else None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def table(self) -> np.ndarray:
        """The class of each number in the label files, as `map_label` takes it.

        Shape: (256,) uint8.
        """
        return self._table

    def counted(self) -> tuple[int, str]:
        """What the publisher counts, and what it is."""
        return len(self), "images"

    def of_category(self, category: str, ids: Sequence[str] | None = None) -> "Split":
        """The split with labels 0 (other), 1 (category, or 1, 2, ... for several) and the ignored value.

        Raises: UserError for an unknown category.
        """
        other = copy.copy(self)
        other.ids, other.official = list(self.ids if ids is None else ids), None
        other._take(category)
        return other

    def _take(self, category: str) -> None:
        """Make the labels those of a category."""
        source = self.source_classes
        self.category, self.classes = category, source.binary(category)
        task = np.zeros(256, np.uint8)
        task[source.ignore_index], task[UNKNOWN] = source.ignore_index, UNKNOWN
        for number, name in enumerate(named(category), 1):
            task[source.index(name)] = number
        self._table = task[source.file_table()]

    def holding(self, category: str) -> list[str]:
        """The ids whose label holds a class of the category; one without label stays, for the check to name.

        Raises: UserError for an unknown category, and where none holds it.
        """
        numbers = [self.source_classes.in_files[self.source_classes.index(name)] for name in named(category)]

        def holds(image_id: str) -> bool:
            there = self.label_path(image_id).is_file()
            return not there or bool(np.isin(self._as_stored(image_id), numbers).any())

        with ThreadPoolExecutor() as pool:
            found = list(
                tracked(pool.map(holds, self.ids), f"labels with {category}", len(self), leave=False)
            )
        kept = [image_id for image_id, held in zip(self.ids, found) if held]
        if not kept:
            raise UserError(
                f"{self.root}: no label of the list {self.split} holds '{category}'; choose another class"
            )
        return kept

    def stem(self, image_id: str) -> str:
        """The files of an image without folder and ending; some sets have folders within."""
        return image_id

    def _each_once(self, ids: Iterable[str]) -> list[str]:
        """Ids without those whose file an earlier one has: P0 is p0 where there is no other."""
        ids, alike = list(dict.fromkeys(ids)), defaultdict(list)
        for image_id in ids:
            alike[key(image_id)].append(image_id)
        twice = set()
        for several in (each for each in alike.values() if len(each) > 1):
            files = [self.find_image(image_id) for image_id in several]
            twice |= {i for k, i in enumerate(several) if files[k] is not None and files[k] in files[:k]}
        return [image_id for image_id in ids if image_id not in twice]

    def _without_ending(self, image_id: str) -> str:
        """An id that a list gives with the ending of its image, as a.jpg, without it."""
        short, suffix = Path(image_id).stem, Path(image_id).suffix.lower()
        ended = suffix in SUFFIXES and self.find_image(image_id) is None
        return short if ended and self.find_image(short) is not None else image_id

    def find_image(self, image_id: str) -> Path | None:
        """The image's file, with one of SUFFIXES, or None where there is none."""
        stem = f"{self.stem(image_id)}{self.places.image_end}"
        return find_file(self.root / self.places.images, stem, SUFFIXES)

    def image_path(self, image_id: str) -> Path:
        """The image's file.

        Raises: UserError if there is none.
        """
        path = self.find_image(image_id)
        if path is None:
            endings, stem = ", ".join(SUFFIXES), f"{self.stem(image_id)}{self.places.image_end}"
            folder = self.root / self.places.images
            raise UserError(f"{folder / stem}: no such image with ending {endings}; add it")
        return path

    def label_path(self, image_id: str) -> Path:
        """Where the label of an image is or would be."""
        folder, stem = self.root / self.places.labels, f"{self.stem(image_id)}{self.places.label_end}"
        endings = self.places.label_endings
        return find_file(folder, stem, endings) or folder / f"{stem}{endings[0]}"

    def image(self, image_id: str) -> Image.Image:
        """The image in RGB of 8 bits, as a viewer shows it.

        Raises: UserError for a missing or damaged file.
        """
        path, levels = self.image_path(image_id), self.reading.levels or NO_LEVELS
        if self._cache is None:
            return read_image(path, levels)
        kind = f"image as shown, {levels}"
        return Image.fromarray(self._cache.get(path, kind, lambda: np.asarray(read_image(path, levels))))

    def header(self, image_id: str) -> Header:
        """What the image's file says before it is decoded.

        Raises: UserError for a missing or damaged file.
        """
        return read_header(self.image_path(image_id))

    def size(self, image_id: str) -> tuple[int, int]:
        """Height and width of the image as shown in pixels, from the file's header alone.

        Raises: UserError for a missing or damaged file.
        """
        return self.header(image_id).size

    def read_raw(self, image_id: str) -> np.ndarray:
        """The label's numbers as the file holds them, decoded.

        Shape: (H, W) uint8.
        """
        numbers = self.source_classes.in_files
        return read_label(self.label_path(image_id), self._by_colour, self._colours, numbers)

    def raw_label(self, image_id: str, header: Header | None = None) -> np.ndarray:
        """As `read_raw`, from the cache where there is one, and turned as the image is that it belongs to.

        header: of the image, where it was read already.

        Shape: (H, W) uint8.
        Raises: UserError for a missing or damaged file and for one that does not hold class numbers.
        """
        raw = self._as_stored(image_id)
        if header is None and (image := self.find_image(image_id)) is not None:
            header = read_header(image)
        if header is None or header.orientation == 1:
            return raw
        return as_shown(raw, header, self.reading.orientation, self.label_path(image_id))

    def _as_stored(self, image_id: str) -> np.ndarray:
        """As `read_raw`, from the cache where there is one."""
        path, numbers = self.label_path(image_id), self.source_classes.in_files
        kind = f"label {self._by_colour or sorted(self._colours)} {numbers}"
        cached = self._cache is not None and path.is_file()
        read = partial(self.read_raw, image_id)
        return self._cache.get(path, kind, read) if cached else read()

    def label(self, image_id: str) -> np.ndarray:
        """The label in the numbers of `classes`; the ignored value where it counts nowhere.

        Shape: (H, W) uint8.

        Raises: UserError for a missing or damaged file and for one with numbers that are no class.
        """
        raw = self.raw_label(image_id)
        label = self.map_label(raw)
        if (unknown := label == UNKNOWN).any():
            raise UserError(
                f"{self.label_path(image_id)}: label values {np.unique(raw[unknown]).tolist()} are no class; "
                f"the set has {describe_values(self.source_classes)}"
            )
        return label

    def map_label(self, raw: np.ndarray) -> np.ndarray:
        """The file's numbers as those of `classes`; UNKNOWN for one that is neither a class nor ignored.

        Shape: (H, W) uint8 in and out.
        """
        return self._table[raw]

    def __repr__(self) -> str:
        task = f", category={self.category!r}" if self.category else ""
        return f"{type(self).__name__}({str(self.root)!r}, {self.split!r}, {len(self)} images{task})"


def sample(split: Split, image_id: str) -> tuple[Image.Image, np.ndarray]:
    """An image and its label, as `image` and `label` of the split give them.

    Raises: UserError as they do, and for a label of another size than its image.
    """
    image, label = split.image(image_id), split.label(image_id)
    if label.shape != (image.height, image.width):
        raise UserError(
            f"{split.label_path(image_id)}: the label is {label.shape[1]} x {label.shape[0]} pixels, its "
            f"image {image.width} x {image.height}; make the sizes agree"
        )
    return image, label


def describe_values(classes: ClassSet) -> str:
    """The numbers that a set's label files may hold, in words."""
    return f"classes {_ranges(classes.in_files)} and {_ranges(classes.void_in_files)}"


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers with runs of them drawn together: 0..3, 7, 9..12."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}..{last}" for first, last in runs)


def find_folders(root: str | Path, folders: Sequence[str], below: Sequence[str], advice: str) -> Path:
    """The folder that holds `folders`: `root` itself or one of `below` it.

    Raises: UserError if `root` does not exist or none of them holds all the folders.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise UserError(f"{root}: no such folder for the data set; {advice}")
    candidates = [root, *(root / name for name in below)]
    for candidate in candidates:
        if all((candidate / folder).is_dir() for folder in folders):
            return candidate
    looked = ", ".join(map(str, candidates))
    there = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    holds = f"it holds {', '.join(there[:8])}{', ...' if len(there) > 8 else ''}" if there else "it is empty"
    raise UserError(f"{root}: {' and '.join(folders)} not found (looked in {looked}; {holds}); {advice}")
