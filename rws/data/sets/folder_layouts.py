"""The layouts in which people keep images and masks of their own; found, never made."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rws.data.files import SUFFIXES
from rws.data.label_files import LABEL_SUFFIXES
from rws.data.lists import LIST_FOLDERS
from rws.data.lookup import files_below, find_file, joined, key
from rws.data.reading import Places
from rws.data.sets.paired_folders import ids_in, no_image
from rws.data.split import Split, find_folders
from rws.errors import UserError

IMAGES, MASKS, CLASSES_FILE = "images", "masks", "classes.txt"
ROBOFLOW_CLASSES, ROBOFLOW_END = "_classes.csv", "_mask"
# The words for each split, the usual one first; a number may follow, as in train2017.
PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "eval"),
    "test": ("test", "testing"),
}
_ADVICE = "make the folder with images/, masks/ and classes.txt, and give it as --data.root"


@dataclass(frozen=True)
class Layout:
    """Where a split's files are, its ids, and for files in folders of folders the path of each id.

    divided: the ids are those of one split already, by their folder.
    """

    root: Path
    classes_file: Path
    places: Places
    ids: list[str]
    paths: dict[str, str] | None = None
    divided: bool = False

    def image(self, image_id: str) -> Path | None:
        """The image of an id, if there is one."""
        stem = (self.paths or {}).get(image_id, image_id) + self.places.image_end
        return find_file(self.root / self.places.images, stem, SUFFIXES)


class Nested(Split):
    """A split whose files lie in folders of folders; an id has - for the / between them."""

    def __init__(self, paths: dict[str, str], *parts) -> None:
        self.paths = paths
        super().__init__(*parts)

    def stem(self, image_id: str) -> str:
        """The path below the folder of images, and of masks."""
        return self.paths.get(image_id, image_id)


def find_layout(root: str | Path, split: str) -> Layout:
    """images/ and masks/, flat, in folders of folders or with a folder for each split; or Roboflow's.

    Raises: UserError for a folder that is nothing of these, and for two images of one name.
    """
    top = Path(root).expanduser()
    if _part(top, "train", ROBOFLOW_CLASSES):
        if (part := _part(top, split, ROBOFLOW_CLASSES)) is None:
            raise UserError(
                f"{top}: no folder {' or '.join(PARTS[split][:3])} with {ROBOFLOW_CLASSES}; add it"
            )
        return _roboflow(top, part)
    root = find_folders(root, (IMAGES, MASKS), (), _ADVICE)
    part = _part(root / IMAGES, split)
    if not (
        part and all(_part(root / folder, name) for folder in (IMAGES, MASKS) for name in ("train", "val"))
    ):
        return _paired(root, IMAGES, MASKS, divided=False)
    return _paired(root, f"{IMAGES}/{part}", f"{MASKS}/{_part(root / MASKS, split) or part}", divided=True)


def _part(folder: Path, split: str, holding: str = "") -> str | None:
    """The folder of a split below another, by the names that people give it; the usual one first."""
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    names = [path.name for path in there if part_of(path.name) == split and path.is_dir()]
    names.sort(key=lambda name: PARTS[split].index(name) if name in PARTS[split] else len(PARTS[split]))
    return next((name for name in names if (folder / name / holding).exists()), None)


def part_of(name: str) -> str | None:
    """The split that a folder or a list is named after, as train for Train and train2017."""
    word = name.casefold().rstrip("0123456789")
    return next((split for split, words in PARTS.items() if word in words), None)


def refuse_parts(root: Path) -> None:
    """Raises: UserError where folders in images/ are named after splits and are not read as such."""
    parts = {f: [part for split in PARTS if (part := _part(root / f, split))] for f in (IMAGES, MASKS)}
    if {part_of(name) for name in parts[IMAGES]} <= {"train"}:
        return
    there = "; ".join(f"{folder}/ has {', '.join(names) or 'none'}" for folder, names in parts.items())
    raise UserError(
        f"{root}: of folders named after splits {there}; name one train and one val in both, or write "
        "train.txt and val.txt"
    )


def passed_over(root: Path) -> list[str]:
    """A line on the images and lists that are not read, where images/ has a folder for each split."""
    parts = [part for split in PARTS if (part := _part(root / IMAGES, split))]
    images = []
    for path in sorted((root / IMAGES).iterdir()):
        if path.is_dir() and path.name not in parts and path.name[0] != ".":
            images += files_below(path, SUFFIXES)
        elif path.is_file() and path.suffix.lower() in SUFFIXES and path.name[0] != ".":
            images.append(path)
    found = [f"{len(images)} other images, such as {images[0].relative_to(root)}"] if images else []
    found += other_lists(root)
    folders = ", ".join(f"{IMAGES}/{part}" for part in parts)
    return [f"{folders} are the splits; not read: {', '.join(found)}"] if found else []


def other_lists(root: Path) -> list[str]:
    """The lists below a root that are named after a split, by their paths."""
    paths = (path for folder in (".", *LIST_FOLDERS) for path in sorted((root / folder).glob("*.txt")))
    return [path.relative_to(root).as_posix() for path in paths if part_of(path.stem)]


def _roboflow(root: Path, part: str) -> Layout:
    """x.jpg beside x_mask.png in a folder for each split."""
    every = ids_in(root / part)
    masks = ids_in(root / part, ROBOFLOW_END, LABEL_SUFFIXES)
    images = every - {f"{mask}{ROBOFLOW_END}" for mask in masks}
    places = Places(part, part, "", ROBOFLOW_END, LABEL_SUFFIXES)
    return Layout(root, root / part / ROBOFLOW_CLASSES, places, sorted(joined(images, masks)), divided=True)


def _paired(root: Path, images: str, masks: str, divided: bool) -> Layout:
    """Images and masks of one name, or of names that all differ by the same end."""
    found, endings = _below(root / images, SUFFIXES), LABEL_SUFFIXES[:1]
    labels = _below(root / masks, endings)
    if not labels:
        endings, labels = LABEL_SUFFIXES, _below(root / masks, LABEL_SUFFIXES)
    if not found and not labels:
        raise UserError(no_image(root / images, "add yours"))
    image_end, label_end = common_end(labels, found), common_end(found, labels)
    found, labels = _without(found, image_end), _without(labels, label_end)
    _refuse_alike(root, found, labels)
    ids = joined(found, labels)
    nested = {path.replace("/", "-"): path for path in sorted(ids)}
    if len(nested) < len(ids):
        twice = next(path for path in ids if nested[path.replace("/", "-")] != path)
        raise UserError(
            f"{root / images}: {twice} and {nested[twice.replace('/', '-')]} are one id; rename one"
        )
    places = Places(images, masks, image_end, label_end, endings)
    paths = nested if any("/" in path for path in ids) else None
    return Layout(root, root / CLASSES_FILE, places, sorted(nested), paths, divided)


def _below(folder: Path, suffixes: tuple[str, ...]) -> set[str]:
    """The files in a folder and the folders in it, without ending.

    Raises: UserError for two of one name.
    """
    paths = [path.relative_to(folder) for path in files_below(folder, suffixes)]
    stems = [path.with_suffix("").as_posix() for path in paths]
    if twice := [stem for stem, count in Counter(stems).items() if count > 1]:
        names = sorted(str(path) for path in paths if path.with_suffix("").as_posix() == twice[0])
        raise UserError(
            f"{folder}: two files are named {Path(names[0]).stem}, {' and '.join(names)}; rename one"
        )
    return set(stems)


def _refuse_alike(root: Path, images: set[str], masks: set[str]) -> None:
    """Raises: UserError for images whose names differ in letter case alone and that would share a mask."""
    alike: dict[str, list[set[str]]] = {}
    for k, names in enumerate((images, masks)):
        for name in names:
            alike.setdefault(key(name), [set(), set()])[k].add(name)
    for own, others in alike.values():
        if len(own) > 1 and not own <= others:
            names = " and ".join(sorted(own))
            raise UserError(
                f"{root}: the images {names} differ in letter case alone and share a mask; rename one"
            )


def common_end(names: Iterable[str], longer: Iterable[str]) -> str:
    """What all `longer` names have behind one of `names`, as _mask; empty where that differs."""
    names, ends = set(names), set()
    for name in longer:
        cuts = (at for at in range(len(name), 0, -1) if name[:at] in names)
        if (at := next(cuts, None)) is None:
            return ""
        ends.add(name[at:])
    end = ends.pop() if len(ends) == 1 else ""
    return "" if end[:1].isdigit() else end


def _without(names: set[str], end: str) -> set[str]:
    return {name.removesuffix(end) for name in names}
