"""Clips and folders of any name that a file system takes."""

import os
import string
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parc.anim.clip_files import read_clip
from parc.anim.dataset import ClipDataset, ClipEntry, read_manifest, write_manifest
from parc.anim.file_digests import file_digests
from parc.anim.ground_statistics import GroundStatistics
from parc.configuration.errors import UserError
from parc.dataset import show_table

LETTERS = st.sampled_from("$~{}'\"\\ \n\t#:-&*!%@|>,[]?`=ab1_.\x07\x7f\x85\u2028\ufeffé日🎉") | st.characters(
    exclude_categories=["Cs"], exclude_characters="/\0"
)
NAMES = st.text(LETTERS, min_size=1, max_size=40).filter(lambda name: name not in (".", ".."))


def dataset(source: Path) -> ClipDataset:
    return ClipDataset(str(source), 15, 1001, 1001, [])


@settings(max_examples=60, deadline=None)
@given(folder=NAMES, name=NAMES)
@example(folder="walk", name="$a")
@example(folder="walk", name="${a}$$a$")
@example(folder="~", name="~root")
@example(folder="~nouser", name="b")
@example(folder="- a: {b", name="'\"\n")
def test_a_manifest_reads_back_whatever_its_clips_are_called(tmp_path_factory, folder, name):
    root = tmp_path_factory.getbasetemp() / "odd_names"
    clip = root / folder / f"{name}.pkl"
    clip.parent.mkdir(parents=True, exist_ok=True)
    clip.touch()
    with pytest.MonkeyPatch.context() as patch:
        for letter in string.ascii_lowercase:
            patch.setenv(letter, "elsewhere")
        for manifest in (root / "all.yaml", root / folder / "all.yaml"):
            write_manifest(manifest, [ClipEntry(clip, "", 0.5)])
            (entry,) = read_manifest(manifest)
            assert entry.path.samefile(clip)
            assert (entry.path.name, entry.weight) == (clip.name, 0.5)
            manifest.unlink()
    clip.unlink()
    clip.parent.rmdir()


def test_a_variable_in_a_manifest_may_hold_anything(tmp_path, monkeypatch):
    (tmp_path / "a$b").mkdir()
    (tmp_path / "a$b" / "x$.pkl").touch()
    (tmp_path / "motions.yaml").write_text("motions: [{file: $DATA_DIR/x$$.pkl, weight: 1}]")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "a$b"))
    assert [entry.path for entry in read_manifest(tmp_path / "motions.yaml")] == [tmp_path / "a$b" / "x$.pkl"]


@pytest.mark.parametrize("place", ["clip", "class", "folder"])
def test_names_that_are_not_utf8_are_refused_by_name(tmp_path, monkeypatch, place):
    odd = os.fsdecode(b"caf\xe9")
    path = tmp_path / {"clip": f"walk/{odd}.pkl", "class": f"{odd}/a.pkl", "folder": f"{odd}/walk/a.pkl"}[place]
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(UserError, match=r"caf\udce9.*: this name is not UTF-8 text; rename"):
        dataset(tmp_path).entries()
    # Nor does a manifest get them, wherever it is written from.
    monkeypatch.chdir(path.parent)
    with pytest.raises(UserError, match="not UTF-8"):
        write_manifest(tmp_path / "motions.yaml", [ClipEntry(Path(path.name), "", 1.0)])
    assert not (tmp_path / "motions.yaml").exists()


def test_a_clip_that_links_to_itself_is_refused_by_name(tmp_path):
    (tmp_path / "self.pkl").symlink_to("self.pkl")
    said = r"self\.pkl: the clip cannot be read \(Too many levels of symbolic links\)"
    with pytest.raises(UserError, match=said):
        dataset(tmp_path).entries()
    with pytest.raises(UserError, match=said):
        file_digests(tmp_path / "known.json", [tmp_path / "self.pkl"])


@pytest.mark.parametrize("suffix", [".pkl", ".safetensors"])
def test_files_that_are_too_large_for_a_clip_are_refused_unread(tmp_path, humanoid, suffix):
    path = tmp_path / f"huge{suffix}"
    with path.open("wb") as file:
        file.truncate(2**31)
    tracemalloc.start()
    try:
        for read in (lambda: read_clip(path, humanoid), lambda: file_digests(tmp_path / "known.json", [path])):
            with pytest.raises(UserError, match=rf"huge{suffix}: 2,048 MiB, expected at most 256 MiB"):
                read()
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_the_table_of_a_dataset_shows_classes_as_they_are_called(tmp_path, capsys):
    names = ["[/walk]", "[bold]run[/]", ":smile:"]
    show_table([ClipEntry(tmp_path / f"{name}.pkl", name) for name in names], [1.0] * 3, [1.0] * 3, GroundStatistics())
    said = capsys.readouterr().out
    assert [name for name in names if name not in said] == []
