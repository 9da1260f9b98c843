"""The result of scoring networks on a list: numbers, tables for the terminal, and JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rws.data.object_sizes import LARGE, SIZES, SMALL
from rws.evaluate.tally import Scores

NUMBERS_LEFT = frozenset(("network", "way", "class"))  # columns of names, which stand to the left


@dataclass(frozen=True)
class Evaluation:
    """What networks scored on a list, each in several ways.

    data, list: names of the set and of its list. images: how many. networks: scores by the title of a network
    and the name of a way. checkpoints: the file of each title. environment: machine and versions.
    """

    data: str
    list: str
    images: int
    classes: tuple[str, ...]
    networks: dict[str, dict[str, Scores]]
    checkpoints: dict[str, str]
    environment: dict

    @property
    def first(self) -> Scores:
        """The first network in the first way."""
        return next(iter(next(iter(self.networks.values())).values()))

    @property
    def miou(self) -> float:
        """Of the first network in the first way, in percent."""
        return self.first.miou

    def as_dict(self) -> dict:
        """All numbers, in plain containers."""
        return asdict(self)

    def table(self) -> str:
        """All networks and ways in one table, the classes in another one."""
        title = f"{self.data}, list {self.list}: {self.images} images, {len(self.classes)} classes"
        return "\n".join([title, "", self._ways(), "", *self._said(), "", self._of_classes()])

    def _ways(self) -> str:
        several = len(self.networks) > 1
        first_network, ways = next(iter(self.networks.items()))
        first_way = next(iter(ways))
        head = ["network"] * several + ["way", "mIoU"]
        head += [f"to {first_way}"] * (len(ways) > 1) + [f"to {first_network}"] * several
        head += ["boundary", *SIZES, "pixels", "classes", "units", "images/s"]
        rows = []
        for title, by_way in self.networks.items():
            for way, each in by_way.items():
                differences = [each.to_first_way] * (len(ways) > 1) + [each.to_first_network] * several
                rows.append(
                    [title] * several
                    + [way, number(each.miou), *map(interval, differences), number(each.boundary_iou)]
                    + [number(each.sizes[size]) for size in SIZES]
                    + [number(each.pixel_accuracy), number(each.mean_accuracy), number(each.units)]
                    + [number(each.images_per_second)]
                )
        return aligned(head, rows)

    def _said(self) -> Sequence[str]:
        """What the columns are."""
        lines = [
            "mIoU in percent; boundary: mean Boundary IoU; small (below "
            f"{SMALL:.0%} of the image), medium, large (above {LARGE:.0%}): mIoU by size of the object;",
            "pixels, classes: accuracy of pixels, and its mean over classes; "
            "units: forward passes an image, 1 at the size of the network's input.",
        ]
        if self.first.to_first_way or self.first.to_first_network or len(self._columns()) > 1:
            lines.append("Differences of mIoU, in brackets 95 % over a bootstrap of the images.")
        return lines

    def _columns(self) -> dict[str, Scores]:
        """Every network and way under a short name."""
        return {
            way if len(self.networks) == 1 else f"{title} {way}" if len(ways) > 1 else title: each
            for title, ways in self.networks.items()
            for way, each in ways.items()
        }

    def _of_classes(self) -> str:
        columns = self._columns()
        head = ["class", "labelled pixels", *columns, "accuracy", "boundary"]
        rows = []
        for name in self.classes:
            own = self.first.classes[name]
            ious = [number(each.classes[name].iou) for each in columns.values()]
            rows.append([name, f"{own.pixels:,}", *ious, number(own.accuracy), number(own.boundary_iou)])
        said = f"IoU of each class; accuracy and Boundary IoU of {next(iter(columns))}"
        return f"{said}\n\n{aligned(head, rows)}"


def number(value: float | None) -> str:
    """A number in a cell."""
    return "-" if value is None else f"{value:.2f}"


def interval(found: dict | None) -> str:
    """A paired difference in a cell."""
    if found is None:
        return "-"
    ends = "" if found["low"] is None else f" [{found['low']:+.2f}, {found['high']:+.2f}]"
    return f"{found['mean']:+.2f}{ends}"


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells in columns, names to the left and numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if name in NUMBERS_LEFT else cell.rjust(width)
            for name, cell, width in zip(head, row, widths)
        ).rstrip()
        for row in (head, *rows)
    )
