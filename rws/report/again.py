"""How a run's networks predict its validation images in one pass and looking again, measured once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

from rws.data import Split
from rws.data.digests import file_digest
from rws.errors import DamagedFile
from rws.evaluate.passes import RIVAL, Gain, Point, against_passes, measured, way_name
from rws.evaluate.ways import make_ways
from rws.look.samples import chosen_ids
from rws.report.looking import PLAIN, PageNetwork
from rws.runs import checkpoint

FILE = "looked_again.json"
RIVAL_SAID = "1.5 times its size averaged in"
SHOWN = 3  # passes of the last line of a run, and of the images of its page


class Kept(TypedDict):
    """What FILE holds.

    images: ids. listed: how many the list has. weights: digests of the networks' files, by key. looked: the
    key of the network that looks again. one_pass: mIoU, by key. points: what `against_passes` gave.
    """

    images: list[str]
    listed: int
    weights: dict[str, str]
    looked: str
    one_pass: dict[str, float]
    points: list[Point]


@dataclass(frozen=True)
class Again:
    """What was measured, for the page and the last lines of a run. names: of the networks, by key."""

    kept: Kept
    names: dict[str, str]

    @property
    def name(self) -> str:
        """Of the network that looks again."""
        return self.names[self.kept["looked"]]

    @property
    def curve(self) -> list[Point]:
        """The network alone, and looking again with more and more passes."""
        return [point for point in self.kept["points"] if point.way != RIVAL]

    @property
    def rival(self) -> Point:
        """The image and the image enlarged, averaged: every image alike."""
        return self.point(RIVAL)

    def point(self, way: str) -> Point:
        """Raises: KeyError for a way that was not measured."""
        return {point.way: point for point in self.kept["points"]}[way]


def looking(networks: Sequence[PageNetwork]) -> PageNetwork:
    """The network that looks again: the plain one that was trained as long, else the last one."""
    return next((each for each in networks if each.name == PLAIN), networks[-1])


def look_again_at(folder: Path, split: Split, networks: Sequence[PageNetwork], most: int) -> Again:
    """Measure the networks of a run on at most so many images of a list, or read what was measured.

    Raises: UserError for an image or a label that cannot be used.
    """
    path, ids, looked = folder / FILE, chosen_ids(split.ids, most), looking(networks)
    about = {"images": ids, "listed": len(split.ids), **_of_networks(networks)}
    kept = _read(path)
    if kept is None or any(kept[key] != value for key, value in about.items()):
        kept = Kept(**about, **_measure(split, networks, looked, ids))
        checkpoint.write_json(path, kept | {"points": [asdict(point) for point in kept["points"]]})
    return Again(kept, {each.key: each.name for each in networks})


def measured_before(folder: Path, networks: Sequence[PageNetwork]) -> Again | None:
    """What was measured of these networks of a run, on whatever images; nothing where nothing was."""
    kept = _read(folder / FILE)
    if kept is None or any(kept[key] != value for key, value in _of_networks(networks).items()):
        return None
    return Again(kept, {each.key: each.name for each in networks})


def _of_networks(networks: Sequence[PageNetwork]) -> dict:
    """What a measurement says of its networks."""
    return {
        "weights": {each.key: file_digest(each.path) for each in networks},
        "looked": looking(networks).key,
    }


def _measure(split: Split, networks: Sequence[PageNetwork], looked: PageNetwork, ids: Sequence[str]) -> dict:
    points = against_passes(looked.trained, split, ids)
    alone = make_ways([way_name(1)], 1)
    one_pass = {
        each.key: points[0].miou if each is looked else measured(each.trained, split, ids, alone)[0].miou
        for each in networks
    }
    return {"one_pass": one_pass, "points": points}


def _read(path: Path) -> Kept | None:
    """What was measured before; None where nothing was, or the file is damaged."""
    try:
        kept = checkpoint.read_json(path, Kept) if path.is_file() else None
    except DamagedFile:
        return None
    return kept and kept | {"points": [_point(**each) for each in kept["points"]]}


def _point(gain: dict | None, **more: object) -> Point:
    return Point(**more, gain=gain and Gain(**gain))


def closing_lines(again: Again) -> list[str]:
    """The last lines of a run: each network in one pass, and what looking again makes of one of them."""
    kept, seen = again.kept, again.point(way_name(SHOWN))
    part = "" if len(kept["images"]) == kept["listed"] else f" of {kept['listed']}, evenly spread"
    rows = [(f"{again.names[key]}, one pass", 1.0, miou, "") for key, miou in kept["one_pass"].items()]
    rows.append((f"{again.name}, with {RIVAL_SAID}", again.rival.units, again.rival.miou, gain(again.rival)))
    rows.append((f"{again.name} looked again (--ways rws)", seen.units, seen.miou, gain(seen)))
    width = max(len(name) for name, *_ in rows)
    said = f"{len(kept['images'])} validation images{part}: passes of each, mIoU, gain over one pass (95 %)"
    return [said, *(f"  {a:{width}}  {b:4.2f}  {c:6.2f}  {d}".rstrip() for a, b, c, d in rows)]


def gain(point: Point) -> str:
    """A gain with its interval."""
    found = point.gain
    return "" if found is None else f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
