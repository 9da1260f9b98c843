"""Flags over YAML over base over defaults, and what is said of a wrong one."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tiny import REPOSITORY, load_script

from rws.cli import DEFAULT_CONFIG, SWITCHES, dump, parse
from rws.config import OPTIONS, Config
from rws.errors import UserError


@pytest.fixture
def write(tmp_path):
    """Writes a YAML file and returns its path as text."""

    def file(text: str, name: str = "c.yaml") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return file


def refusal(*flags: str) -> str:
    """The one line that is said of these flags."""
    with pytest.raises(UserError) as caught:
        parse(list(flags))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_flags_over_yaml_over_base_over_defaults(write):
    write("train: {lr: 0.1, momentum: 0.1, weight_decay: 0.1}", "grandparent.yaml")
    write("base: grandparent.yaml\ntrain:\n  lr: 0.2\n  momentum: 0.2", "parent.yaml")
    path = write("base: parent.yaml\ntrain:\n  lr: 0.3\nname: child")
    train = parse(["--config", path, "--name", "flag"])[0].train
    assert (train.lr, train.momentum, train.weight_decay, train.epochs) == (0.3, 0.2, 0.1, 1)
    config, source, *_ = parse(["--config", path, "--name", "flag", "--train.lr", "0.4"])
    assert (config.name, config.train.lr, config.train.momentum) == ("flag", 0.4, 0.2)
    assert source == path


def test_an_empty_file_gives_the_defaults(write):
    assert parse(["--config", write("")])[0] == Config()


def test_a_base_is_found_beside_the_file(write, tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    write("seed: 5")
    path = write("base: ../c.yaml", "deep/child.yaml")
    monkeypatch.chdir("/")
    assert parse(["--config", path])[0].seed == 5


@pytest.mark.parametrize("flags", [["--data.crop-size", "[32, 48]"], ["--data.crop_size=[32,48]"]])
def test_dashes_and_underscores_are_the_same(write, flags):
    config = parse(["--config", write(""), *flags])[0]
    assert config.data.crop_size == (32, 48)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--cam-vis"], (True, False)),
        (["--cam-vis", "--resume"], (True, True)),
        (["--resume", "--cam_vis", "true"], (True, True)),
        (["--cam-vis", "false", "--resume"], (False, True)),
        (["--cam-vis=false"], (False, False)),
        (["--resume", "--name", "x"], (False, True)),
    ],
)
def test_bare_switches(write, flags, expected):
    command = parse(["--config", write(""), *flags])
    assert (command.config.cam_vis, command.resume) == expected


def test_a_switch_set_in_yaml_is_switched_off_by_a_flag(write):
    path = write("cam_vis: true\ncycles: {plain: true}")
    config = parse(["--config", path, "--cam-vis", "false", "--cycles.plain=false"])[0]
    assert (config.cam_vis, config.cycles.plain) == (False, False)


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("train: {lrr: 3}", "train.lrr", "train.lr"),
        ("data: {crop-sizes: [1, 2]}", "data.crop-sizes", "data.crop_size"),
        ("sed: 3", "sed", "seed"),
        ("cycle: {limit: 3}", "cycle.limit", "cycles.limit"),
        ("train: 5", "train", "train."),
        ("name: {a: 1}", "name.a", "name"),
        ("1: 2", "1", ""),
    ],
)
def test_unknown_key_in_yaml(write, text, key, nearest):
    path = write(text)
    said = refusal("--config", path)
    assert said.startswith(f"{path}: unknown key '{key}'")
    assert f"nearest known one is '{nearest}" in said


def test_unknown_key_in_a_base_names_the_base(write):
    base = write("seeed: 1", "base.yaml")
    assert refusal("--config", write("base: base.yaml")).startswith(f"{base}: unknown key 'seeed'")


@pytest.mark.parametrize(
    ("flag", "key", "nearest"),
    [
        ("--resum", "resum", "resume"),
        ("--train.lrr", "train.lrr", "train.lr"),
        ("--data.crop-sizes", "data.crop_sizes", "data.crop_size"),
        ("--se", "se", "seed"),  # no abbreviations
        ("--data", "data", "data."),
    ],
)
def test_unknown_key_on_the_command_line(write, flag, key, nearest):
    said = refusal("--config", write(""), flag, "1")
    assert said.startswith(f"command line: unknown key '{key}'")
    assert f"nearest known one is '{nearest}" in said


WRONG = [
    ("seed", "1.5"),
    ("seed", "many"),
    ("train.lr", "fast"),
    ("train.lr", "-1"),
    ("train.batch_size", "0"),
    ("train.batch_size", "four"),
    ("train.momentum", "1.5"),
    ("data.workers", "-1"),
    ("data.crop_size", "5"),
    ("data.crop_size", "[1, 2, 3]"),
    ("data.crop_size", "[1.5, 2]"),
    ("data.crop_size", "[0, 2]"),
    ("data.name", "coco"),
    ("cycles.start", "first"),
    ("cam_vis", "maybe"),
    ("cam_vis", "1"),
    ("model.stages", "layer1"),
]


def said_of(value: str) -> str:
    """What a message repeats of a wrong value: of a pair of numbers the wrong one."""
    return {"[1.5, 2]": "1.5", "[0, 2]": "0"}.get(value, value)


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_wrong_type_in_yaml(write, key, value):
    path = write(f"{key}: {value}")
    said = refusal("--config", path)
    assert said.startswith(f'{path}: "{key}": ')
    assert said_of(value) in said.partition(key)[2]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_wrong_type_on_the_command_line(write, key, value):
    said = refusal("--config", write(""), f"--{key}", value)
    assert said.startswith(f'command line: "{key}": ')
    assert said_of(value) in said.partition(key)[2]


@pytest.mark.parametrize("flags", [["stray"], ["-x"], ["--train.batch-size"]])
def test_flags_that_are_none(write, flags):
    assert refusal("--config", write(""), *flags).startswith("command line: ")


def test_more_passes_of_the_teacher_than_there_can_be(write):
    said = refusal("--config", write("train: {teacher_passes: 30}"))
    assert "train.teacher_passes 30: must be 1 to 26" in said


def test_scale_the_wrong_way_round(write):
    assert "data.scale" in refusal("--config", write("data: {scale: [2, 1]}"))


def test_numbers_as_yaml_1_1_misreads_them(write):
    """PyYAML takes 1e-4 for a string; a person means a number."""
    assert parse(["--config", write("train: {lr: 1e-4}")])[0].train.lr == 1e-4


def test_bases_in_a_circle(write):
    write("base: c.yaml", "b.yaml")
    assert "its own base" in refusal("--config", write("base: b.yaml"))
    path = write("base: self.yaml", "self.yaml")
    assert "its own base" in refusal("--config", path)


def test_two_children_of_one_base_are_no_circle(write):
    write("seed: 1", "root.yaml")
    write("base: root.yaml\nname: b", "b.yaml")
    assert parse(["--config", write("base: b.yaml")])[0].seed == 1


def test_missing_file(write, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    said = refusal("--config", str(tmp_path / "none.yaml"))
    assert said.startswith(f"{tmp_path / 'none.yaml'}: no such configuration")
    assert DEFAULT_CONFIG in said
    path = write("base: gone.yaml")
    assert str(Path(path).parent / "gone.yaml") in refusal("--config", path)
    assert "no such" in refusal("--config", str(tmp_path))  # a folder


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[1, 2]", "a list"),
        ("just words", "a text"),
        ("5", "a text"),
        ("a: b: c", "not valid YAML"),
        ("a: [1", "not valid YAML"),
        ("base: [a]", "base must be a file name"),
    ],
)
def test_yaml_that_is_no_configuration(write, text, what):
    path = write(text)
    said = refusal("--config", path)
    assert said.startswith(f"{path}: ")
    assert what in said


def test_a_binary_file_is_no_yaml(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00\x93")
    assert "not valid YAML" in refusal("--config", str(tmp_path / "c.yaml"))


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system ['touch {mark}']", "!!python/name:os.system ''"]
)
def test_yaml_runs_no_code(write, tmp_path, tag):
    mark = tmp_path / "ran"
    path = write("name: " + tag.format(mark=mark))
    assert refusal("--config", path).startswith(f"{path}: not valid YAML")
    assert not mark.exists()


def test_a_byte_order_mark_is_cut(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfseed: 3\n")
    assert parse(["--config", str(tmp_path / "c.yaml")])[0].seed == 3


def test_dump_is_parsed_back_to_an_equal_configuration(write):
    flags = ["--name", "123", "--train.lr", "1e-5", "--data.crop-size", "[32, 48]", "--data.scale", "[1, 1]"]
    flags += ["--model.stages", "[a, b]", "--data.category", "car", "--cycles.start", "last", "--cam-vis"]
    flags += ["--train.checkpoint-steps", "7", "--data.workers", "0", "--slices.most-per-image", "3"]
    flags += ["--slices.size", "0.75"]
    for config in (Config(), parse(["--config", write(""), *flags])[0]):
        assert parse(["--config", write(dump(config), "dumped.yaml")])[0] == config
    assert config.model.stages == ["a", "b"]
    assert config.slices.size == 0.75
    assert config.name == "123"


def test_values_are_builtins(write):
    """jsonargparse's own number types cannot be written to YAML or into checkpoints."""
    config = parse(["--config", write("train: {batch_size: 3, lr: 0.5}\ndata: {crop_size: [8, 9]}")])[0]
    values = [config.train.batch_size, config.train.lr, config.data.crop_size, *config.data.crop_size]
    assert [type(v) for v in values] == [int, float, tuple, int, int]


def test_without_config_the_demo_is_taken(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    config, source, *_ = parse(["--seed", "4"])
    assert source == DEFAULT_CONFIG == "demo"
    assert config == replace(parse(["--config", "configs/demo.yaml"])[0], seed=4)
    assert (config.name, config.data.name) == ("demo", "demo")


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").glob("**/*.yaml")), ids=lambda p: p.stem)
def test_every_configuration_of_the_project_parses(path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    config = parse(["--config", str(path)]).config
    assert config.name != Config().name, "a configuration names its run, so that two do not share a folder"


# The command's own arguments, and help.


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_of_the_command_is_no_option(write, switch):
    command = parse(["--config", write(""), f"--{switch.replace('_', '-')}"])
    assert {name for name in SWITCHES if getattr(command, name)} == {switch}
    assert switch not in dump(command.config)


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_file_that_asks_for_a_switch_is_told_the_flag(write, switch):
    path = write(f"{switch}: true")
    said = f"{switch} belongs to the command; remove it here and give --{switch.replace('_', '-')}"
    assert refusal("--config", path) == f"{path}: {said}"
    with pytest.raises(UserError, match=f"^arm x: {switch} belongs to the command"):
        parse([], {switch: True}, "arm x", file=None)


def test_a_file_of_an_old_run_that_saved_the_switches_is_read(write):
    saved = "".join(f"{switch}: false\n" for switch in SWITCHES)
    assert parse(["--config", write(f"seed: 3\n{saved}")]).config == replace(Config(), seed=3)
    asked = write("seed: 3\nresume: true")
    command = parse([], file=asked, of_old_run=True)
    assert (command.config.seed, command.resume) == (3, False)


def shown(capsys, monkeypatch, flag: str) -> str:
    """What train.py shows for a flag, on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    assert load_script("train").main([flag]) == 0
    return capsys.readouterr().out


def listed(text: str) -> list[str]:
    """The arguments that a help text describes, in order."""
    return [line.split()[0][2:] for line in text.splitlines() if line.startswith("  --")]


OF_COMMAND = [
    "config",
    "recipe",
    "resume",
    "resume-with-changes",
    "overwrite",
    "check-data",
    "list-stages",
    "help-all",
]


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_shows_what_most_people_need_on_a_page(capsys, monkeypatch, flag):
    text = shown(capsys, monkeypatch, flag)
    basic = ["name", "seed", "device", "cam_vis", "model.name", "model.weights", "data.name", "data.root"]
    basic += ["data.category", "train.epochs", "train.batch_size", "train.lr"]
    assert listed(text) == OF_COMMAND + basic
    assert len(text.splitlines()) < 60
    assert "python train.py --config mine.yaml --resume " in text
    assert "`--help-all` every one" in text
    assert "Learning rate" in text
    assert "(default: 0.0001)" in text


def test_help_all_shows_every_option_in_groups(capsys, monkeypatch):
    text = shown(capsys, monkeypatch, "--help-all")
    assert listed(text) == OF_COMMAND + list(OPTIONS)
    said = " ".join(text.split())
    assert all(option.metadata["meaning"] in said for option in OPTIONS.values())
    assert text.index("The data set:") < text.index("--data.hflip") < text.index("The loop:")
    assert " CONFIG" not in text, "a section is no argument"


def test_dump_is_plain_yaml():
    tree = yaml.safe_load(dump(Config()))
    assert list(tree)[:2] == ["name", "runs"]
    assert "!!" not in dump(Config())
