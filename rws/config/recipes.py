"""Recipes: a word for several options of the method at once, in YAML and as the flag `--recipe`.

A recipe stands below what is given beside it, and above the file that is the base. A run writes down the
options and not the word.
"""

from rws.config import OPTIONS
from rws.config.forms import shown
from rws.errors import UserError

RECIPE = "recipe"
_METHOD = ("slices.", "bank.", "fusion.", "cycles.")
RECIPES: dict[str, dict[str, object]] = {
    "paper": {key: option.default for key, option in OPTIONS.items() if key.startswith(_METHOD)}
    | {"train.slice_epochs": 1.0, "train.slice_mix": 0.0},
    "plain": {
        "fusion.enabled": False,
        "train.slice_mix": 0.0,
        "cycles.limit": 0,
        "cycles.plain": False,
    },
}
MEANING = "paper: the method as published; plain: without it."


def expanded(values: dict[str, object], where: str) -> dict[str, object]:
    """Values by dotted key, with the options of their recipe in the place of its name.

    Raises: UserError for an unknown recipe, naming `where` it was given.
    """
    if RECIPE not in values:
        return values
    rest = {key: value for key, value in values.items() if key != RECIPE}
    name = values[RECIPE]
    if not isinstance(name, str) or name not in RECIPES:
        raise UserError(f"{where}: recipe {shown(name)} must be one of {', '.join(RECIPES)}")
    return {**RECIPES[name], **rest}
