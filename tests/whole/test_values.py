"""What a value means: the same in a file as on the command line, by the type of its option alone."""

import re
import types
from typing import Literal, Union, get_args, get_origin

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rws.cli import default_text, dump, flatten, parse
from rws.compare.plan import read_experiment
from rws.config import OPTIONS, Config
from rws.config.forms import NO_TEXT, example, form
from rws.errors import UserError

# What a message must not hold: the names of Python types, and the parser's own words.
PYTHON = re.compile(
    r"Literal|Union|NoneType|None|Positive|NonNegative|Unit|Interval|<class|typing|Type|\bint\b|\bstr\b|"
    r"\bbool\b|\bfloat\b|\btuple\b|\bdict\b|Parser|Expected|validate|literal|invalid"
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6).map(str), st.floats().map(str), st.floats().map("{:e}".format)
)
VALUES = st.one_of(
    TEXTS,
    NUMBERS,
    st.lists(st.one_of(TEXTS, NUMBERS), max_size=3).map(lambda words: f"[{', '.join(words)}]"),
    st.sampled_from(
        ["null", "~", "true", "no", "on", "12:30", "0123", "1_0", "0x1F", "2024-01-01", "[", "{a: 1}"]
    ),
)


@pytest.fixture
def write(tmp_path):
    def file(text: str, name: str = "c.yaml") -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return file


def value_of(config: Config, key: str) -> object:
    for name in key.split("."):
        config = getattr(config, name)
    return config


def said(*flags: str) -> str:
    with pytest.raises(UserError) as caught:
        parse(list(flags), file=None)
    return str(caught.value)


def allows(kind: object, value: object) -> bool:
    """The independent reading of a type: whether a builtin value is one of it."""
    inner = get_args(kind)
    if get_origin(kind) in (types.UnionType, Union):
        return any(value is None if each is type(None) else allows(each, value) for each in inner)
    if get_origin(kind) is Literal:
        return value in inner
    if get_origin(kind) is tuple:
        length = len(value) if inner[-1] is ... else len(inner)
        return type(value) is tuple and len(value) == length and all(allows(inner[0], v) for v in value)
    if get_origin(kind) is list:
        return type(value) is list and all(type(v) is str for v in value)
    base = kind if kind in (str, bool, int, float) else kind._type
    return type(value) is base and (base is not float or abs(value) < float("inf"))


@pytest.mark.parametrize("key", OPTIONS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_any_text_is_a_value_of_the_type_or_one_line_without_names_of_types(key, data):
    text = data.draw(VALUES)
    kind = OPTIONS[key].type
    try:
        config = parse([f"--{key}={text}"], file=None).config
    except UserError as error:
        line = str(error)
        assert "\n" not in line
        if line.startswith(f'command line: "{key}": '):
            assert form(kind) in line
            words = line.partition(" given, needed is ")[2]
            assert not PYTHON.search(words)
        return
    value = value_of(config, key)
    assert allows(kind, value)
    if kind is str:
        assert value == text
    if kind == str | None:
        assert value == text or (value is None and text in ("null", "~", "Null", "NULL"))


@pytest.mark.parametrize("key", OPTIONS)
def test_the_default_of_every_option_is_read_from_file_and_flag_as_it_is_shown(key, write):
    text = default_text(key)
    assert value_of(parse([f"--{key}={text}"], file=None).config, key) == OPTIONS[key].default
    assert value_of(parse(["--config", write(f"{key}: {text}")]).config, key) == OPTIONS[key].default


@pytest.mark.parametrize("key", OPTIONS)
@pytest.mark.parametrize("words", [[], ["a", "b"], ["96", "96"], ["-1", "[", "{}"]])
def test_no_word_or_several_get_the_form_to_write(key, words):
    if OPTIONS[key].type is bool and not words:
        assert value_of(parse([f"--{key}"], file=None).config, key) is True
        return
    line = said(f"--{key}", *words)
    assert line.startswith(f'command line: "{key}": {" ".join(words) or "nothing"} given, needed is ')
    assert form(OPTIONS[key].type) in line
    assert not PYTHON.search(line.partition("needed is")[2])


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (
            "--data.crop_size 96 96",
            '"data.crop_size": 96 96 given, needed is 2 values in brackets, each a whole number above 0, as '
            '--data.crop_size "[96, 96]"',
        ),
        (
            "--data.crop-size 96",
            '"data.crop_size": 96 given, needed is 2 values in brackets, each a whole number above 0, as '
            '--data.crop_size "[480, 480]"',
        ),
        ("--data.workers -1", '"data.workers": -1 given, needed is a whole number, 0 or more, or null'),
        ("--train.optimizer SGD", '"train.optimizer": SGD given, needed is one of sgd, adamw'),
        ("--train.lr 1e400", '"train.lr": 1e400 given, needed is a number above 0'),
        ("--train.lr -1e-4", '"train.lr": -1e-4 given, needed is a number above 0'),
        ("--train.momentum nan", '"train.momentum": nan given, needed is a number from 0 to 1'),
        ("--cam-vis maybe", '"cam_vis": maybe given, needed is true or false'),
        (
            "--name my run",
            '"name": my run given, needed is a text; in quotes where it is meant as one',
        ),
        ("--data.cache off", '"data.cache": off given, needed is a text, or null'),
        ("--data.root=", '"data.root": nothing given, needed is a text'),
        (
            "--model.stages layer1",
            '"model.stages": layer1 given, needed is a list in brackets, each a text, or null, as '
            '--model.stages "[layer1, layer2]"',
        ),
        ("stray", "stray: belongs to no flag; a flag begins with --"),
        ("--resume maybe", "--resume takes nothing, or true or false, not maybe"),
        ("--config", "--config takes one file, not nothing"),
    ],
)
def test_the_line_of_a_wrong_flag(flags, line):
    assert said(*flags.split()) == f"command line: {line}"


@pytest.mark.parametrize(
    ("kind", "words", "written"),
    [
        (tuple[float, float] | None, "2 values in brackets, each a number, or null", "[0, 1]"),
        (Literal["a", "b"] | None, "one of a, b, or null", None),
        (list[str], "a list in brackets, each a text", "[layer1, layer2]"),
        (int | None, "a whole number, or null", None),
    ],
)
def test_the_form_of_types_that_an_option_may_have_one_day(kind, words, written):
    assert form(kind) == words
    assert example(kind, None) == written


# YAML's own types, where text or a number is meant.


@pytest.mark.parametrize(
    "text",
    [
        *("123", "0123", "1.0", "1e3", "+1", "1_000", "0x1F", ".inf", "12:30", "1:2:3", "2024-01-01"),
        *("on", "off", "yes", "no", "y", "true", "None", "=", "2024-01-01 10:00:00"),
    ],
)
def test_a_name_is_the_text_that_stands_there(text, write):
    for line in (f"name: {text}", f"name: '{text}'", f'name: "{text}"'):
        assert parse(["--config", write(line)]).config.name == text
    assert parse(["--config", write(f"model: {{stages: [{text}, b]}}")]).config.model.stages == [text, "b"]


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("train: {lr: 1e-4, weight_decay: 1e-5}", "train.lr", 1e-4),
        ("train: {lr: .5}", "train.lr", 0.5),
        ("train: {lr: 5}", "train.lr", 5.0),
        ("train: {lr: '0.1'}", "train.lr", 0.1),
        ("seed: 0123", "seed", 123),
        ("cam_vis: on", "cam_vis", True),
        ("cam_vis: No", "cam_vis", False),
        ("data: {workers: ~}", "data.workers", None),
        ("data: {workers:}", "data.workers", None),
        ("train: {checkpoint_minutes: null}", "train.checkpoint_minutes", None),
        ("data: {category: n}", "data.category", "n"),
        ("sc_cam: {scales: [1, 1e-1]}", "sc_cam.scales", (1.0, 0.1)),
        ("train: &t {epochs: 3}\nslices: {<<: {step: 0.25}, size: 0.5}", "slices.step", 0.25),
    ],
)
def test_a_value_is_what_its_option_takes(line, key, value, write):
    assert value_of(parse(["--config", write(line)]).config, key) == value


@pytest.mark.parametrize(
    ("line", "about"),
    [
        ("train: {epochs: 1:30}", '"train.epochs": 1:30 given, needed is a whole number above 0'),
        ("seed: 0x10", '"seed": 0x10 given, needed is a whole number, 0 or more'),
        ("seed: 2024-01-01", '"seed": 2024-01-01 given, needed is a whole number, 0 or more'),
        ("train: {lr: .inf}", '"train.lr": .inf given, needed is a number above 0'),
        ("train: {lr: 1,5}", "unknown key 'train.5'"),
        ("train: {lr: null}", '"train.lr": null given, needed is a number above 0'),
        ("name: null", '"name": null given, needed is a text; in quotes where it is meant as one'),
        ("name:", '"name": null given, needed is a text; in quotes where it is meant as one'),
        ("data: {cache: off}", '"data.cache": off given, needed is a text, or null'),
        (
            "data: {crop_size: 96}",
            '"data.crop_size": 96 given, needed is 2 values in brackets, each a whole number above 0, as '
            "crop_size: [480, 480]",
        ),
        ("name: !!timestamp 2024-01-01", "not valid YAML: could not determine a constructor"),
    ],
)
def test_a_value_that_its_option_does_not_take_is_one_line(line, about, write):
    path = write(line)
    found = said("--config", path)
    assert found.startswith(f"{path}: {about}")
    assert "\n" not in found


@pytest.mark.parametrize("word", NO_TEXT)
def test_a_word_for_null_is_no_folder(word):
    assert "or null" in said(f"--data.cache={word.upper()}")
    assert parse(["--data.cache", "null"], file=None).config.data.cache is None


@settings(max_examples=30, deadline=None)
@given(name=TEXTS.filter(bool), category=st.one_of(st.none(), TEXTS.filter(bool)))
def test_what_is_written_is_read_back(name, category, tmp_path_factory):
    try:
        config = parse([f"--name={name}", f"--data.category={category or 'null'}"], file=None).config
    except UserError:
        return
    file = tmp_path_factory.mktemp("dump") / "c.yaml"
    file.write_text(dump(config), encoding="utf-8", newline="")
    read = parse(["--config", str(file)]).config
    assert read == config


# A key twice, and aliases.

EXPERIMENT = "name: e\nbase: {base}\nseeds: [0]\nsettings: {{}}\narms: {{plain: {{}}}}\n"


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("train: {lr: 0.0005}\ntrain: {epochs: 3}\n", "train", "1 and 2"),
        ("seed: 1\n\n# again\nseed: 1\n", "seed", "1 and 4"),
        ("train:\n  lr: 0.1\n  epochs: 2\n  lr: 0.2\n", "train.lr", "2 and 4"),
        ("train: {lr: 0.1}\ntrain.lr: 0.2\n", "train.lr", "1 and 2"),
        ("train.lr: 0.2\ntrain:\n  lr: 0.1\n", "train.lr", "1 and 3"),
        ("'seed': 1\nseed: 2\n", "seed", "1 and 2"),
        ("base: a.yaml\nbase: b.yaml\n", "base", "1 and 2"),
    ],
)
def test_a_key_that_is_there_twice_is_refused(text, key, lines, write):
    path = write(text)
    line = f"{path}: the key '{key}' is there twice, in lines {lines}; put both into one"
    assert said("--config", path) == line
    assert said("--config", write(f"base: {path}\nname: x", "child.yaml")) == line


@pytest.mark.parametrize(
    ("more", "key", "lines"),
    [
        ("arms: {rws: {}}\n", "arms", "5 and 6"),
        ("report_list: a\nreport_list: b\n", "report_list", "6 and 7"),
    ],
)
def test_in_an_experiment_as_well(more, key, lines, write):
    path = write(EXPERIMENT.format(base=write("seed: 1", "base.yaml")) + more, "e.yaml")
    with pytest.raises(UserError, match=f"the key '{key}' is there twice, in lines {lines}") as error:
        read_experiment(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("old", "new", "about"),
    [
        ("seeds: [0]", "seeds: 3", "seeds 3 must be whole numbers"),
        ("seeds: [0]", "seeds: [1.5]", r"seeds \[1.5\] must be whole numbers"),
        ("seeds: [0]", "seeds: [0, [1]]", r"seeds \[0, \[1\]\] must be whole numbers"),
        ("settings: {}", "settings: fast", "settings: fast given, needed are keys and values"),
        ("arms: {plain: {}}", "arms: {rws: 3}", "the arm rws: 3 given, needed are keys and values"),
        ("name: e", "name: [e]", r"name \[e\] must be a text"),
        ("name: e", "name:", "name null must be a text"),
    ],
)
def test_what_an_experiment_needs(old, new, about, write):
    text = EXPERIMENT.format(base=write("seed: 1", "base.yaml")).replace(old, new)
    path = write(text, "e.yaml")
    with pytest.raises(UserError, match=f"e.yaml: {about}"):
        read_experiment(path)


def test_the_name_of_an_experiment_and_its_arms_are_text(write):
    text = EXPERIMENT.format(base=write("seed: 1", "base.yaml"))
    path = write(text.replace("name: e", "name: 12:30").replace("plain", "on"), "e.yaml")
    found = read_experiment(path)
    assert (found.name, found.seeds, list(found.arms)) == ("12:30", [0], ["on"])


def bomb(merge: str) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]" if merge == "list" else "a0: &a0 {k: v}"]
    for k in range(1, 30):
        many = ", ".join([f"*a{k - 1}"] * 8)
        lines.append(f"a{k}: &a{k} " + (f"[{many}]" if merge == "list" else f"{{<<: [{many}]}}"))
    return "\n".join(lines)


@pytest.mark.parametrize("merge", ["list", "merge"])
def test_aliases_that_grow_are_one_line_at_once(merge, write):
    path = write(bomb(merge))
    line = f"{path}: holds more than 10,000 values, counting what its aliases stand for"
    assert said("--config", path) == line
    with pytest.raises(UserError, match="holds more than 10,000 values"):
        read_experiment(path)


def test_an_alias_that_holds_itself_and_one_that_does_not(write):
    assert "holds itself" in said("--config", write("data: &a\n  root: *a\n"))
    assert "holds itself" in said("--config", write("data: &a [*a]\n"))
    read = parse(["--config", write("name: &n x\nruns: *n\n")]).config
    assert (read.name, read.runs) == ("x", "x")


def test_every_dumped_value_is_text_that_means_itself(write):
    """PyYAML quotes what it would itself misread; read as text, both are the same."""
    tree = flatten(yaml.safe_load(dump(Config())))
    assert tree.keys() == OPTIONS.keys()
    assert parse(["--config", write(dump(Config()))]).config == Config()
