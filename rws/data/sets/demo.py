"""The built-in demo set: generated, the same from the same seed, in VOC layout.

python -m rws.data.sets.demo --root data/demo --seed 0
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from rws.data.classes import DEMO
from rws.data.lists import LIST_FOLDERS
from rws.data.sets.demo_scene import scene
from rws.data.sets.voc import IMAGES, LABELS
from rws.errors import Parser, UserError
from rws.runtime.bars import say, tracked

TRAIN_IMAGES, VAL_IMAGES = 240, 80


def generate(
    root: str | Path,
    seed: int = 0,
    *,
    train: int = TRAIN_IMAGES,
    val: int = VAL_IMAGES,
    progress: bool = True,
) -> Path:
    """Draws the demo set into the new folder `root`, which appears only when it is complete.

    Raises: UserError if `root` exists already with something in it or cannot be written.
    """
    root = Path(root).expanduser()
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise UserError(f"{root}: exists already; delete it or give another folder for the demo set")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    except OSError as error:
        raise UserError(
            f"{root}: cannot be written ({error}); give another folder for the demo set"
        ) from None
    try:
        _write_set(unfinished, seed, {"train": train, "val": val}, progress)
        unfinished.chmod(0o755)  # mkdtemp makes folders for their owner alone
        _publish(unfinished, root)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return root


def _publish(unfinished: Path, root: Path) -> None:
    try:
        if root.exists():
            root.rmdir()
        unfinished.rename(root)
    except OSError:
        # Another process of the same run was faster: its set is this one, byte for byte.
        if not (root / LABELS).is_dir():
            raise


def _write_set(root: Path, seed: int, counts: dict[str, int], progress: bool) -> None:
    for folder in (IMAGES, LABELS, LIST_FOLDERS[0]):
        (root / folder).mkdir(parents=True)
    # One after another: the images are so small that threads only wait for each other here.
    with tracked(desc="draw the demo set", total=sum(counts.values()), disable=not progress) as bar:
        for split, count in counts.items():
            with open(root / LIST_FOLDERS[0] / f"{split}.txt", "w", encoding="utf-8", newline="\n") as ids:
                for index in range(count):
                    ids.write(_write_pair(root, seed, split, index) + "\n")
                    bar.update()


def _write_pair(root: Path, seed: int, split: str, index: int) -> str:
    # A generator for each image: neither their order nor their number changes any of them.
    rng = np.random.default_rng([seed, ("train", "val").index(split), index])
    image, label = scene(rng, main_class=1 + index % len(DEMO.foreground))
    name = f"{split}_{index:04d}"
    Image.fromarray(image).save(root / IMAGES / f"{name}.jpg", quality=92)
    indexed = Image.fromarray(label)
    indexed.putpalette(DEMO.flat_palette())
    indexed.save(root / LABELS / f"{name}.png")
    return name


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = Parser("python -m rws.data.sets.demo", __doc__.splitlines()[0])
    parser.add_argument(
        "--root", type=Path, default=Path("data/demo"), help="new folder (default: data/demo)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed draws another set (default: 0)")
    try:
        options = parser.parse_args(arguments)
        root = generate(options.root, options.seed)
    except (UserError, OSError) as error:
        say(f"error: {error}", file=sys.stderr)
        return 2
    say(f"{root}: {TRAIN_IMAGES} training and {VAL_IMAGES} validation images, seed {options.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
