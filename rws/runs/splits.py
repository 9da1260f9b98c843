"""The lists of a data set, read as a configuration says."""

from dataclasses import replace

from rws.config import DataConfig
from rws.config.data import REST
from rws.data import Reading, Split, open_split, require_official
from rws.data.unlabelled import photographs_in, with_share, without_labelled
from rws.data.value_range import settle_levels


def open_list(data: DataConfig, split: str, list_name: str) -> Split:
    """The images of a list, read as the configuration says.

    Raises: UserError for a missing root or list, and for a set that is not whole without data.partial.
    """
    opened = _open(data, split, list_name)
    if not data.partial:
        require_official(opened)
    return settle_levels(opened, lambda: _open(data, "train", data.train_list), data.range)


def _open(data: DataConfig, split: str, list_name: str) -> Split:
    return open_split(
        data.name,
        data.root,
        split,
        category=data.category,
        list_name=None if list_name == split else list_name,
        lists_dir=data.lists_dir,
        reading=Reading(
            convert_rgb_labels=data.convert_rgb_labels,
            cache=data.cache,
            orientation=data.orientation,
            val_share=data.val_share,
            split_seed=data.split_seed,
        ),
    )


def open_splits(data: DataConfig) -> tuple[Split, Split]:
    """The training split, of the images whose labels are used, and the validation split.

    Raises: as `open_list`.
    """
    return open_all(replace(data, unlabelled=None))[:2]


def open_all(data: DataConfig) -> tuple[Split, Split, Split | None]:
    """As `open_splits`, and the photographs without labels, if there are any.

    Raises: as `open_list`, and for photographs that are not there, or are training images all.
    """
    train, rest = with_share(open_list(data, "train", data.train_list), data.label_share)
    val, photographs = open_list(data, "val", data.val_list), None
    if data.unlabelled is not None:
        photographs = rest if data.unlabelled == REST else photographs_in(data.unlabelled, train)
        photographs = without_labelled(photographs, train)
    return train, val, photographs
