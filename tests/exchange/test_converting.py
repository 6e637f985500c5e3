"""Converting many clips: each whole or not at all, none twice, nothing of others' written over."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from parc.anim.clip_files import read_clip, write_clip
from parc.anim.mjcf import CharacterFile
from parc.configuration.errors import UserError
from parc.exchange.conversion_record import RECORD
from parc.exchange.converting import DATASET, REFUSED, SHEET, UNFINISHED, Outcome, convert
from parc.exchange.imported_clip import ImportedClip
from parc.exchange.recognising import find_sources
from synthetic_clips import random_clip

HUMANOID = CharacterFile("humanoid.xml")


def write_clips(folder: Path, humanoid, *names: str) -> None:
    for seed, name in enumerate(names):
        write_clip(folder / f"{name}.safetensors", random_clip(humanoid, seed, name=Path(name).name, frames=5))


def converted(source: Path, destination: Path, to: str = "clips", processes: int = 1) -> Outcome:
    found = find_sources(source, leave_out=destination)
    return convert(list(found.sources.values()), found.refused, destination, to, HUMANOID, processes, lambda done: None)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def clips(tmp_path, humanoid) -> Path:
    write_clips(tmp_path / "clips", humanoid, "walking/a", "walking/b", "climbing/c")
    return tmp_path / "clips"


def test_clips_keep_their_folders_and_are_not_converted_twice(clips, tmp_path):
    first = converted(clips, tmp_path / "made")
    assert len(first.made) == 3 and not first.kept and not first.refused
    assert [each for each in files_in(tmp_path / "made") if not each.startswith(".")] == [
        "climbing/c.safetensors", RECORD, "walking/a.safetensors", "walking/b.safetensors",
    ]  # fmt: skip
    second = converted(clips, tmp_path / "made")
    assert second.kept == 3 and not second.made
    assert len(second.clips) == 3 and second.clips[0].motion_class == "climbing"


def test_what_has_changed_or_is_gone_is_converted_again(clips, tmp_path, humanoid):
    made = tmp_path / "made"
    converted(clips, made)
    write_clip(clips / "walking" / "a.safetensors", random_clip(humanoid, 9, name="a", frames=7))
    (made / "climbing" / "c.safetensors").unlink()
    again = converted(clips, made)
    assert again.kept == 1 and len(again.made) == 2
    assert read_clip(made / "walking" / "a.safetensors", humanoid).num_frames == 7


def test_broken_clips_are_refused_by_name_and_all_others_converted(clips, tmp_path):
    (clips / "walking" / "a.safetensors").write_bytes(b"nothing")
    outcome = converted(clips, tmp_path / "made")
    assert len(outcome.made) == 2
    ((name, reason),) = outcome.refused
    assert name.endswith("a.safetensors") and "not a whole safetensors file" in reason
    assert not (tmp_path / "made" / "walking" / "a.safetensors").exists()


def test_files_that_no_conversion_made_are_never_written_over(clips, tmp_path):
    mine = tmp_path / "made" / "walking" / "a.safetensors"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    outcome = converted(clips, tmp_path / "made")
    assert mine.read_text() == "mine"
    assert len(outcome.made) == 2 and "is there already" in outcome.refused[0][1]


def test_of_two_sources_for_one_place_the_second_is_refused(tmp_path, humanoid, clips_folder):
    name = "dec2024_teaser_717_1_opt_dm"
    write_clips(tmp_path / "clips", humanoid, name)
    shutil.copy(clips_folder / f"{name}.pkl", tmp_path / "clips")
    outcome = converted(tmp_path / "clips", tmp_path / "made")
    assert len(outcome.made) == 1
    assert f"is what {(tmp_path / 'clips' / name).resolve()}.pkl was converted to" in outcome.refused[0][1]


def test_a_folder_holds_one_format(clips, tmp_path):
    converted(clips, tmp_path / "made")
    with pytest.raises(UserError, match=r"holds a conversion to clips, not to glb; choose another folder"):
        converted(clips, tmp_path / "made", "glb")


def test_a_record_cut_short_and_what_a_killed_process_left_are_put_right(clips, tmp_path):
    made = tmp_path / "made"
    converted(clips, made)
    record = made / RECORD
    record.write_bytes(record.read_bytes()[:-20])
    left_over = made / f".abc{UNFINISHED}"
    left_over.mkdir()
    (left_over / "half.safetensors").touch()
    (made / "walking" / "b.safetensors").unlink()  # the last one, whose line is cut short
    again = converted(clips, made)
    assert again.kept == 2 and len(again.made) == 1 and not again.refused
    assert not left_over.exists()
    assert json.loads(record.read_text().splitlines()[-1])["source"].endswith("b.safetensors")
    assert converted(clips, made).kept == 3


@pytest.mark.slow
def test_several_processes_make_what_one_makes(clips, tmp_path):
    converted(clips, tmp_path / "one")
    converted(clips, tmp_path / "two", processes=2)
    for name in files_in(tmp_path / "one"):
        if name.endswith(".safetensors"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_full_disk_stops_the_conversion(clips, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("parc.exchange.converting._move", full)
    with pytest.raises(UserError, match="no space left on the disk; free some"):
        converted(clips, tmp_path / "made")


def test_a_destination_inside_the_source_is_not_looked_into(clips, tmp_path):
    converted(clips, clips / "made")
    assert len(converted(clips, clips / "made").clips) == 3


def test_links_in_a_circle_end(clips, tmp_path):
    (clips / "walking" / "loop").symlink_to(clips)
    assert len(find_sources(clips, leave_out=tmp_path / "made").sources) == 3


def test_nothing_known_is_refused_in_one_line(tmp_path):
    (tmp_path / "notes.md").write_text("hello")
    with pytest.raises(UserError, match="holds nothing that can be converted; expected clips"):
        find_sources(tmp_path / "notes.md", leave_out=tmp_path / "made")
    with pytest.raises(UserError, match="there is no such file or folder"):
        find_sources(tmp_path / "nowhere", leave_out=tmp_path / "made")


def test_one_stopped_before_its_files_are_in_place_is_converted_again(clips, tmp_path, humanoid, monkeypatch):
    made = tmp_path / "made"
    converted(clips, made)
    write_clip(clips / "walking" / "a.safetensors", random_clip(humanoid, 9, name="a", frames=7))
    with monkeypatch.context() as patch:
        patch.setattr("parc.exchange.converting._move", stopped)
        with pytest.raises(KeyboardInterrupt):
            converted(clips, made)
    assert len(converted(clips, made).made) == 1
    assert read_clip(made / "walking" / "a.safetensors", humanoid).num_frames == 7


def stopped(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", [DATASET, REFUSED, SHEET, RECORD])
def test_lists_of_somebody_else_are_not_written_over(clips, tmp_path, name):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / name).write_text("mine")
    with pytest.raises(UserError, match=f"{name}"):
        converted(clips, tmp_path / "made", "parc")
    assert (tmp_path / "made" / name).read_text() == "mine"


def test_a_source_is_the_same_however_it_is_named(clips, tmp_path, monkeypatch):
    converted(clips, tmp_path / "made")
    monkeypatch.chdir(tmp_path)
    assert converted(Path("clips"), tmp_path / "made").kept == 3


def test_what_a_source_is_no_longer_converted_to_goes(tmp_path, monkeypatch):
    bvh = tmp_path / "walks" / "a.bvh"
    bvh.parent.mkdir()
    bvh.touch()
    names = ["a_0", "a_1"]
    clip = random_clip(HUMANOID.read(), frames=5)
    monkeypatch.setattr(
        "parc.exchange.recognising.read_bvh",
        lambda path, character: [ImportedClip(replace(clip, name=name), "", {}) for name in names],
    )
    converted(bvh.parent, tmp_path / "made")
    names.pop()
    bvh.write_text("changed")
    converted(bvh.parent, tmp_path / "made")
    assert [each for each in files_in(tmp_path / "made") if each.endswith(".safetensors")] == ["a_0.safetensors"]


def test_a_list_of_clips_has_those_of_earlier_calls_and_weights_of_manifests(clips, tmp_path, humanoid):
    manifest = tmp_path / "heavier.yaml"
    manifest.write_text("motions: [{file: clips/walking/a.safetensors, weight: 7, class: walks}]")
    converted(manifest, tmp_path / "made", "parc")
    converted(clips / "climbing", tmp_path / "made", "parc")
    listed = yaml.safe_load((tmp_path / "made" / DATASET).read_text())["motions"]
    assert [motion["file"] for motion in listed] == ["c.pkl", "walks/a.pkl"]
    assert listed[1]["weight"] == 7


def test_nothing_is_written_beside_the_destination(tmp_path, monkeypatch):
    (tmp_path / "a.bvh").touch()
    clip = random_clip(HUMANOID.read(), frames=5)
    monkeypatch.setattr("parc.exchange.recognising.read_bvh", lambda *_: [ImportedClip(clip, "..", {})])
    outcome = converted(tmp_path / "a.bvh", tmp_path / "made" / "here")
    assert "'..' cannot be the name of a file or folder" in outcome.refused[0][1]
    assert not list((tmp_path / "made").glob("*.safetensors"))


def test_files_that_break_their_reader_or_cannot_be_opened_stop_no_others(clips, tmp_path, monkeypatch):
    (clips / "old.zip").write_text("junk")
    (clips / "a.bvh").touch()
    (clips / "humanoid3d_huge.txt").write_text(json.dumps({"Loop": "none", "Frames": [[10**400] * 44] * 2}))

    def broken(*_: object) -> None:
        raise ZeroDivisionError("no frames")

    monkeypatch.setattr("parc.exchange.recognising.read_bvh", broken)
    outcome = converted(clips, tmp_path / "made")
    assert len(outcome.made) == 3
    reasons = [reason for _, reason in outcome.refused]
    assert "a.bvh: cannot be read (ZeroDivisionError) no frames" in reasons[0]
    assert "row 0 of Frames holds what is no number" in reasons[1]
    assert "old.zip: not a whole wheel" in reasons[2]


def test_another_character_needs_another_folder(clips, tmp_path):
    converted(clips, tmp_path / "made")
    other = tmp_path / "other.xml"
    other.write_text(HUMANOID.path.read_text() + "<!-- mine -->")
    sources = list(find_sources(clips, leave_out=tmp_path / "made").sources.values())
    with pytest.raises(UserError, match="holds a conversion of another character"):
        convert(sources, [], tmp_path / "made", "clips", CharacterFile(str(other)), 1, lambda done: None)


def test_clips_of_a_manifest_without_classes_keep_the_folders_they_lie_in(clips, tmp_path):
    (tmp_path / "all.yaml").write_text(
        "motions: [{file: clips/walking/a.safetensors}, {file: clips/climbing/c.safetensors}]"
    )
    converted(tmp_path / "all.yaml", tmp_path / "made")
    assert (tmp_path / "made" / "walking" / "a.safetensors").is_file()
    assert (tmp_path / "made" / "climbing" / "c.safetensors").is_file()
