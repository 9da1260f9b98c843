"""What configurations of old runs hold and those of today do not: experiments that did not help, and flags.

The code of the experiments is in the history; docs/findings.md has what they showed.
"""

import yaml

from rws.errors import UserError

FIRST_FINDINGS, LATER_FINDINGS = "b5014ca", "fbeba0b"  # the commits that have them
# The options of these experiments, with the value at which each changes nothing.
RETIRED = {
    "train.slice_aim": 0.0,
    "train.slice_aim_by": "image",
    "slices.geometry": "covering",
    "slices.iou_by": "image",
    "fusion.normalise": False,
    "fusion.anneal": "none",
    "fusion.share": 1.0,
    "fusion.distill": 0.0,
    "fusion.replace": True,
    "fusion.correct_only": False,
    "bank.teacher_decay": 1.0,
}
_LATER = {"bank.teacher_decay"}
# Values that an option had once, and what a file of an old run is read with in their place.
_RETIRED_STARTS = {"slices": "last"}
# Flags of the command, which no file may hold; some were once options, and so were saved with a run.
ONCE_SAVED = ("resume", "resume_with_changes", "overwrite", "check_data", "list_stages")


def is_retired(key: str, value: object) -> bool:
    """Whether an option, at this value, asks for an experiment whose code is gone."""
    if key in RETIRED:
        return _typed(value) != RETIRED[key]
    several_sizes = key == "slices.size" and (isinstance(value, list) or str(value).startswith("["))
    return several_sizes or (key == "cycles.start" and value in _RETIRED_STARTS)


def commit_of(key: str) -> str:
    """The commit that has a retired option."""
    return LATER_FINDINGS if key in _LATER else FIRST_FINDINGS


def _typed(value: object) -> object:
    """A value as YAML has it; files and flags give text."""
    return yaml.safe_load(value) if isinstance(value, str) else value


def refusal(key: str, value: object, where: str) -> UserError:
    """The error for a retired option; it names the commit."""
    return UserError(
        f"{where}: {key} {value!r} is retired, for it did not help (docs/findings.md); "
        f"the code that has it is commit {commit_of(key)}"
    )


def as_it_was(values: dict[str, object]) -> dict[str, object]:
    """What an old run did before there was an option for it, where the option's default does otherwise.

    values: its options by dotted key, of which none may be left out that it had.
    """
    goes_on = values.get("cycles.start") == "last" and values.get("cycles.limit")
    return {"cycles.anneal": "each"} if goes_on and "cycles.anneal" not in values else {}


def without_flags(values: dict[str, object]) -> dict[str, object]:
    """The values that an old run was saved with, without the flags of its command."""
    return {key: value for key, value in values.items() if key not in ONCE_SAVED}


def without_retired(values: dict[str, object], where: str, *, of_old_run: bool = False) -> dict[str, object]:
    """Values by dotted key without what is no longer an option; an old run's file may ask for such a thing.

    Raises: UserError that names the commit, or the flag.
    """
    kept = {}
    for key, value in without_flags(values).items():
        if is_retired(key, value):
            if not of_old_run:
                raise refusal(key, value, where)
            value = value[0] if isinstance(value, list) else _RETIRED_STARTS.get(value, value)
        if key not in RETIRED:
            kept[key] = value
    if not of_old_run and (asked := [key for key in ONCE_SAVED if _typed(values.get(key))]):
        flag = asked[0].replace("_", "-")
        raise UserError(f"{where}: {asked[0]} belongs to the command; remove it here and give --{flag}")
    return kept
