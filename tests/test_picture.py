"""The verb `python -m parc.picture`."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from generated_clips import making
from parc.anim.clip_files import write_clip
from parc.configuration.errors import UserError
from parc.picture import draw_picture
from synthetic_clips import random_clip


def picture(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "parc.picture", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def clips(humanoid, tmp_path):
    for motion_class in ("walking", "jumping"):
        clip = random_clip(humanoid, name=f"{motion_class}_0", cells=(12, 12), frames=16)
        write_clip(tmp_path / "clips" / motion_class / f"{motion_class}_0.safetensors", clip)
    return tmp_path / "clips"


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    rows = [{"step": 50 * n, "epoch": n, "train/loss": 10 / n, "train/contacts": 1 / n} for n in range(1, 5)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def is_png(path: Path) -> bool:
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_the_picture_is_named_after_the_path_and_lies_in_the_current_folder(clips, run, elsewhere, coarse_pictures):
    before = files_below(clips) | files_below(run)
    clip = clips / "walking" / "walking_0.safetensors"
    expected = {"walking_0.png": [clip], "clips.png": [clips], "first.png": [run], "first_and_1_more.png": [run, run]}
    for name, paths in expected.items():
        assert draw_picture(paths) == Path(name)
        assert is_png(elsewhere / name)
    assert files_below(elsewhere) == {elsewhere / name for name in expected}
    assert files_below(clips) | files_below(run) == before


def test_a_generated_clip_is_drawn_with_its_path(humanoid, elsewhere, coarse_pictures):
    clip = random_clip(humanoid, name="boxes_00017", cells=(12, 12), frames=16)
    for name, drawn in (("plain", clip), ("generated", replace(clip, path_nodes=clip.root_pos[::5], made=making()))):
        write_clip(elsewhere / f"{name}.safetensors", drawn)
        assert draw_picture([elsewhere / f"{name}.safetensors"]) == Path(f"{name}.png")
    pictures = [(elsewhere / f"{name}.png").read_bytes() for name in ("plain", "generated")]
    assert is_png(elsewhere / "generated.png") and pictures[0] != pictures[1]


def test_a_metrics_file_stands_for_its_run(run, elsewhere):
    assert draw_picture([run / "metrics.jsonl"]) == Path("first.png")


def test_the_command_prints_where_the_picture_is_and_needs_no_display(run, tmp_path):
    result = picture(run, "--output", "pictures/curves.png", folder=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "pictures/curves.png\n", "")
    assert is_png(tmp_path / "pictures" / "curves.png")


def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path):
    result = picture("nowhere", folder=tmp_path)
    assert result.returncode == 1 and result.stdout == ""
    assert (
        result.stderr.startswith("error: nowhere: there is no such file or folder") and result.stderr.count("\n") == 1
    )
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_kinds_of_paths_and_loads_neither_torch_nor_matplotlib(tmp_path):
    code = (
        "import runpy, sys\n"
        "sys.argv = ['picture', '--help']\n"
        "try: runpy.run_module('parc.picture', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'matplotlib', 'numpy') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "filmstrip" in result.stdout and "contact sheet" in result.stdout and "loss curves" in result.stdout
    assert result.stdout.splitlines()[-1] == "[]"


def test_loss_curves_do_without_torch(run, tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from parc.picture import draw_picture\n"
        f"draw_picture([Path({str(run)!r})])\n"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_paths_that_are_nothing_to_draw_are_refused(clips, run, elsewhere, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "broken.safetensors").write_bytes(b"x" * 20)
    for paths, said in (
        ([tmp_path / "empty"], "holds no clips"),
        ([tmp_path / "notes.txt"], r"notes\.txt: expected a clip"),
        ([tmp_path / "broken.safetensors"], r"broken\.safetensors: not a whole safetensors file"),
        ([run, clips], "give one kind of folders, or clips"),
    ):
        with pytest.raises(UserError, match=said):
            draw_picture(paths)
    with pytest.raises(UserError, match="there is no such file"):
        draw_picture([clips], char_file="nobody.xml")
    assert list(elsewhere.iterdir()) == []


def test_a_folder_whose_name_is_no_text_is_refused(run, tmp_path, monkeypatch):
    odd = run.rename(tmp_path / os.fsdecode(b"caf\xe9"))
    monkeypatch.chdir(odd)
    with pytest.raises(UserError, match="this name is not UTF-8 text"):
        draw_picture([Path()], tmp_path / "curves.png")


def test_a_picture_is_a_png(clips, tmp_path):
    result = picture(clips, "--output", "sheet.jpg", folder=tmp_path)
    assert result.returncode == 1 and "expected a name that ends in .png" in result.stderr
    assert not (tmp_path / "sheet.jpg").exists()


def test_a_clip_and_a_folder_become_moving_pictures(clips, run, elsewhere, coarse_pictures, monkeypatch):
    monkeypatch.setattr("parc.pictures.moving_picture.CELL_SIZES", {12: (160, 120)})
    clip = clips / "walking" / "walking_0.safetensors"
    other = clips / "jumping" / "jumping_0.safetensors"
    frames = {}
    for name, paths in (("clip.gif", [clip]), ("folder.webp", [clips]), ("both.GIF", [clip, other])):
        assert draw_picture(paths, Path(name)) == Path(name)
        with Image.open(name) as image:
            frames[name] = (image.size, getattr(image, "n_frames", 1))
    assert frames["clip.gif"] == ((640, 360), 16)
    assert frames["folder.webp"] == frames["both.GIF"] and frames["both.GIF"][0][0] == 320
    with pytest.raises(UserError, match=r"the curves of .* do not move"):
        draw_picture([run], Path("curves.gif"))
    assert sorted(path.name for path in elsewhere.iterdir()) == sorted(frames)


def test_a_grid_shows_mirror_images_only_where_they_were_asked_for_or_are_alone(clips, elsewhere, monkeypatch):
    seen = []
    monkeypatch.setattr("parc.pictures.moving_picture.film_of_clips", lambda *shown: seen.append(shown[0]))
    monkeypatch.setattr("parc.pictures.film_files.write_film", lambda *_: None)
    walking, folder = clips / "walking", elsewhere / "mirrored"
    folder.mkdir()
    clip, image = folder / "a.safetensors", folder / "a_mirrored.safetensors"
    for path in (clip, image):
        shutil.copy(walking / "walking_0.safetensors", path)
    draw_picture([folder], Path("film.gif"))
    draw_picture([clip, image], Path("film.gif"))
    clip.unlink()
    draw_picture([folder], Path("film.gif"))
    assert [len(shown) for shown in seen] == [1, 2, 1]


def test_a_moving_picture_that_cannot_be_made_is_one_line(clips, elsewhere, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="needs the program ffmpeg; install it"):
        draw_picture([clips], Path("film.mp4"))
    with pytest.raises(UserError, match=r"ends in \.png, or for a moving picture in \.gif, \.webp or \.mp4"):
        draw_picture([clips], Path("film.avi"))
    assert list(elsewhere.iterdir()) == []
