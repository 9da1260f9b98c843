"""Options know themselves: what each says of itself, the lists that come of it, and what contradicts."""

from dataclasses import asdict

import pytest

from rws.cli import flatten, parse
from rws.compare.arms import changes
from rws.compare.plan import PLAIN
from rws.config import (
    OPTIONS,
    BankConfig,
    Config,
    CycleConfig,
    DataConfig,
    FusionConfig,
    SliceConfig,
    TrainConfig,
)
from rws.config.option import LEVELS, STEPS
from rws.cycle import loop
from rws.errors import UserError
from rws.runs.identity import FREE


def keys_with(name: str, value: object) -> set[str]:
    return {key for key, option in OPTIONS.items() if option.metadata[name] == value}


def test_every_field_of_the_configuration_is_an_option():
    assert list(OPTIONS) == list(flatten(asdict(Config())))


@pytest.mark.parametrize("key", OPTIONS)
def test_an_option_says_what_it_means_and_what_it_changes(key):
    known = OPTIONS[key].metadata
    assert known["meaning"][0].isupper()
    assert known["meaning"].endswith(".")
    assert len(known["meaning"].split()) >= 3
    assert known["step"] in (*STEPS, None)
    assert known["level"] in LEVELS
    assert type(known["free"]) is type(known["by_comparison"]) is bool
    assert known["free"] or known["step"] or key == "name", "what changes nothing may differ"


def test_the_steps_are_those_of_the_loop_and_the_next_training():
    assert (*loop.STEPS, "fuse") == STEPS


def test_twelve_options_are_what_most_people_need():
    assert keys_with("level", "basic") == {
        *("name", "seed", "device", "cam_vis", "model.name", "model.weights"),
        *("data.name", "data.root", "data.category", "train.epochs", "train.batch_size", "train.lr"),
    }


def test_what_may_differ_when_a_run_is_resumed():
    """Where things are and how they are watched."""
    assert keys_with("free", True) == FREE
    assert {
        *("cam_vis", "cam_vis_images", "cam_method", "look_again_images", "log", "runs", "device"),
        "model.weights_dir",
        *("data.root", "data.lists_dir", "data.workers", "data.check", "data.partial", "data.cache"),
        *("data.allow_leak", "data.albumentations", "train.checkpoint_steps", "train.checkpoint_minutes"),
    } == FREE


NO_NUMBER = {
    *("name", "log", "runs", "model.weights_dir", "data.workers", "data.check", "data.partial", "data.cache"),
    "look_again_images",
    *("train.checkpoint_steps", "train.checkpoint_minutes", "data.allow_leak"),
}
# The options that a step and all before it do not depend on.
FUSE = {"fusion.mode", "fusion.stages", "train.slice_mix", "cycles.budget"}
FUSE |= {"train.unlabelled_share"}
TEACH = FUSE | {"data.unlabelled", "train.teacher_passes"}
SELECT = TEACH | {"fusion.positions", "bank.precision", "bank.online"}
SLICES = SELECT | {"fusion.enabled", "train.slice_epochs", "cycles.start"}
SCORE = SLICES | {key for key in OPTIONS if key.startswith(("slices.", "cam_"))}
SCORE |= {"cycles.limit", "cycles.delta"}
LATER = {"whole": SCORE | {"cycles.plain"}, "score": SLICES, "slices": SELECT, "select": TEACH}


@pytest.mark.parametrize("step", LATER)
def test_what_a_step_does_not_depend_on(step):
    assert {key for key in OPTIONS if not changes(key, step)} == LATER[step] | NO_NUMBER


def test_what_a_comparison_sets_and_what_makes_an_arm_plain():
    assert keys_with("by_comparison", True) == {"name", "seed", "cycles.plain"}
    assert PLAIN == {"fusion.enabled": False, "train.slice_mix": 0.0, "train.unlabelled_share": 0.0}


# What contradicts is refused wherever a configuration is made.

CONTRADICTIONS = {
    r"data\.scale: \[2.0, 1.0\] must be \[smallest, largest\]": (
        lambda: DataConfig(scale=(2.0, 1.0)),
        ["--data.scale=[2,1]"],
    ),
    r"slices\.size 0.5 .* slices\.step 0.6 .* windows must leave no gaps": (
        lambda: SliceConfig(step=0.6),
        ["--slices.step=0.6"],
    ),
    r"slices\.size 2 must be at most 1": (lambda: SliceConfig(size=2.0), ["--slices.size=2"]),
    r"train\.loss: 'dise' is not one of cross_entropy, dice, focal, lovasz": (
        lambda: TrainConfig(loss="dise"),
        ["--train.loss=dise"],
    ),
    r"train\.class_weights weighs the cross-entropy, which train\.loss dice has not": (
        lambda: TrainConfig(loss="dice", class_weights="median"),
        ["--train.loss=dice", "--train.class-weights=median"],
    ),
    r"bank\.online: random positions need their features": (
        lambda: Config(bank=BankConfig(online=True), fusion=FusionConfig(positions="random")),
        ["--bank.online", "--fusion.positions=random"],
    ),
    r"data\.label_share 0: leaves no label": (lambda: DataConfig(label_share=0), ["--data.label-share=0"]),
    r"data\.unlabelled rest: data\.label_share 1 leaves no training image": (
        lambda: DataConfig(unlabelled="rest"),
        ["--data.unlabelled=rest"],
    ),
    r"data\.unlabelled: .* add --fusion\.enabled false": (
        lambda: Config(data=DataConfig(unlabelled="photos")),
        ["--data.unlabelled=photos"],
    ),
    r"data\.unlabelled: .* add --train\.slice_mix 0": (
        lambda: Config(
            data=DataConfig(unlabelled="photos"),
            fusion=FusionConfig(enabled=False),
            train=TrainConfig(slice_mix=0.5),
        ),
        ["--data.unlabelled=photos", "--fusion.enabled=false", "--train.slice-mix=0.5"],
    ),
    r"data\.unlabelled: .* give --cycles\.limit 1": (
        lambda: Config(
            data=DataConfig(unlabelled="photos"),
            fusion=FusionConfig(enabled=False),
            cycles=CycleConfig(limit=0),
        ),
        ["--data.unlabelled=photos", "--fusion.enabled=false", "--cycles.limit=0"],
    ),
}


@pytest.mark.parametrize("said", CONTRADICTIONS)
def test_what_contradicts_is_one_line(said):
    make, flags = CONTRADICTIONS[said]
    with pytest.raises(UserError, match=f"^{said}") as of_dataclass:
        make()
    with pytest.raises(UserError) as of_command:
        parse(flags, file=None)
    assert str(of_command.value) == str(of_dataclass.value)
    assert "\n" not in str(of_command.value)
