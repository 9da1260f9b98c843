"""The lists of a data set, read as a configuration says."""

from rws.config import DataConfig
from rws.data import Reading, Split, open_split, require_official


def open_list(data: DataConfig, split: str, list_name: str) -> Split:
    """The images of a list, read as the configuration says.

    Raises: UserError for a missing root or list, and for a set that is not whole without data.partial.
    """
    opened = open_split(
        data.name,
        data.root,
        split,
        category=data.category,
        list_name=None if list_name == split else list_name,
        lists_dir=data.lists_dir,
        reading=Reading(data.convert_rgb_labels, data.cache, data.val_share, data.split_seed),
    )
    if not data.partial:
        require_official(opened)
    return opened


def open_splits(data: DataConfig) -> tuple[Split, Split]:
    """The training and the validation split.

    Raises: as `open_list`.
    """
    return open_list(data, "train", data.train_list), open_list(data, "val", data.val_list)
