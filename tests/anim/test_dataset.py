"""Which clips a dataset has: the walk, classes, halving, manifests and weights."""

from pathlib import Path

import pytest

from golden_arrays import read_golden
from parc.anim.dataset import ClipDataset, ClipEntry, clip_weights, read_manifest, write_manifest
from parc.configuration.errors import UserError


def dataset(*sources: Path, halved: list[str] | None = None) -> ClipDataset:
    return ClipDataset([str(source) for source in sources], 15, 1001, 1001, halved or [])


def files(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def listed(*sources: Path, halved: list[str] | None = None) -> list[tuple[str, str]]:
    return [(entry.path.name, entry.motion_class) for entry in dataset(*sources, halved=halved).entries()]


def refusal(*sources: Path, halved: list[str] | None = None) -> str:
    with pytest.raises(UserError) as caught:
        dataset(*sources, halved=halved).entries()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_class_of_a_clip_is_its_first_level_folder(tmp_path):
    files(tmp_path / "data", "walk/a.pkl", "walk/deep/er/b.safetensors", "run/c.pkl", "d.pkl")
    assert listed(tmp_path / "data") == [
        ("d.pkl", "data"),  # clips right in the root are of the class named after the root
        ("c.pkl", "run"),
        ("a.pkl", "walk"),
        ("b.safetensors", "walk"),
    ]


def test_the_walk_is_sorted_whatever_order_the_folder_is_in(tmp_path):
    names = [f"{kind}/{clip}.pkl" for kind in "dacb" for clip in (f"{kind}9", f"{kind}10", f"{kind}1")]
    forward, backward = files(tmp_path / "1", *names), files(tmp_path / "2", *reversed(names))
    assert listed(forward) == listed(backward) == sorted(listed(forward), key=lambda pair: pair[::-1])


def test_only_folders_called_ignore_are_skipped(tmp_path):
    root = files(
        tmp_path / "ignore" / "please_ignore_me",
        "walk/a.pkl",
        "ignore/b.pkl",
        "walk/ignore/c.pkl",
        "ignored/d.pkl",
        "walk/ignore_not/e.pkl",
        "walk/ignore.pkl",
    )
    assert [name for name, _ in listed(root)] == ["d.pkl", "a.pkl", "ignore.pkl", "e.pkl"]


def test_only_clips_are_listed(tmp_path):
    root = files(tmp_path, "walk/a.pkl", "walk/notes.txt", "walk/.hidden.pkl", "walk/b.pkl.bak", "walk/LICENSE")
    (root / "walk" / "folder.pkl").mkdir()
    assert [name for name, _ in listed(root)] == ["a.pkl"]


def test_clips_of_several_runs_are_of_the_classes_that_each_run_gave_them(tmp_path):
    root = files(tmp_path, "sweep.json", "submitit/job.pkl", "shard=0/progress.json", "shard=0/flat/a.safetensors")
    files(
        tmp_path,
        "shard=1/progress.json",
        "shard=1/flat/more/b.safetensors",
        "shard=1/c.safetensors",
        "stairs/d.safetensors",
    )
    assert listed(root) == [
        ("a.safetensors", "flat"), ("c.safetensors", "shard=1"), ("b.safetensors", "flat"), ("d.safetensors", "stairs"),
    ]  # fmt: skip


def test_one_class_in_two_roots_is_one_class(tmp_path):
    one, two = files(tmp_path / "one", "walk/a.pkl", "run/b.pkl"), files(tmp_path / "two", "walk/c.pkl")
    entries = dataset(one, two).entries()
    assert [entry.motion_class for entry in entries] == ["run", "walk", "walk"]
    assert clip_weights(entries, [2.0, 1.0, 3.0]) == pytest.approx([3.0, 0.75, 2.25])


@pytest.mark.parametrize("other", ["run/a.pkl", "walk/deep/a.pkl", "walk/a.safetensors"])
def test_two_clips_of_one_name_are_an_error_that_names_both(tmp_path, other):
    message = refusal(files(tmp_path, "walk/a.pkl", other))
    assert str(tmp_path / "walk/a.pkl") in message
    assert str(tmp_path / other) in message


def test_the_same_name_in_two_roots_is_an_error_too(tmp_path):
    assert "'a'" in refusal(files(tmp_path / "one", "x/a.pkl"), files(tmp_path / "two", "y/a.pkl"))


def test_halving_keeps_every_second_clip_of_each_folder_in_name_order(tmp_path):
    root = files(tmp_path, *[f"walk/{n}.pkl" for n in "abcde"], *[f"walk/more/{n}.pkl" for n in "pqr"], "run/z.pkl")
    kept = [name.removesuffix(".pkl") for name, _ in listed(root, halved=["walk"])]
    assert kept == ["z", "a", "c", "e", "p", "r"]


def test_halving_a_class_that_is_not_there_names_the_nearest(tmp_path):
    message = refusal(files(tmp_path, "walk/a.pkl", "run/b.pkl"), halved=["wlak"])
    assert "'wlak'" in message
    assert "did you mean 'walk'" in message


@pytest.mark.parametrize("name", ["missing", "empty", "notes.txt"])
def test_a_source_without_clips_is_refused_in_one_line(tmp_path, name):
    (tmp_path / "empty").mkdir()
    files(tmp_path, "notes.txt", "empty/ignore/a.pkl")
    message = refusal(tmp_path / name)
    assert str(tmp_path / name) in message
    assert "expected" in message


def test_one_clip_is_of_the_class_of_its_folder(tmp_path):
    files(tmp_path, "walk/a.pkl", "walk/b.pkl")
    assert listed(tmp_path / "walk" / "a.pkl") == [("a.pkl", "walk")]


def test_environment_variables_and_the_home_folder_are_expanded(tmp_path, monkeypatch):
    files(tmp_path, "walk/a.pkl")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert listed(Path("$DATA_DIR/walk")) == listed(Path("~/walk")) == [("a.pkl", "walk")]


@pytest.mark.parametrize(
    "arguments", [([], 15, 9, 9, []), ("x", 1, 9, 9, []), ("x", 15, 0, 9, []), ("x", 15, 9, -1, [])]
)
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(UserError, match=r"^dataset\."):
        ClipDataset(*arguments)


@pytest.mark.parametrize("layout", ["layout5", "layout4"])
def test_class_weights_are_the_golden_ones(golden_folder, layout):
    golden = read_golden(golden_folder, "preprocessing")
    names, classes = golden[f"{layout}_names"], golden[f"{layout}_classes"]
    entries = [ClipEntry(Path(name), kind) for name, kind in zip(names, classes, strict=True)]
    weights = clip_weights(entries, [int(golden[f"{name}_num_frames"]) / 30 for name in names])
    assert weights == pytest.approx(golden[f"{layout}_weights"].tolist(), rel=1e-6)


def test_every_class_weighs_the_same_and_weights_sum_to_the_seconds():
    seconds = [1.0, 2.0, 3.0, 50.0, 0.5]
    entries = [ClipEntry(Path(str(n)), kind) for n, kind in enumerate(["a", "a", "b", "c", "b"])]
    weights = clip_weights(entries, seconds)
    assert sum(weights) == pytest.approx(sum(seconds))
    for kind in "abc":
        own = [n for n, entry in enumerate(entries) if entry.motion_class == kind]
        assert sum(weights[n] for n in own) == pytest.approx(sum(seconds) / 3)
        assert len({round(weights[n] / seconds[n], 9) for n in own}) == 1  # within a class by length


def test_a_manifest_goes_there_and_back_with_paths_relative_to_it(tmp_path):
    files(tmp_path, "clips/walk/a.pkl", "clips/b.pkl")
    manifest = tmp_path / "lists" / "all.yaml"
    write_manifest(
        manifest,
        [ClipEntry(tmp_path / "clips/walk/a.pkl", "walk", 1.5), ClipEntry(tmp_path / "clips/b.pkl", "", 0.1 + 0.2)],
    )
    assert str(tmp_path) not in manifest.read_text()
    moved = tmp_path.with_name(tmp_path.name + "_moved")
    tmp_path.rename(moved)  # manifest and clips together
    entries = read_manifest(moved / "lists" / "all.yaml")
    assert [(entry.path.resolve(), entry.motion_class, entry.weight) for entry in entries] == [
        (moved / "clips/walk/a.pkl", "walk", 1.5),
        (moved / "clips/b.pkl", "", 0.1 + 0.2),
    ]
    assert [entry.path for entry in dataset(moved / "lists" / "all.yaml").entries()] == [e.path for e in entries]
    assert clip_weights(entries, [7.0, 8.0]) == [1.5, 0.1 + 0.2]


def test_classes_that_a_manifest_gives_can_be_halved(tmp_path):
    files(tmp_path, *(f"{name}.pkl" for name in "abc"))
    manifest = tmp_path / "motions.yaml"
    manifest.write_text("motions:" + "".join(f"\n- {{file: {name}.pkl, weight: 1, class: walk}}" for name in "abc"))
    assert listed(manifest, halved=["walk"]) == [("a.pkl", "walk"), ("c.pkl", "walk")]
    manifest.write_text("motions: [{file: a.pkl, weight: 1, class: 7}]")
    assert "class is 7, expected a name" in refusal(manifest)


def test_a_manifest_of_parcs_with_data_dir_is_read(tmp_path, monkeypatch):
    files(tmp_path, "data/a.pkl", "data/b.pkl")
    manifest = tmp_path / "motions.yaml"
    manifest.write_text("motions:\n- file: $DATA_DIR/a.pkl\n  weight: 2\n- {file: '${DATA_DIR}/b.pkl', weight: 0.5}\n")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    assert [(e.path, e.weight) for e in read_manifest(manifest)] == [
        (tmp_path / "data/a.pkl", 2.0),
        (tmp_path / "data/b.pkl", 0.5),
    ]
    monkeypatch.delenv("DATA_DIR")
    with pytest.raises(UserError, match=r"motion 1: .*\$DATA_DIR.*environment variable"):
        read_manifest(manifest)


@pytest.mark.parametrize(
    "text",
    [
        "", "motions: []", "motions: {}", "motions: text", "- file: a.pkl", "motions: [a.pkl]", "motions: [{weight: 1}]",
        "motions: [{file: 3, weight: 1}]", "motions: [{file: a.pkl, weight: 0}]", "motions: [{file: a.pkl, weight: -1}]",
        "motions: [{file: a.pkl, weight: .nan}]", "motions: [{file: a.pkl, weight: .inf}]", "motions: [{file: a.pkl",
        "motions: [{file: a.pkl, weight: heavy}]", "motions: [{file: a.pkl, weight: true}]", "\x00",
        "motions: [{file: gone.pkl, weight: 1}]", "motions: [{file: notes.txt, weight: 1}]",
        "motions: !!python/object/apply:os.system ['touch it_ran']", "motions: [{file: 'a.pkl\0', weight: 1}]",
        "motions: [{file: a.pkl, weight: 1" + "0" * 400 + "}]",
    ],
)  # fmt: skip
def test_a_broken_manifest_is_refused_in_one_line(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    files(tmp_path, "a.pkl", "notes.txt")
    manifest = tmp_path / "motions.yaml"
    manifest.write_text(text)
    assert str(manifest) in refusal(manifest)
    assert not (tmp_path / "it_ran").exists()


def test_a_clip_twice_in_a_manifest_is_refused(tmp_path):
    files(tmp_path, "a.pkl")
    (tmp_path / "motions.yaml").write_text("motions: [{file: a.pkl, weight: 1}, {file: a.pkl, weight: 2}]")
    assert "two clips" in refusal(tmp_path / "motions.yaml")
