"""An export of each format, made of one scene set: read to the pixel, checked, and trained on."""

import numpy as np
import pytest
import yaml
from exports import EXPORTS, NAMES, scenes
from fuzz import TREE
from tiny import load_script

from rws.data import open_split
from rws.data.import_.__main__ import main

train = load_script("train")
pytestmark = pytest.mark.usefixtures("tiny_runs")
OF_IDS = {scene.name.replace(" ", "_"): scene for scene in scenes()}


@pytest.mark.parametrize("key", EXPORTS)
def test_masks_are_those_of_the_scenes(tmp_path, capsys, key):
    form, make = EXPORTS[key]
    output = tmp_path / "mine"
    assert main([form, str(make(tmp_path / "export")), "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert "left out" not in said, said
    for name in ("train", "val"):
        split = open_split("folder", output, name)
        assert split.classes.names == ("background", *NAMES)
        assert split.ids == sorted(split.ids)
        assert {i for i, scene in OF_IDS.items() if scene.split == name} == set(split.ids)
        for image_id in split.ids:
            assert np.array_equal(split.label(image_id), OF_IDS[image_id].label), image_id
            # JPEG changes colours a little, and no image is another one.
            apart = np.asarray(split.image(image_id)).astype(int) - OF_IDS[image_id].image
            assert np.abs(apart).mean() < 6


@pytest.mark.parametrize(
    "key", ["coco-runs", "labelme-embedded", "cvat-masks", "yolo", "voc-palette", "roboflow-masks"]
)
def test_check_and_three_steps_of_training(tmp_path, monkeypatch, capsys, key):
    form, make = EXPORTS[key]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rws.report.write.write_or_warn", lambda *args: None)
    assert main([form, str(make(tmp_path / "export")), "--output", "mine"]) == 0
    tree = {**TREE, "data": {**TREE["data"], "root": "mine"}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(tree))
    assert train.main(["--config", "c.yaml", "--check-data"]) == 0
    assert train.main(["--config", "c.yaml"]) == 0  # five images, two at a time
    assert (tmp_path / "runs/run/best.pt").is_file()
