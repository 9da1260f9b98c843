"""Every data set from its official layout: what is found, what its labels mean, and what is written back."""

import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
from layouts import LAYOUTS, append, save
from PIL import Image
from torchvision.datasets import Cityscapes
from torchvision.models._meta import _COCO_CATEGORIES

from rws.data import DATASETS, NAMES, Reading, open_split, require_official
from rws.data.check import check_split
from rws.data.classes import DEMO
from rws.data.sets import ade20k, cityscapes, coco_stuff
from rws.errors import UserError


def in_order(layout, split):
    """The drawn labels of a split by the id that the set gives them."""
    ids = (lambda i: f"{split}-jump-{i[-5:]}") if layout.name == "davis2017" else (lambda i: i)
    return {ids(i): (image, label) for s, i, image, label in layout.drawn() if s == split}


@pytest.mark.parametrize("key", LAYOUTS)
def test_labels_are_the_classes_that_were_drawn(tmp_path, key):
    layout = LAYOUTS[key]
    root = layout.make(tmp_path / "set")
    for name in ("train", "val"):
        split, drawn = open_split(layout.name, root, name), in_order(layout, name)
        assert split.ids == list(drawn)
        for image_id, (image, label) in drawn.items():
            # DAVIS 2016 has no number for what counts nowhere: void is drawn as background.
            expected = np.where(label == 255, 0, label) if key == "davis2016" else label
            assert np.array_equal(split.label(image_id), expected)
            assert split.size(image_id) == image.shape[:2]
            assert np.abs(np.asarray(split.image(image_id)).astype(int) - image).mean() < 25, "its own image"
        assert check_split(split, progress=False).images == len(drawn)
        assert pickle.loads(pickle.dumps(split)).ids == split.ids, "goes to loader processes"


@pytest.mark.parametrize("key", [k for k in LAYOUTS if not k.startswith("davis")])
def test_results_are_written_in_the_numbers_of_the_sets_files(tmp_path, key):
    layout = LAYOUTS[key]
    classes = open_split(layout.name, layout.make(tmp_path / "set"), "val").classes
    *_, label = next(layout.drawn())
    written = classes.to_file(label)
    known = label != 255
    assert np.array_equal(written[known], layout.in_file(label)[known])
    assert set(written[~known]) <= set(classes.void_in_files)
    shown = np.array(classes.flat_palette(files=True)).reshape(256, 3)[written[known]]
    assert np.array_equal(shown, np.array(classes.palette)[label[known]])


def test_every_name_of_the_configuration_opens_something():
    from typing import get_args, get_type_hints

    from rws.config import DataConfig

    assert get_args(get_type_hints(DataConfig)["name"]) == NAMES
    assert {layout.name for layout in LAYOUTS.values()} == set(NAMES) - {"demo"}
    assert DATASETS["demo"] is DEMO


def test_cityscapes_classes_are_those_that_torchvision_has():
    theirs = {c.train_id: c for c in Cityscapes.classes if 0 <= c.train_id < 19}
    ours = cityscapes.CLASSES
    for index in range(19):
        found = (ours.in_files[index], ours.names[index], ours.palette[index])
        assert found == (theirs[index].id, theirs[index].name, theirs[index].color)
    void = {c.id for c in Cityscapes.classes if c.train_id in (255, -1)} - {-1}
    assert set(ours.void_in_files) == void


def test_coco_stuff_things_are_those_that_torchvision_has():
    """Its list of COCO has N/A at the ids that were never labelled; stuff follows from 92 to 182."""
    things = {i: name for i, name in enumerate(_COCO_CATEGORIES) if i and name != "N/A"}
    assert (*things, *range(92, 183)) == coco_stuff.IDS
    assert coco_stuff.CLASSES_10K.names[:80] == tuple(things.values())
    for classes, shift in ((coco_stuff.CLASSES_10K, 0), (coco_stuff.CLASSES_164K, 1)):
        assert classes.num_classes == len(set(classes.names)) == len(set(classes.palette)) == 171
        assert classes.in_files == tuple(i - shift for i in coco_stuff.IDS)
    assert (coco_stuff.CLASSES_164K.void_in_files, coco_stuff.CLASSES_10K.void_in_files) == ((255,), (0,))


def test_ade20k_classes_are_those_of_its_own_table(samples):
    table = (samples / "ADEChallengeData2016/objectInfo150.txt").read_text().splitlines()[1:]
    names = [row.split("\t")[4].split(",")[0].strip() for row in table]
    assert list(ade20k.CLASSES.names) == names
    assert len(set(names)) == 150


def test_real_ade20k_labels_are_shifted_by_one(samples):
    split = open_split("ade20k", samples, "val")
    assert len(split) == 3
    for image_id in split.ids:
        raw = np.array(Image.open(split.label_path(image_id)))
        expected = np.where(raw == 0, 255, raw.astype(int) - 1)
        assert np.array_equal(split.label(image_id), expected)
        assert (split.classes.to_file(split.label(image_id)) == raw).all()
    assert check_split(split, progress=False).pixels.sum() == sum(
        (np.array(Image.open(split.label_path(i))) > 0).sum() for i in split.ids
    )


def test_real_cityscapes_label_ids_give_the_official_train_ids(samples):
    split = open_split("cityscapes", samples / "cityscapes", "val")
    assert split.ids == ["frankfurt_000000_000294"]
    official = Path(str(split.label_path(split.ids[0])).replace("labelIds", "labelTrainIds"))
    ours, theirs = split.label(split.ids[0]), np.array(Image.open(official))
    # The sample's two files were made smaller one by one: 77 of their 32,768 pixels contradict each other.
    assert (ours == theirs).mean() > 0.997
    for index in np.unique(ours):
        assert np.bincount(theirs[ours == index]).argmax() == index


def test_real_davis_is_binary_and_in_order(real_davis):
    split = open_split("davis2017", real_davis, "val", list_name="libby,dog", category="dog")
    assert split.sequences == ["libby", "dog"]
    assert split.ids[:2] == ["libby-00000", "libby-00001"]
    assert split.ids == sorted(split.ids[:49]) + sorted(split.ids[49:])
    assert len(split) == 49 + 60
    assert split.classes.names == ("background", "dog")
    raw = np.array(Image.open(split.label_path("dog-00007")))
    assert np.array_equal(split.label("dog-00007"), raw // 255)
    with pytest.raises(UserError, match=r"no list val\.txt.*or name sequences: cows, dog, libby"):
        open_split("davis2017", real_davis, "val")


def test_davis_2016_lists_hold_paths(tmp_path):
    root = LAYOUTS["davis2016"].make(tmp_path / "set")
    (root / "DAVIS/ImageSets/2017/val.txt").unlink()
    for frame in ("00000", "00001"):
        line = "/{0}/480p/val-jump/{1}{2}"
        paths = line.format("JPEGImages", frame, ".jpg"), line.format("Annotations", frame, ".png")
        append(root / "DAVIS/ImageSets/480p/val.txt", " ".join(paths))
    split = open_split("davis2017", root, "val")
    assert split.ids == ["val-jump-00000", "val-jump-00001"]
    assert set(np.unique(split.label("val-jump-00000"))) == {0, 1}


def test_an_object_that_appears_late_does_not_change_what_255_means(tmp_path):
    root = LAYOUTS["davis2016"].make(tmp_path / "set")
    first = root / "DAVIS/Annotations/480p/val-jump/00000.png"
    save(first, np.zeros_like(np.array(Image.open(first))))
    split = open_split("davis2017", root, "val")
    assert set(np.unique(split.label("val-jump-00001"))) == {0, 1}


def test_davis_has_no_classes_to_choose_several_from(tmp_path):
    root = LAYOUTS["davis2017"].make(tmp_path / "set")
    with pytest.raises(UserError, match="of one class; name one"):
        open_split("davis2017", root, "val", category="dog,cat")
    append(root / "DAVIS/ImageSets/2017/val.txt", "gone")
    with pytest.raises(UserError, match=r"val\.txt: no frames of gone"):
        open_split("davis2017", root, "val")


def test_coco_stuff_10k_may_have_png_with_the_same_numbers(tmp_path):
    layout = LAYOUTS["coco_stuff10k"]
    root = layout.make(tmp_path / "set")
    before = open_split("coco_stuff10k", root, "val")
    expected = {i: before.label(i) for i in before.ids}
    for image_id in before.ids:
        save(root / "annotations" / f"{image_id}.png", before.raw_label(image_id))
        (root / "annotations" / f"{image_id}.mat").unlink()
    after = open_split("coco_stuff10k", root, "val")
    assert all(np.array_equal(after.label(i), label) for i, label in expected.items())


def test_a_damaged_matlab_label_is_named(tmp_path):
    root = LAYOUTS["coco_stuff10k"].make(tmp_path / "set")
    split = open_split("coco_stuff10k", root, "val")
    split.label_path(split.ids[0]).write_bytes(b"no matrix")
    with pytest.raises(UserError, match=r"000000\.mat: label cannot be decoded"):
        split.label(split.ids[0])


def test_coco_stuff_164k_with_all_labels_in_one_folder(tmp_path):
    root = LAYOUTS["coco_stuff164k"].make(tmp_path / "set")
    for split in ("train2017", "val2017"):
        for path in (root / "annotations" / split).iterdir():
            path.rename(root / "annotations" / path.name)
        (root / "annotations" / split).rmdir()
    assert len(open_split("coco_stuff164k", root, "train")) == 4
    assert check_split(open_split("coco_stuff164k", root, "val"), progress=False).images == 2


def test_augmented_voc_trains_on_its_list_and_is_evaluated_on_the_official_one(tmp_path):
    root = LAYOUTS["voc2012_aug"].make(tmp_path / "set")
    base = root / "VOCdevkit/VOC2012"
    train, val = (open_split("voc2012_aug", root, split) for split in ("train", "val"))
    assert train.label_path(train.ids[0]).parent.name == "SegmentationClassAug"
    assert val.label_path(val.ids[0]).parent.name == "SegmentationClass"
    assert not set(train.ids) & set(val.ids), "the labels of val in SegmentationClassAug are left out"
    line = "/JPEGImages/{0}.jpg /SegmentationClassAug/{0}.png"
    append(base / "ImageSets/Segmentation/train_aug.txt", line.format(train.ids[2]))
    assert open_split("voc2012_aug", root, "train").ids == [train.ids[2]]


@pytest.mark.parametrize(
    ("name", "split", "count"),
    [
        ("voc2012", "train", 1464),
        ("voc2012", "val", 1449),
        ("voc2012_aug", "train", 10582),
        ("coco_stuff164k", "train", 118287),
        ("coco_stuff10k", "val", 1000),
        ("ade20k", "train", 20210),
        ("cityscapes", "val", 500),
        ("camvid", "test", 233),
    ],
)
def test_the_number_of_images_is_held_against_the_published_one(tmp_path, name, split, count):
    root = LAYOUTS["camvid_segnet" if name == "camvid" else name].make(tmp_path / "set")
    if split == "test":
        next((root / "CamVid/train").iterdir()).rename(root / "CamVid/test/a.png")
    opened = open_split(name, root, split)
    assert opened.official.published == count
    with pytest.raises(UserError, match=f"{split} has .* images, the official set {count:,};"):
        require_official(opened)
    require_official(opened.of_category(opened.classes.names[-1]))  # a part by its very nature


def test_real_camvid_is_whole(real_set):
    for split in ("train", "val", "test"):
        require_official(open_split("camvid", real_set("camvid"), split))


def test_davis_is_counted_in_sequences(tmp_path):
    split = open_split("davis2017", LAYOUTS["davis2017"].make(tmp_path / "set"), "val")
    with pytest.raises(UserError, match="val has 1 sequences, the official set 30"):
        require_official(split)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "demo"])
def test_a_missing_set_says_where_it_goes(tmp_path, name):
    with pytest.raises(UserError, match=r"no such folder for the data set; \w+"):
        open_split(name, tmp_path / "nowhere", "train")
    with pytest.raises(UserError, match=r"not found \(looked in .*; \w+"):
        open_split(name, tmp_path, "train")


def test_an_unknown_list_of_a_set_of_folders_names_those_there_are(tmp_path):
    root = LAYOUTS["ade20k"].make(tmp_path / "set")
    with pytest.raises(UserError, match="no list 'mine'; the set has train, val"):
        open_split("ade20k", root, "train", list_name="mine")
    assert open_split("ade20k", root, "train", list_name="val").ids == open_split("ade20k", root, "val").ids


def test_an_image_without_label_and_a_label_without_image_are_found(tmp_path):
    root = LAYOUTS["cityscapes"].make(tmp_path / "set")
    split = open_split("cityscapes", root, "train")
    split.label_path(split.ids[1]).unlink()
    with pytest.raises(UserError, match=f"1 of 4 ids of train without label in gtFine/train.*{split.ids[1]}"):
        check_split(open_split("cityscapes", root, "train"), progress=False)
    split.image_path(split.ids[0]).unlink()
    with pytest.raises(UserError, match=f"without image in leftImg8bit/train.*: {split.ids[0]}"):
        check_split(open_split("cityscapes", root, "train"), progress=False)


# The folder of one's own.


def test_a_folder_is_split_by_a_seeded_share_that_is_the_same_each_time(tmp_path):
    root = LAYOUTS["folder"].make(tmp_path / "set", train=20, val=0)
    (root / "train.txt").unlink()
    drawn = [open_split("folder", root, "val", reading=Reading(split_seed=seed)).ids for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [len(ids) for ids in drawn] == [4, 4, 4]
    train = open_split("folder", root, "train").ids
    assert sorted(train + drawn[0]) == [f"aachen_train_{n:06d}" for n in range(20)]
    assert len(open_split("folder", root, "val", reading=Reading(val_share=0.5))) == 10


def test_a_folder_with_one_list_only_is_refused(tmp_path):
    root = LAYOUTS["folder"].make(tmp_path / "set")
    (root / "val.txt").unlink()
    with pytest.raises(UserError, match=r"train\.txt is there without its twin"):
        open_split("folder", root, "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("water\n", "1 classes; a network needs two"),
        ("a\nb\na\n", "'a' stands there twice"),
        ("a\nb, 1, 2\n", "is no class; write `name` or `name, r, g, b`"),
        ("a\nb, 1, 2, 300\n", "is no class"),
        (None, "no such file; write a class a line"),
    ],
)
def test_wrong_classes_of_a_folder(tmp_path, text, message):
    root = LAYOUTS["folder"].make(tmp_path / "set")
    (root / "classes.txt").unlink()
    if text is not None:
        (root / "classes.txt").write_text(text)
    with pytest.raises(UserError, match=rf"classes\.txt: .*{message}"):
        open_split("folder", root, "train")


def test_classes_of_a_folder_have_colours_and_background(tmp_path):
    root = LAYOUTS["folder"].make(tmp_path / "set")
    classes = open_split("folder", root, "train").classes
    assert classes.names == ("background", "kite", "fish")
    assert classes.colours_in_files == ((0, 0, 0), (128, 0, 0), (10, 20, 30))
    assert classes.background == 0
    (root / "classes.txt").write_text("\ufeffsky\nroad\n\ncar\n")
    assert open_split("folder", root, "train").classes.background is None


def test_two_images_of_one_name_are_refused(tmp_path):
    root = LAYOUTS["folder"].make(tmp_path / "set")
    for name in ("train.txt", "val.txt"):
        (root / name).unlink()
    image = next((root / "images").iterdir())
    Image.open(image).save(image.with_suffix(".png"))
    with pytest.raises(
        UserError, match=f"two files are named {image.stem}, {image.stem}.jpg and {image.stem}.png"
    ):
        open_split("folder", root, "train")


# The cache of decoded files.


@pytest.mark.parametrize("key", ["voc2012", "coco_stuff10k", "davis2017"])
def test_the_cache_gives_the_same_pixels_and_reads_no_file_again(tmp_path, key, monkeypatch):
    layout = LAYOUTS[key]
    root = layout.make(tmp_path / "set")
    plain = open_split(layout.name, root, "train")
    cached = open_split(layout.name, root, "train", reading=Reading(cache=tmp_path / "cache"))
    wanted = {i: (np.asarray(plain.image(i)), plain.label(i)) for i in plain.ids}
    for turn in range(2):
        if turn:
            monkeypatch.setattr("rws.data.split.read_image", None)
            monkeypatch.setattr("rws.data.split.read_label", None)
            monkeypatch.setattr("rws.data.sets.coco_stuff.read_mat", None)
        if turn and key == "davis2017":
            cached._two_valued = {"train-jump": False}
        for image_id, (image, label) in wanted.items():
            assert np.array_equal(np.asarray(cached.image(image_id)), image)
            assert np.array_equal(cached.label(image_id), label)
    assert not any(root.rglob("*.array"))


def test_the_cache_follows_a_changed_file(tmp_path):
    root = LAYOUTS["folder"].make(tmp_path / "set")
    split = open_split("folder", root, "train", reading=Reading(cache=tmp_path / "cache"))
    split.label(split.ids[0])
    save(split.label_path(split.ids[0]), np.full((9, 9), 2, np.uint8))
    assert split.label(split.ids[0]).shape == (9, 9)


def with_bit_flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]


DAMAGES = {
    "a bit of a pixel": lambda content: with_bit_flipped(content, 200),
    "a bit of the last pixel": lambda content: with_bit_flipped(content, len(content) - 5),
    "a bit of the shape": lambda content: with_bit_flipped(content, 60),
    "a bit of the checksum": lambda content: with_bit_flipped(content, len(content) - 1),
    "cut off": lambda content: content[:90],
    "empty": lambda content: b"",
    "more than was written": lambda content: content + b"more",
    "an array without checksum": lambda content: content[:-4],
    "another file": lambda content: b"text" + zlib.crc32(b"text").to_bytes(4),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_of_the_cache_is_made_again_with_a_warning(tmp_path, capsys, damage):
    root = LAYOUTS["folder"].make(tmp_path / "set")
    split = open_split("folder", root, "train", reading=Reading(cache=tmp_path / "cache"))
    image_id = split.ids[0]
    before = split.label(image_id)
    (entry,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    sound = entry.read_bytes()
    entry.write_bytes(DAMAGES[damage](sound))
    capsys.readouterr()
    assert np.array_equal(split.label(image_id), before)
    said = f"warning: {entry}: damaged; {split.label_path(image_id)} is decoded again"
    assert capsys.readouterr().out.startswith(said)
    assert entry.read_bytes() == sound
    assert np.array_equal(split.label(image_id), before)
    assert capsys.readouterr().out == ""


def test_a_cache_inside_the_data_root_or_that_cannot_be_written_is_refused(tmp_path):
    root = LAYOUTS["folder"].make(tmp_path / "set")
    with pytest.raises(UserError, match="lies inside the data root"):
        open_split("folder", root, "train", reading=Reading(cache=root / "cache"))
    (tmp_path / "file").write_text("")
    split = open_split("folder", root, "train", reading=Reading(cache=tmp_path / "file"))
    with pytest.raises(UserError, match="file: the cache cannot be written"):
        split.label(split.ids[0])


def test_labels_outside_the_classes_are_named_where_they_are_read(tmp_path):
    root = LAYOUTS["ade20k"].make(tmp_path / "set")
    split = open_split("ade20k", root, "train")
    raw = np.array(Image.open(split.label_path(split.ids[0])))
    raw[5, 6] = 151
    save(split.label_path(split.ids[0]), raw)
    with pytest.raises(
        UserError, match=r"label values \[151\] are no class; the set has classes 1\.\.150 and 0"
    ):
        split.label(split.ids[0])
    with pytest.raises(UserError, match="label values"):
        split.of_category("wall").label(split.ids[0])
