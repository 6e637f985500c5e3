"""Contact sheets of datasets."""

import struct

import pytest
import torch
from standing_clips import standing_clip

from parc.anim.clip_files import write_clip
from parc.anim.dataset import ClipDataset, ClipEntry, write_manifest
from parc.configuration.errors import UserError
from parc.pictures.contact_sheet import (
    CLIPS_PER_CLASS,
    MOST_CLASSES,
    ClassTotal,
    contact_sheet_figure,
    draw_contact_sheet,
    read_classes,
)

pytestmark = pytest.mark.usefixtures("coarse_pictures")


@pytest.fixture(scope="module")
def clip(humanoid):
    return standing_clip(humanoid, torch.zeros(12, 12), start=(1.6, 2.0), end=(3.2, 2.0), frames=15)


@pytest.fixture(scope="module")
def dataset_folder(clip, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for name, count in (("walking", 6), ("jumping", 1)):
        for number in range(count):
            write_clip(folder / name / f"{name}_{number}.safetensors", clip)
    return folder


def entries_of(source):
    return ClipDataset(str(source), 2, 1001, 1001, halved_classes=[]).entries()


def test_a_row_for_each_class_with_its_clips_counts_and_seconds(clip, humanoid):
    totals = {"walking": ClassTotal(7, 61.25), "jumping": ClassTotal(1, 0.5)}
    figure = contact_sheet_figure({"walking": [clip, clip], "jumping": [clip]}, humanoid, title="set", totals=totals)
    assert len(figure.axes) == 3
    tops = [axes.get_position().y1 for axes in figure.axes]
    assert tops[0] == tops[1] > tops[2]
    texts = [text.get_text() for text in figure.texts]
    assert texts[0] == "set" and texts[1] == "2 classes  ·  8 clips  ·  61.8 s"
    assert texts[2:] == ["walking", "7 clips\n61.2 s", "jumping", "1 clip\n0.5 s"]
    assert all(axes.texts[0].get_text() == "glide" for axes in figure.axes)


def test_a_contact_sheet_is_a_png_as_high_as_there_are_classes(clip, humanoid, tmp_path):
    heights = []
    for classes in (1, 3):
        names = [f"class {number}" for number in range(classes)]
        totals = {name: ClassTotal(1, 1.0) for name in names}
        path = tmp_path / f"{classes}.png"
        draw_contact_sheet({name: [clip] for name in names}, humanoid, path, title="set", totals=totals)
        head = path.read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", head[16:24])
        assert width == 1920
        heights.append(height)
    assert heights[1] - heights[0] == 2 * (heights[0] - 104 - 36 + 14)


def test_reading_a_dataset_counts_all_of_it_and_keeps_a_few_of_each_class(dataset_folder, humanoid):
    clips, totals = read_classes(entries_of(dataset_folder), humanoid)
    assert list(clips) == ["jumping", "walking"]
    assert {name: total.clips for name, total in totals.items()} == {"jumping": 1, "walking": 6}
    assert totals["jumping"].seconds == pytest.approx(0.5) and totals["walking"].seconds == pytest.approx(3.0)
    names = [clip.name for clip in clips["walking"]]
    assert len(names) == CLIPS_PER_CLASS and names[0] == "walking_0" and names[-1] == "walking_5"


def test_clips_of_a_manifest_are_grouped_by_the_folders_they_lie_in(dataset_folder, humanoid, tmp_path):
    manifest = tmp_path / "manifest.yaml"
    paths = sorted(dataset_folder.glob("*/*.safetensors"))
    write_manifest(manifest, [ClipEntry(path, "", 1.0) for path in paths])
    _, totals = read_classes(entries_of(manifest), humanoid)
    assert {name: total.clips for name, total in totals.items()} == {"jumping": 1, "walking": 6}


def test_too_many_classes_are_one_line(clip, humanoid):
    names = [f"class {number}" for number in range(MOST_CLASSES + 1)]
    with pytest.raises(UserError, match=rf"set: {MOST_CLASSES + 1} classes, expected at most {MOST_CLASSES}"):
        contact_sheet_figure(
            {name: [clip] for name in names},
            humanoid,
            title="set",
            totals={name: ClassTotal(1, 1.0) for name in names},
        )
