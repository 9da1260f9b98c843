"""Each rule of the guidance, on tables made by hand."""

import pytest

from rws.cycle.guidance import by_class, guidance, sentence, text
from rws.runs.record import CycleRecord


def group(name: str, size: str, missing: float, pixels: int = 5000, images: int = 10) -> dict:
    return {"class": name, "size": size, "pixels": pixels, "images": images, "missing": {"layer2": missing}}


SMALL, MEDIUM = group("person", "small", 0.41), group("person", "medium", 0.30)
DOG = group("dog", "large", 0.20)


def say(last: list[dict], first: list[dict] | None = None, by: str = "fusion") -> str:
    return sentence("layer2", last, first, by)


def test_the_group_that_misses_most_is_named():
    expected = "layer2 misses small regions of person most: 0.41 missing weight (on average 0.30)."
    assert say([SMALL, MEDIUM, DOG]) == expected
    assert say([DOG, MEDIUM, SMALL]) == say([SMALL, MEDIUM, DOG])


@pytest.mark.parametrize(
    ("before", "clause"),
    [
        (0.41, "unchanged by fusion"),
        (0.4201, "unchanged by fusion"),
        (0.4299, "unchanged by fusion"),
        (0.4301, "down from 0.43 before fusion"),
        (0.52, "down from 0.52 before fusion"),
        (0.3899, "up from 0.39 before fusion"),
        (0.3901, "unchanged by fusion"),
    ],
)
def test_what_counts_as_unchanged(before, clause):
    first = [group("person", "small", before), MEDIUM, DOG]
    assert f"0.41 missing weight, {clause} (on average 0.30" in say([SMALL, MEDIUM, DOG], first)


def test_the_mean_of_all_pixels_has_a_change_of_its_own():
    """That of a group chosen for its last value leans upwards."""
    first = [group("person", "small", 0.30), group("person", "medium", 0.60)]
    assert say([SMALL, group("person", "medium", 0.11)], first) == (
        "layer2 misses small regions most: 0.41 missing weight, up from 0.30 before fusion "
        "(on average 0.26, down from 0.45)."
    )
    assert say([SMALL, MEDIUM], [SMALL, MEDIUM]).endswith("unchanged by fusion (on average 0.35, unchanged).")


def test_without_fusion_it_was_the_retraining():
    assert "0.41 missing weight, unchanged by retraining (" in say([SMALL, DOG], [SMALL, DOG], "retraining")


def test_nothing_is_said_about_the_change_of_a_group_that_was_not_there():
    assert say([SMALL, DOG], [DOG]) == say([SMALL, DOG])


@pytest.mark.parametrize(("pixels", "images"), [(999, 10), (5000, 2)])
def test_too_few_pixels_or_images_make_no_claim(pixels, images):
    rare = group("cat", "small", 0.9, pixels, images)
    assert say([rare, SMALL, DOG]).startswith("layer2 misses small regions of person most: 0.41 missing ")
    assert group("cat", "small", 0.9, 1000, 3)["class"] in say([group("cat", "small", 0.9, 1000, 3), DOG])
    alone = say([rare], [rare])
    assert "0.90 on average, unchanged by fusion" in alone
    assert "no class and size has enough pixels (1000 in 3 images)" in alone


def test_groups_that_miss_equally_are_named_together():
    near = group("dog", "large", 0.3901)
    assert say([SMALL, near, MEDIUM]) == (
        "layer2 misses small regions of person and large regions of dog most: 0.41 missing weight "
        "(on average 0.37)."
    )
    apart = group("dog", "large", 0.3899)
    assert "dog" not in say([SMALL, apart, MEDIUM])


def test_of_many_equal_groups_three_are_named():
    equal = [group(name, "small", 0.5) for name in "abcde"]
    assert "small regions of a, small regions of b, small regions of c and 2 more most" in say([*equal, DOG])


def test_groups_that_are_all_equal():
    last = [group("person", "small", 0.41), group("dog", "large", 0.40)]
    assert say(last) == "layer2 misses all classes and sizes about equally: 0.41 missing weight."
    before = [group("person", "small", 0.51), group("dog", "large", 0.50)]
    assert say(last, before).endswith("about equally: 0.41 missing weight, down from 0.51 before fusion.")
    assert say(last, last).endswith("about equally: 0.41 missing weight, unchanged by fusion.")
    one_class = [group("cow", "small", 0.41), group("cow", "large", 0.41)]
    assert say(one_class) == "layer2 misses all sizes about equally: 0.41 missing weight."


def test_a_set_of_one_class_does_not_repeat_its_name():
    last = [group("cow", "small", 0.41), group("cow", "large", 0.20)]
    assert say(last) == "layer2 misses small regions most: 0.41 missing weight (on average 0.30)."


def test_the_only_group():
    assert say([group("cow", "large", 0.41)]) == (
        "layer2 misses large regions, the only group with enough pixels: 0.41 missing weight "
        "(on average 0.41)."
    )


def test_a_stage_that_misses_nothing():
    assert "misses nothing" in say([group("cow", "large", 0.0049), group("cow", "small", 0.0049)])
    assert "misses nothing" not in say([group("cow", "large", 0.0051), group("cow", "small", 0.0051)])


def test_class_names_are_used_as_they_are():
    assert "small regions of traffic light (<b>)" in say([group("traffic light (<b>)", "small", 0.41), DOG])


def two_stages(low: float, high: float) -> dict:
    groups = [SMALL | {"missing": {"layer2": high, "layer3": low}}]
    return {"images": 12, "groups": groups}


def test_stages_are_compared():
    records = [CycleRecord(0, attention=two_stages(0.1, 0.5))]
    assert guidance(records).sentences[-1] == (
        "Of all stages layer2 misses most (0.50 on average) and layer3 least (0.10)."
    )
    records = [CycleRecord(0, attention=two_stages(0.41, 0.42))]
    assert guidance(records).sentences[-1] == "All stages miss about equally: 0.42 on average."
    alone = [CycleRecord(0, attention={"images": 12, "groups": [SMALL, DOG]})]
    assert len(guidance(alone).sentences) == 1


def test_the_first_and_the_last_cycle_that_were_looked_at_are_compared():
    tables = [two_stages(0.1, 0.5), two_stages(0.2, 0.9), two_stages(0.1, 0.3)]
    records = [CycleRecord(k, attention=table) for k, table in enumerate(tables)]
    found = guidance([*records, CycleRecord(3)])
    assert found.cycles == (0, 1, 2)
    assert (found.rows[0].first, found.rows[0].last) == (0.5, 0.3)
    assert "down from 0.50 before fusion" in found.sentences[0]
    lines = text(found).splitlines()
    heads = ["stage", "cycle 0", "cycle 2", "change", "small", "medium", "large"]
    assert lines[1].split() == " ".join(heads).split()
    assert lines[2].split() == ["layer2", "0.50", "0.30", "-0.20", "0.30", "-", "-"]
    assert "5,000 foreground pixels of 12 training images" in lines[0]


def test_the_class_that_misses_most_is_in_the_table_of_several():
    found = guidance([CycleRecord(0, attention={"images": 12, "groups": [SMALL, DOG]})])
    lines = text(found).splitlines()
    assert lines[1].endswith("large  most missed class")
    assert lines[2].split() == ["layer2", "0.30", "0.41", "-", "0.20", "person", "0.41"]


def test_one_cycle_has_no_change():
    found = guidance([CycleRecord(0, attention=two_stages(0.1, 0.5))])
    assert text(found).splitlines()[1].split()[:3] == ["stage", "missing", "small"]
    assert "fusion" not in text(found)


@pytest.mark.parametrize("records", [[], [CycleRecord(0)], [CycleRecord(0, attention=None)]])
def test_runs_that_looked_at_nothing(records):
    found = guidance(records)
    assert (found.rows, found.sentences) == ((), ())
    assert text(found) == "no guidance: no missing weights were looked at"


def test_images_without_foreground():
    found = guidance([CycleRecord(0, attention={"images": 2, "groups": []})])
    assert (found.rows, found.sentences) == ((), ())


def test_classes_are_ordered_by_what_they_miss():
    rare = group("cat", "small", 0.9, 10)
    found = by_class([SMALL, MEDIUM, DOG, rare, group("dog", "small", 0.8)], "layer2")
    assert found == pytest.approx({"dog": 0.5, "person": 0.355})
    assert list(found) == ["dog", "person"]
