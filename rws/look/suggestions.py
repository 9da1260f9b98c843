"""What a look at a data set suggests for its training: class weights, a crop, classes too rare to learn."""

from collections.abc import Sequence

from rws.config.data import DataConfig
from rws.data.split_report import SplitReport

RARE_SHARE = 0.01  # of the labelled pixels; below it a class hardly moves the mean over all pixels
FEW_IMAGES = 5  # training images that show a class; with fewer a network rather learns these by heart
STEP = 32  # sides of crops are multiples of it, as the networks' strides divide it
_NAMED = 5  # classes that a line names before it only counts


def suggestions(config: DataConfig, names: Sequence[str], train: SplitReport, val: SplitReport) -> list[str]:
    """One line for each thing to try or to know, from what was counted in both splits."""
    found = [
        _weights(names, train),
        _crop(config, train),
        _too_rare(names, train),
        _unmeasured(names, train, val),
    ]
    return [line for line in found if line]


def _weights(names: Sequence[str], train: SplitReport) -> str | None:
    total = train.pixels.sum()
    share, name = min(
        ((int(n) / total, name) for n, name in zip(train.pixels, names) if n), default=(1.0, "")
    )
    if share >= RARE_SHARE:
        return None
    return (
        f"--train.class-weights median: {name} has {share:.2%} of the labelled pixels, the rarest class, and "
        f"below {RARE_SHARE:.0%} a class hardly counts"
    )


def _crop(config: DataConfig, train: SplitReport) -> str | None:
    """The crop that shows nearly all of an image of median size, which is never enlarged."""
    sizes = sorted(train.sizes.elements(), key=min)
    if not sizes:
        return None
    height, width = sizes[len(sizes) // 2]
    base = min(config.base_size, height, width)
    sides = (side * base / min(height, width) for side in (height, width))
    crop = [max(STEP, STEP * round(min(side, 2 * base) / STEP)) for side in sides]
    if base == config.base_size and crop == list(config.crop_size):
        return None
    smaller = f"--data.base-size {base} " if base < config.base_size else ""
    return (
        f'{smaller}--data.crop-size "{crop}": the median image is {height}x{width}; at data.base_size {base} '
        "a crop then shows nearly all of it"
    )


def _too_rare(names: Sequence[str], train: SplitReport) -> str | None:
    rare = [f"{name} ({count})" for name, count in zip(names, train.holding) if count < FEW_IMAGES]
    if not rare:
        return None
    return (
        f"too rare to learn: {_some(rare)}; a class needs {FEW_IMAGES} training images that show it: label "
        "more of it, or call its pixels ignored"
    )


def _unmeasured(names: Sequence[str], train: SplitReport, val: SplitReport) -> str | None:
    unseen = [
        name for name, learned, count in zip(names, train.holding, val.holding) if learned and not count
    ]
    return f"not measured: {_some(unseen)}; no validation image shows it" if unseen else None


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more
