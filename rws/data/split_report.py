"""What a split holds: its pixels by class, sizes and modes of its files, and what is to be told of them."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from rws.data.classes import ClassSet
from rws.data.files import Header
from rws.data.split import Split

_NAMED = 5  # classes that a note names before it only counts


@dataclass(frozen=True)
class Good:
    """An image without fault.

    image, label: what the headers say; label is None for a MATLAB file. drawn_on: for an image that EXIF
    turns, whether its label is of it as "shown" or as "stored". counts: how often it holds each number.

    Shape: counts (256,) int64.
    """

    image: Header
    label: Header | None
    label_name: str
    drawn_on: str | None
    counts: np.ndarray


@dataclass
class SplitReport:
    """What a split holds: pixels of each of its classes, images that hold it, and images of each kind.

    sizes: images of each (height, width); image_modes, label_modes: of each of Pillow's modes. turned: images
    that EXIF turns, by what their labels were drawn on. deep: images of more than 8 bits a channel. good: the
    ids without fault. notes: what is no fault and should be known.

    Shape: pixels, holding (classes,) int64.
    """

    images: int
    pixels: np.ndarray
    holding: np.ndarray
    ignored_pixels: int = 0
    sizes: Counter = field(default_factory=Counter)
    image_modes: Counter = field(default_factory=Counter)
    label_modes: Counter = field(default_factory=Counter)
    turned: Counter = field(default_factory=Counter)
    deep: int = 0
    good: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, split: Split) -> "SplitReport":
        """Nothing of its files yet."""
        nothing = np.zeros(split.classes.num_classes, np.int64)
        return cls(len(split), nothing, nothing.copy(), notes=list(split.notes))

    def add(self, image_id: str, found: Good, classes: ClassSet, table: np.ndarray) -> None:
        """Count an image; `table` gives the class of each number in its label.

        Shape: table (256,) uint8.
        """
        counts = np.bincount(table, weights=found.counts, minlength=256).astype(np.int64)
        self.pixels += counts[: len(self.pixels)]
        self.holding += counts[: len(self.pixels)] > 0
        self.ignored_pixels += int(counts[classes.ignore_index])
        self.sizes[found.image.size] += 1
        self.image_modes[found.image.mode] += 1
        self.label_modes["MATLAB" if found.label is None else found.label.mode] += 1
        self.deep += found.image.deep
        if found.drawn_on is not None:
            self.turned[found.drawn_on] += 1
        self.good.append(image_id)

    def finish(self, split: Split) -> None:
        """Note what was done to images before a network sees them."""
        if self.turned:
            drawn = ", ".join(f"as {on} ({count})" for on, count in self.turned.most_common())
            self.notes.append(
                f"{self.turned.total()} images are turned by their EXIF orientation; their labels were drawn "
                f"on them {drawn}"
            )
        if self.deep and (levels := split.reading.levels):
            self.notes.append(
                f"{self.deep} images have more than 8 bits; {levels} become black to white "
                f"({'given' if levels.given else 'found'}; --data.range)"
            )

        if missing := [split.classes.names[n] for n in split.classes.foreground if not self.holding[n]]:
            more = f" and {len(missing) - _NAMED} more classes" if len(missing) > _NAMED else ""
            self.notes.append(f"no image holds {', '.join(missing[:_NAMED])}{more}")

    def without_object(self, split: Split) -> list[str]:
        """The fault of labels of which nothing can be learnt: no pixel counts, or none is of an object."""
        if not self.pixels.any():
            return [f"{split.root}: the labels of {split.split} hold ignored pixels only; label them"]
        if not self.pixels[list(split.classes.foreground)].any():
            return [f"{split.root}: the labels of {split.split} hold background only; label the objects"]
        return []


def describe(split: Split, report: SplitReport) -> str:
    """The report in words: images, sizes, and for each class its share of the labelled pixels."""
    official = split.official
    published = "" if official is None else f" ({official.published:,} {official.of} published)"
    total = max(int(report.pixels.sum()), 1)
    ignored = report.ignored_pixels / max(total + report.ignored_pixels, 1)
    sizes = ", ".join(f"{h}x{w} ({count})" for (h, w), count in report.sizes.most_common(4))
    more = f" and {len(report.sizes) - 4} more sizes" if len(report.sizes) > 4 else ""
    counted = f"{split.split}: {report.images} images{published}"
    if not report.good:
        return f"{counted}, none of which can be used"
    first = f"{counted}, height x width {sizes}{more}; {ignored:.1%} ignored"
    modes = (report.image_modes, report.label_modes)
    kinds = (", ".join(f"{mode} ({count})" for mode, count in found.most_common()) for found in modes)
    lines = [first, "  modes: images {}; labels {}".format(*kinds)]
    width = max(16, *(len(name) + 1 for name in split.classes.names))
    rows = zip(split.classes.names, report.pixels, report.holding)
    return "\n".join(
        [
            *lines,
            *(f"  note: {note}" for note in report.notes),
            *(f"  {name:<{width}}{n / total:8.2%}{n:>16,} pixels in {k:,} images" for name, n, k in rows),
        ]
    )
