"""python -m parc.train: every variant trains, a run is its folder, and iterations go on from one another."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from command_line import QUICK, TINY, TINY_MODEL, write_clips
from parc.motion_generator.checkpoint import read_checkpoint
from parc.stages.iteration import command_that_corrects
from parc.stages.metrics import read_metrics

# The variants of item 4 of the interface: the options that are chosen by name, and what a test makes smaller.
VARIANTS = [
    ["model=mdm", *TINY_MODEL],
    ["model=mdm_small"],
    ["model=mdm_wide"],
    ["model=mdm_fast_small"],
    ["model=mdm_rot6d", *TINY_MODEL],
    ["sampler=heightfield_contact_noise", *TINY_MODEL],
    ["sampler=heightfield_contact_none", *TINY_MODEL],
    ["sampler=heightfield_contact_floor", *TINY_MODEL],
    ["sampler.angle_noise_scale=0.05", "sampler.pos_noise_scale=0.01", *TINY_MODEL],
    ["loss=pseudo_huber", *TINY_MODEL],
    ["loss=with_terrain", *TINY_MODEL],
    ["trainer=cosine", "trainer.warmup_steps=0", *TINY_MODEL],
    ["trainer=warmup", "trainer.warmup_steps=4", "trainer.iters_per_epoch=5", *TINY_MODEL],
    ["trainer=bf16", *TINY_MODEL],
    ["trainer=short", "trainer.warmup_steps=0", *TINY_MODEL],
    ["experiment=demo", "trainer.warmup_steps=0"],
    ["experiment=paper", *TINY_MODEL],
    ["experiment=ablation", "hydra.mode=RUN", "trainer.warmup_steps=0", *TINY_MODEL],
]
RUN = "data/iter1/p1_train_gen"
DEMO_CLIPS = Path(__file__).parent / "recorded" / "clips"


@pytest.fixture
def clips(shell, humanoid) -> Path:
    return write_clips(shell.folder / "clips", humanoid)


@pytest.fixture(scope="module")
def workplace_of_a_run(tmp_path_factory, humanoid) -> Path:
    """A folder with clips, and what the command TINY makes of them there."""
    folder = tmp_path_factory.mktemp("workplace")
    write_clips(folder / "clips", humanoid)
    train_in(folder, TINY)
    return folder


@pytest.fixture
def finished(shell, workplace_of_a_run, caplog) -> None:
    """A copy of it, where the command line is."""
    copy_to(shell.folder, workplace_of_a_run)
    caplog.clear()


def train_in(folder: Path, arguments: list[str]) -> None:
    from parc.stages.command import run_command_line

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DATA_DIR", raising=False)
        patch.setattr("sys.argv", ["train"])
        patch.setenv("HYDRA_FULL_ERROR", "1")
        run_command_line("train", arguments)


def copy_to(folder: Path, workplace: Path) -> None:
    """Copy a folder with data/ in it, as if its run had been trained in `folder`."""
    shutil.copytree(workplace, folder, dirs_exist_ok=True)
    config = folder / RUN / "mdm_config.yaml"
    config.write_text(config.read_text().replace(str(workplace), str(folder)))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: " ".join(variant[: len(variant) - 6] or variant))
def test_every_variant_trains_a_step(shell, clips, variant):
    answer = shell.train(*QUICK, *variant, "output_dir=run")
    assert (answer.code, answer.err) == (0, "")
    (row,) = read_metrics(shell.folder / "run" / "metrics.jsonl")
    assert 0 < row["train/loss"] < float("inf")
    assert row["skipped_steps"] == 0
    assert all(torch.isfinite(weight).all() for weight in read_checkpoint(Path("run/final_model.ckpt")).ema.values())


def test_wandb_is_the_default_logger_and_keeps_its_rows_in_the_runs_folder(shell, clips):
    quick = [each for each in TINY if each != "logger=off"]
    assert shell.train(*quick, "logger=wandb").code == 0
    assert list(Path(RUN, "wandb").glob("offline-run-*/*.wandb"))


# ---- a run is its folder


def test_the_same_command_says_that_the_run_is_finished_and_does_nothing(shell, finished, caplog):
    before = {path: path.stat().st_mtime_ns for path in Path(RUN).rglob("*")}
    assert shell.train(*TINY).code == 0
    assert f"{shell.folder}/{RUN}: finished, there is nothing left to do" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in Path(RUN).rglob("*")} == before


def test_more_epochs_go_on_where_the_run_ended(shell, finished):
    first = read_metrics(Path(RUN, "metrics.jsonl"))
    assert shell.train(*TINY, "trainer.epochs=3").code == 0
    rows = read_metrics(Path(RUN, "metrics.jsonl"))
    assert rows[0] == first[0]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert read_checkpoint(Path(RUN, "final_model.ckpt")).state["step"] == 3


def test_more_epochs_of_a_cosine_schedule_are_another_run(shell, clips):
    cosine = [*TINY, "trainer=cosine", "trainer.warmup_steps=0"]
    assert shell.train(*cosine).code == 0
    answer = shell.train(*cosine, "trainer.epochs=2")
    assert answer.code == 1
    assert "was started with another config (trainer.epochs: 1 -> 2)" in answer.err


def test_another_config_in_a_started_folder_is_refused_with_the_differences(shell, finished):
    before = shell.files()
    answer = shell.train(*TINY, "model.denoiser.dropout=0.2", "seed=4")
    assert answer.code == 1
    assert answer.err == (
        f"error: {shell.folder}/{RUN} was started with another config (model.denoiser.dropout: 0.1 -> 0.2; seed: 0 -> 4); give "
        f"output_dir={shell.folder}/{RUN}_2 for a new run, or overwrite=true to start this one over\n"
    )
    assert shell.files() == before
    assert shell.train(*TINY, "model.denoiser.dropout=0.2", "seed=4", f"output_dir={RUN}_2").code == 0


def test_overwrite_starts_a_run_anew_and_is_kept_in_no_config(shell, finished):
    old = read_metrics(Path(RUN, "metrics.jsonl"))
    assert shell.train(*TINY, "seed=4", "overwrite=true").code == 0
    assert read_metrics(Path(RUN, "metrics.jsonl"))[0]["train/loss"] != old[0]["train/loss"]
    config = yaml.safe_load(Path(RUN, "mdm_config.yaml").read_text())
    assert "overwrite" not in config
    assert "overwrite" not in read_checkpoint(Path(RUN, "final_model.ckpt")).config


def test_overwrite_is_refused_where_several_processes_would_delete(shell, finished, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    answer = shell.train(*TINY, "overwrite=true")
    assert answer.code == 1
    assert answer.err == (
        "error: overwrite=true: this is one of several processes, and each would delete what another may be writing; "
        f"delete {shell.folder}/{RUN} first, or give another output_dir\n"
    )
    assert Path(RUN, "final_model.ckpt").exists()


def test_overwrite_leaves_folders_alone_that_are_no_runs(shell, clips):
    precious = shell.folder / "thesis" / "chapter.tex"
    precious.parent.mkdir()
    precious.write_text("words")
    answer = shell.train(*TINY, "output_dir=thesis", "overwrite=true")
    assert answer.code == 1
    assert answer.err == (
        f"error: overwrite=true: {shell.folder}/thesis holds no mdm_config.yaml, so it is no run's folder and is left alone\n"
    )
    assert precious.read_text() == "words"


@pytest.mark.parametrize(
    "mistake", ["device=cuda:9", "dataset.motion_lib_file=nope", "character.char_file=nope.xml", "trainer.epochs=0"]
)
def test_overwrite_deletes_nothing_for_a_run_that_cannot_start(shell, finished, mistake):
    before = shell.files()
    assert shell.train(*TINY, mistake, "overwrite=true").code == 1
    assert shell.files() == before


def test_a_runs_own_config_starts_it_again_from_any_folder_with_other_values(shell, finished, monkeypatch):
    (shell.folder / "elsewhere").mkdir()
    monkeypatch.chdir(shell.folder / "elsewhere")
    answer = shell.train("--config", f"../{RUN}/mdm_config.yaml", "trainer.epochs=2", "overwrite=false")
    assert (answer.code, answer.err) == (0, "")
    monkeypatch.chdir(shell.folder)
    assert [row["epoch"] for row in read_metrics(Path(RUN, "metrics.jsonl"))] == [1, 2]
    assert not list(Path("elsewhere").iterdir())
    assert shell.train(f"--config={RUN}/mdm_config.yaml", "seed=5", "overwrite=true").code == 0
    assert yaml.safe_load(Path(RUN, "mdm_config.yaml").read_text())["seed"] == 5
    assert shell.train("--config", f"{RUN}/mdm_config.yaml", "seed=6", "output_dir=other").code == 0
    assert yaml.safe_load(Path("other", "mdm_config.yaml").read_text())["seed"] == 6


def test_data_dir_comes_from_the_environment(shell, clips, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(shell.folder / "scratch"))
    assert shell.train(*TINY).code == 0
    assert Path("scratch/iter1/p1_train_gen/final_model.ckpt").is_file()


def test_a_users_own_options_live_outside_the_checkout(shell, clips):
    own = shell.folder / "mine" / "model" / "denoiser"
    own.mkdir(parents=True)
    (own / "tiny.yaml").write_text(
        "# Mine\ndefaults:\n  - mdm_transformer\n"
        + "\n".join(each.removeprefix("model.denoiser.").replace("=", ": ") for each in TINY_MODEL)
    )
    assert shell.train("--config-dir", "mine", *QUICK, "model/denoiser=tiny").code == 0
    assert yaml.safe_load(Path(RUN, "mdm_config.yaml").read_text())["model"]["denoiser"]["d_model"] == 16


# ---- iterations


ITERATION = [
    *TINY_MODEL,
    "logger=off",
    "device=cpu",
    "threads=1",
    "trainer.batch_size=8",
    "trainer.epochs_per_checkpoint=40",
]
ITER1 = [
    "dataset=clips",
    "trainer.learning_rate=5e-3",
    "trainer.epochs=4",
    "trainer.iters_per_epoch=5",
    "trainer.ema_start_step=10",
]


@pytest.fixture(scope="module")
def first_iteration(tmp_path_factory):
    """iter1, trained on three demo clips, and two further clips as if they had been made since."""
    folder = tmp_path_factory.mktemp("iterations")
    shutil.copytree(DEMO_CLIPS, folder / "clips")
    (folder / "made").mkdir()
    for number, clip in enumerate(sorted((folder / "clips").iterdir())[:2]):
        shutil.copy(clip, folder / "made" / f"made_{number}.safetensors")
    train_in(folder, [*ITERATION, *ITER1, "data_dir=data", "dataset.motion_lib_file=clips"])
    return folder


@pytest.fixture
def data(first_iteration, shell, caplog):
    """A copy of it, where the command line is."""
    copy_to(shell.folder, first_iteration)
    caplog.clear()
    return shell.folder / "data"


def saved_dataset(folder: Path) -> list[str]:
    dataset = yaml.safe_load((folder / "mdm_config.yaml").read_text())["dataset"]
    return dataset.get("clips", dataset)["motion_lib_file"]


def test_iter2_goes_on_from_iter1_on_a_grown_dataset(shell, data, caplog):
    shutil.copytree(shell.folder / "made", data / "iter1" / "p4_phys_record")
    before, after = data / "iter1" / "p1_train_gen", data / "iter2" / "p1_train_gen"
    second = ["iteration=iter2", "trainer.learning_rate=1e-4", "trainer.epochs=2", "trainer.iters_per_epoch=5"]
    answer = shell.train(*ITERATION, *second)
    assert (answer.code, answer.err) == (0, "")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]

    assert read_metrics(after / "metrics.jsonl")[0]["learning_rate"] == 1e-4
    assert (after / "sampler_stats.txt").read_bytes() == (before / "sampler_stats.txt").read_bytes()
    assert saved_dataset(after) == [str(shell.folder / "clips"), str(data / "iter1" / "p4_phys_record")]

    end, start = read_checkpoint(before / "final_model.ckpt"), read_checkpoint(after / "final_model.ckpt")
    assert torch.equal(start.statistics.mean, end.statistics.mean)
    assert len(start.clips) == len(end.clips) + 2
    moved = max(float((start.model[name] - end.model[name]).abs().max()) for name in end.model)
    assert 0 < moved < 2 * 10 * 1e-4, "it starts where iter1 ended: ten steps of this learning rate lead no further"
    way = sum(float((start.ema[name] - end.ema[name]).norm()) for name in end.ema)
    apart = sum(float((end.model[name] - end.ema[name]).norm()) for name in end.ema)
    assert 0 < way < apart, "the averaged weights go on from those that were loaded, and are no copy of the others"


def test_clips_that_were_not_made_give_one_warning_and_null_none(shell, data, caplog):
    second = [*ITERATION, "iteration=iter2", "trainer.epochs=1", "trainer.iters_per_epoch=1"]
    assert shell.train(*second).code == 0
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        f"iteration.new_motions {data}/iter1/p4_phys_record: there are no new clips, the run trains on those of the previous one "
        "(iteration.new_motions=null says so)"
    ]
    caplog.clear()
    assert shell.train(*second, "iteration.new_motions=null", "output_dir=other").code == 0
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert saved_dataset(Path("other")) == [str(shell.folder / "clips")]


def test_motions_that_are_not_corrected_yet_are_named_with_what_corrects_them_and_what_takes_them_as_they_are(
    shell, data, caplog
):
    generated = data / "iter1" / "p2_kin_gen"
    shutil.copytree(shell.folder / "made", generated)
    second = [*ITERATION, "iteration=iter2", "trainer.epochs=1", "trainer.iters_per_epoch=1"]
    assert shell.train(*second).code == 0
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.endswith(
        f"; motions were generated, in {generated}, and are not corrected yet: `python -m parc.correct iteration=iter1` does "
        f"that, and iteration.new_motions={generated} takes them as they are"
    )
    caplog.clear()
    as_they_are = "iteration.new_motions=${data_dir}/${iteration.previous}/p2_kin_gen"
    assert shell.train(*second, as_they_are, "output_dir=other").code == 0
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert saved_dataset(Path("other")) == [str(shell.folder / "clips"), str(generated)]


def test_what_corrects_an_iteration_without_a_number_is_named_by_its_folders():
    assert command_that_corrects(Path("data/polish/p4_phys_record")) == (
        "python -m parc.correct motions=data/polish/p2_kin_gen output_dir=data/polish/p4_phys_record"
    )
    assert command_that_corrects(Path("data/iter4/p4_phys_record")) == (
        "python -m parc.correct iteration=next iteration.name=iter4 iteration.previous=iter3"
    )


def test_new_clips_may_be_a_list_and_every_one_of_it_has_to_be_there(shell, data):
    second = [*ITERATION, "iteration=iter2", "trainer.epochs=1", "trainer.iters_per_epoch=1"]
    made = sorted(str(path) for path in Path("made").iterdir())
    assert shell.train(*second, f"iteration.new_motions=[{made[0]},made/nope]").err == (
        f"error: iteration.new_motions (override iteration.new_motions=[{made[0]},made/nope]) {shell.folder}/made/nope: there is "
        "no such file or folder; expected clips, or leave it out\n"
    )
    assert not (data / "iter2").exists()
    assert shell.train(*second, f"iteration.new_motions=[{made[0]},{made[1]}]").code == 0
    assert saved_dataset(data / "iter2/p1_train_gen") == [str(shell.folder / each) for each in ["clips", *made]]


OTHER_WINDOWS = {
    "sampler.relative_z_style": ("RELATIVE_TO_ROOT_FLOOR", "RELATIVE_TO_ROOT"),
    "sampler.fps": ("60.0", "30.0"),
    "sampler.num_frames": ("16", "15"),
    "sampler.num_previous_states": ("3", "2"),
}


@pytest.mark.parametrize("key", OTHER_WINDOWS)
def test_an_iteration_with_other_windows_is_refused_whether_it_keeps_the_weights_or_the_statistics_alone(
    shell, data, key
):
    new, old = OTHER_WINDOWS[key]
    second = [*ITERATION, "iteration=iter2", f"{key}={new}"]
    run = data / "iter1" / "p1_train_gen"
    how = "to train from scratch, give iteration.input_model_path=null iteration.sampler_stats_filepath=null\n"
    start = f"error: {key} (override {key}={new}) is {new}, but "
    assert shell.train(*second).err == f"{start}{run}/final_model.ckpt was trained with {old}; expected the same; {how}"
    answer = shell.train(*second, "iteration.input_model_path=null")
    assert answer.err == (
        f"{start}the statistics in {run}/sampler_stats.txt are of windows with {old}; expected the same; {how}"
    )
    assert not list((data / "iter2").rglob("*.ckpt"))


def test_statistics_of_an_older_version_show_their_windows_by_their_numbers(shell, data):
    path = data / "iter1" / "p1_train_gen" / "sampler_stats.txt"
    older = yaml.safe_load(path.read_text())
    del older["windows"]
    path.write_text(yaml.safe_dump(older))
    second = [*ITERATION, "iteration=iter2", "iteration.input_model_path=null"]
    answer = shell.train(*second, "sampler=heightfield_contact_floor")
    assert f"RELATIVE_TO_ROOT_FLOOR, but the statistics in {path} are of RELATIVE_TO_ROOT: they have" in answer.err
    assert "sampler.num_previous_states" in shell.train(*second, "sampler.num_previous_states=4").err


@pytest.mark.parametrize("kept", [[], ["iteration.sampler_stats_filepath=null"], ["iteration.input_model_path=null"]])
def test_an_iteration_with_noise_that_the_one_before_did_not_know_is_refused(shell, data, kept):
    run = data / "iter1" / "p1_train_gen"
    source = run / ("final_model.ckpt" if "sampler_stats" in "".join(kept) else "sampler_stats.txt")
    answer = shell.train(*ITERATION, "iteration=iter2", "sampler.pos_noise_scale=0.01", *kept)
    assert answer.err == (
        f"error: sampler.pos_noise_scale (override sampler.pos_noise_scale=0.01) is 0.01, but the statistics in {source} were "
        "made for none: it would be 1e+03 of their deviations; expected no more than they were made for; to train from "
        "scratch, give iteration.input_model_path=null iteration.sampler_stats_filepath=null\n"
    )
    assert not list((data / "iter2").rglob("*.ckpt"))


def test_any_later_iteration_goes_on_with_what_the_one_before_trained_on(shell, data):
    shutil.copytree(shell.folder / "made", data / "iter1" / "p4_phys_record")
    short = [*ITERATION, "trainer.epochs=1", "trainer.iters_per_epoch=1"]
    assert shell.train(*short, "iteration=iter2").code == 0
    assert shell.train(*short, "iteration=iter3").code == 0
    names = ["iteration.name=iter4", "iteration.previous=iter3"]
    assert shell.train(*short, "iteration=next", *names).code == 0
    grown = [str(shell.folder / "clips"), str(data / "iter1" / "p4_phys_record")]
    assert saved_dataset(data / "iter4/p1_train_gen") == grown
    first, last = (read_checkpoint(data / name / "p1_train_gen/final_model.ckpt") for name in ("iter1", "iter4"))
    assert torch.equal(last.statistics.std, first.statistics.std)


def test_a_previous_run_may_be_from_elsewhere(shell, data):
    """A sweep's best job, say: its folder's name has all that a folder's name may have."""
    job = data / "iter1/p1_train_gen/model.denoiser.d_model=16,trainer.learning_rate=3e-3-0a1b2c3d"
    shutil.copytree(data / "iter1/p1_train_gen", shell.folder / "job")
    shutil.move(shell.folder / "job", job)
    for path in (data / "iter1/p1_train_gen").iterdir():
        if path.is_file():
            path.unlink()
    short = [*ITERATION, "trainer.epochs=1", "trainer.iters_per_epoch=1", "iteration.new_motions=null"]
    answer = shell.train(*short, "iteration=iter2", f"iteration.previous_run='{job}'")
    assert (answer.code, answer.err) == (0, "")
    assert saved_dataset(data / "iter2/p1_train_gen") == [str(shell.folder / "clips")]


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (
            "",
            "iteration.previous_run (in {conf}/iteration/next.yaml) {data}/iter1/p1_train_gen: there is no mdm_config.yaml; "
            "`python -m parc.train iteration=iter1` makes it, or give iteration.previous_run=FOLDER for a run from elsewhere",
        ),
        (
            "final_model.ckpt",
            "iteration.input_model_path (in {conf}/iteration/next.yaml) {data}/iter1/p1_train_gen/final_model.ckpt: there is no "
            "such checkpoint; `python -m parc.train iteration=iter1` makes it, or give iteration.previous_run=FOLDER for a run "
            "from elsewhere",
        ),
    ],
)
def test_what_is_missing_of_the_previous_run_is_named_with_the_command_that_makes_it(shell, data, gone, message):
    from parc.configuration.hydra_help import conf_folder

    path = data / "iter1/p1_train_gen" / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = shell.files()
    answer = shell.train(*ITERATION, "iteration=iter2", "iteration.new_motions=null")
    assert answer.err == f"error: {message.format(conf=conf_folder(), data=data)}\n"
    assert answer.code == 1
    assert shell.files() == before


def test_a_dataset_chosen_by_the_user_beats_that_of_the_iteration(shell, data):
    short = [*ITERATION, "trainer.epochs=1", "trainer.iters_per_epoch=1"]
    assert shell.train(*short, "iteration=iter2", "dataset=clips", "dataset.motion_lib_file=made").code == 0
    assert saved_dataset(data / "iter2/p1_train_gen") == str(shell.folder / "made")


def test_what_a_run_has_kept_is_plain_and_whole(finished):
    text = Path(RUN, "mdm_config.yaml").read_text()
    assert "${" not in text
    assert "???" not in text
    config = yaml.safe_load(text)
    assert config == json.loads(json.dumps(config))
    assert {"hydra", "experiment", "overwrite"}.isdisjoint(config)
    for path in (config["output_dir"], config["data_dir"], config["dataset"]["motion_lib_file"]):
        assert Path(path).is_absolute()
