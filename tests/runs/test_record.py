"""The record of a cycle: what the files of a run hold, and what readers are told."""

import json

import pytest

from rws.runs.record import INSIDE, CycleRecord, Part, RunState, Spent, new_record, shown, training_key

# As a run of before there was `CycleRecord` left it after the third step of cycle 1; shortened histories.
OLD = """{
 "step": "slices",
 "cycle": 1,
 "cycles": [
  {
   "cycle": 0,
   "seconds": {
    "steps": 0.26,
    "evaluation": 0.02,
    "whole": 0.19,
    "plain": 0.0,
    "score": 0.16,
    "slices": 0.12,
    "select": 0.16
   },
   "images": 4,
   "whole": [
    {
     "epoch": 1,
     "loss": 2.75,
     "lr": 0.005,
     "miou": 3.5,
     "iou": {
      "background": 7.0,
      "kite": null
     },
     "step": 2
    }
   ],
   "whole_images": 8,
   "plain": [
    {
     "epoch": 1,
     "loss": 2.75,
     "step": 2
    }
   ],
   "plain_images": 8,
   "weak_slices": 36,
   "windows": 36,
   "kept_slices": 8,
   "missing_weight": {
    "layer1": 0.25
   },
   "attention": {
    "images": 4,
    "groups": []
   },
   "slice_images": 8,
   "slice_loss": 2.5
  },
  {
   "cycle": 1,
   "seconds": {
    "steps": 0.2,
    "evaluation": 0.02,
    "whole": 0.3,
    "plain": 0.0,
    "score": 0.1
   },
   "images": 4,
   "whole": [],
   "whole_images": 8,
   "fused_share": {
    "layer1": 0.5,
    "layer2": 0.25
   },
   "weak_slices": 0,
   "windows": 36,
   "kept_slices": 0,
   "missing_weight": {},
   "attention": {
    "images": 0,
    "groups": []
   }
  }
 ],
 "stopped": null
}"""


def test_an_old_state_is_read_and_written_letter_by_letter():
    state = RunState.from_dict(json.loads(OLD))
    assert json.dumps(state.to_dict(), indent=1) == OLD
    first, second = state.cycles
    assert (state.step, state.cycle, state.stopped) == ("slices", 1, None)
    assert (first.weak_slices, first.plain_images, first.whole[0]["miou"]) == (36, 8, 3.5)
    assert (second.plain, second.slice_images, second.missing_weight) == (None, None, {})


def test_a_field_that_an_older_run_lacks_is_none():
    stored = json.loads(OLD)["cycles"][0]
    del stored["attention"], stored["kept_slices"]
    record = CycleRecord.from_dict(stored)
    assert (record.attention, record.kept_slices) == (None, None)
    assert record.to_dict() == stored


def test_images_and_shares():
    first, second = RunState.from_dict(json.loads(OLD)).cycles
    assert (first.images_seen, second.images_seen) == (8 + 8, 8)
    assert (first.mean_fused_share, second.mean_fused_share) == (None, 0.375)


def test_a_step_adds_its_part_and_its_seconds():
    begun = new_record(2)
    assert begun.to_dict() == {
        "cycle": 2,
        "seconds": dict.fromkeys(INSIDE, 0.0),
        "images": 0,
        "whole": [],
        "whole_images": 0,
    }
    spent = Spent(before=10.0, steps=3.004, evaluation=1.0)
    record = begun.with_step("whole", Part({"whole_images": 12}, spent), elapsed=2.0)
    record = record.with_step("slices", Part({"slice_images": 0}, Spent(steps=0.5)), elapsed=1.0)
    assert record.seconds == {"steps": 3.5, "evaluation": 1.0, "whole": 12.0, "slices": 1.0}
    assert (record.whole_images, record.slice_images) == (12, 0)
    assert begun.seconds["steps"] == 0.0, "a step that is cut off leaves the record as it was"


def test_a_field_that_a_record_does_not_have_is_an_error():
    with pytest.raises(TypeError, match="slice_image"):
        new_record(0).with_step("slices", Part({"slice_image": 3}), elapsed=1.0)
    with pytest.raises(AttributeError):
        new_record(0).slice_image  # noqa: B018


def test_a_step_has_a_name_in_files_and_a_word_for_people():
    assert training_key("whole", 3) == "whole-3"
    assert shown("whole", 3) == "cycle 3: train"
    assert shown("score", 0) == "cycle 0: look"
