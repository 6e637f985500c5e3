"""What people type by mistake, and the whole message that each mistake gives."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from command_line import TINY, subprocess_environment, write_clips
from parc.configuration.hydra_help import conf_folder

KEYS = " (`python -m parc.train --cfg job` shows all of them)"
OPTIONS = " (`python -m parc.train --help` shows all of them)"
HELP = "; `python -m parc.train --help` shows what can be given"
SYNTAX = (
    "cannot be read; expected KEY=VALUE or GROUP=OPTION, as `python -m parc.train --help` shows; quote values with brackets, "
    "commas, spaces or letters beyond a to z twice: 'KEY=\"VALUE\"'"
)
CHANGE_ONLY = "with --config, only values can be changed; expected KEY=VALUE"
FROM_ELSEWHERE = "makes it, or give iteration.previous_run=FOLDER for a run from elsewhere"
NO_GPU = (
    f"but this machine has 0 GPUs that torch {torch.__version__} can use; give device=cpu, or device=auto for the GPU where "
    "there is one"
)

LONG = "x" * 300

# Arguments, and the message: {conf} is the folder of configs, {cwd} where the command is given, {files} what FILES are in.
MISTAKES = [
    (
        "+experiment.trainer.epochs=3",
        "experiment.trainer.epochs (override +experiment.trainer.epochs=3): sets nothing; expected trainer.epochs=VALUE, or "
        "experiment=OPTION",
    ),
    *(
        (
            arguments,
            f"{key} (override {override}): sets nothing here; expected a key of the run, or hydra.launcher, hydra.sweeper, "
            "hydra.mode, hydra.verbose, hydra.searchpath",
        )
        for arguments, key, override in (
            ("+hydra.nonsense=1", "hydra.nonsense", "+hydra.nonsense=1"),
            ("-m seed=0,1 hydra.run.dir=elsewhere", "hydra.run.dir", "hydra.run.dir=elsewhere"),
        )
    ),
    # names
    ("modle=mdm", "modle: there is no such key; did you mean 'model'?" + KEYS),
    ("model=mdn", "model=mdn: there is no such option; did you mean 'model=mdm'?" + OPTIONS),
    (
        "trainer=fast",
        "trainer=fast: there is no such option; expected one of bf16, cosine, default, short, warmup" + OPTIONS,
    ),
    (
        "model.conditions={{nothing:1}}",
        "model.conditions: what was given has a key that is not there; expected +model.conditions.KEY=VALUE to add one"
        + KEYS,
    ),
    ("epochs=3", "epochs: there is no such key; did you mean 'trainer.epochs'?" + KEYS),
    ("trainer.epoch=3", "trainer.epoch: there is no such key; did you mean 'trainer.epochs'?" + KEYS),
    (
        "model.conditions.target_droped=0.1",
        "model.conditions.target_droped: there is no such key; did you mean 'model.conditions.target_dropped'?" + KEYS,
    ),
    (
        "dataset=clips dataset.motion_libfile=x",
        "dataset.motion_libfile: there is no such key; did you mean 'dataset.motion_lib_file'?" + KEYS,
    ),
    (
        "sampler.sampler_save_filepath=x",  # PARC's name for it
        "sampler.sampler_save_filepath: there is no such key; did you mean 'sampler.sampler_save_folder'?" + KEYS,
    ),
    (
        "sampler/augmentation=nose",
        "sampler/augmentation=nose: there is no such option; did you mean 'sampler/augmentation=noise'?" + OPTIONS,
    ),
    (
        "sampler/augmentaton=noise",
        "sampler/augmentaton: there is no such key; did you mean 'sampler/augmentation'?" + KEYS,
    ),
    (
        "sampler.augmentation.max_heigth=2",
        "sampler.augmentation.max_heigth: there is no such key; did you mean 'sampler.augmentation.max_height'?" + KEYS,
    ),
    (
        "sampler.augmentation=noise",
        "sampler.augmentation (override sampler.augmentation=noise): is 'noise', expected the settings of a "
        "HeightmapAugmentation, with its _target_; an option of that name is chosen with sampler/augmentation=noise",
    ),
    ("experiment=papper", "experiment=papper: there is no such option; did you mean 'experiment=paper'?" + OPTIONS),
    # additions and deletions
    (
        "+trainer.epoch=3",
        "trainer.epoch (override +trainer.epoch=3): there is no such key; did you mean 'epochs'?",
    ),
    (
        "+foo=1",
        "foo (override +foo=1): there is no such key; expected one of data_dir, output_dir, device, threads, seed, iteration, "
        "dataset, character, sampler, model, loss, trainer, logger, preview",
    ),
    (
        "+sampler.heightmap.resolution=2",
        "sampler.heightmap.resolution (override +sampler.heightmap.resolution=2): there is no such key; expected one of min_x, "
        "max_x, min_y, max_y, spacing",
    ),
    ("++trainer.epochs=xx", "trainer.epochs (override ++trainer.epochs=xx): is 'xx', expected a whole number"),
    (
        "+model.denoiser.dropout=0.2",
        "+model.denoiser.dropout: this key has a value already; expected model.denoiser.dropout=VALUE",
    ),
    ("~trainer.epochs", "trainer.epochs (override ~trainer.epochs): is missing; expected a value"),
    ("~trainer.epocs", "~trainer.epocs: there is no such key; did you mean 'trainer.epochs'?" + KEYS),
    ("~model", "model (override ~model): is missing; expected a value"),
    ("model=null", "'model=null': expected GROUP=OPTION" + OPTIONS),
    # types, ranges, combinations
    ("output_dir=2024", "output_dir (override output_dir=2024): is 2024, expected text"),
    (
        "iteration.new_motions=[1]",
        "iteration.new_motions (override iteration.new_motions=[1]): is [1], expected text or a list, each text or null",
    ),
    ("trainer.epochs=many", "trainer.epochs (override trainer.epochs=many): is 'many', expected a whole number"),
    ("trainer.epochs=1.5", "trainer.epochs (override trainer.epochs=1.5): is 1.5, expected a whole number"),
    ("trainer.epochs=null", "trainer.epochs (override trainer.epochs=null): is null, expected a whole number"),
    ("logger.use_wandb=1", "logger.use_wandb (override logger.use_wandb=1): is 1, expected true or false"),
    ("trainer.batch_size=-4", "trainer.batch_size (override trainer.batch_size=-4) is -4, expected at least 1"),
    (
        "model.denoiser.dropout=nan",
        "model.denoiser.dropout (override model.denoiser.dropout=nan): is nan, expected a finite number",
    ),
    (
        "model.denoiser.num_heads=7",
        "model.denoiser.num_heads (override model.denoiser.num_heads=7) is 7, which does not divide model.denoiser.d_model "
        "(256); expected a divisor",
    ),
    (
        "model.denoiser.num_heads=[4,8]",
        "model.denoiser.num_heads (override model.denoiser.num_heads=[4,8]): is [4, 8], expected a whole number",
    ),
    (
        "model.rotation_type=ROT_9D",
        "model.rotation_type (override model.rotation_type=ROT_9D): is 'ROT_9D', expected one of DEFAULT, ROT_6D; did you mean "
        "'ROT_6D'?",
    ),
    (
        "sampler.heightmap.spacing=0.7",
        "sampler.heightmap (override sampler.heightmap.spacing=0.7): min_x -2.0 to max_x 4.0 are no whole number of spacings of "
        "0.7 m; expected at least one",
    ),
    ("sampler.target.noise=-1", "sampler.target.noise (override sampler.target.noise=-1) is -1.0, expected 0 or more"),
    (
        "sampler.target.noise=0.2",
        "sampler.target.noise (override sampler.target.noise=0.2) is 0.2, expected at most sampler.target.near = 0.1 m",
    ),
    (
        "trainer.warmup_steps=9 trainer.epochs=3 trainer.iters_per_epoch=2",
        "trainer.warmup_steps (override trainer.warmup_steps=9) is 9, expected fewer than epochs x iters_per_epoch = 6",
    ),
    ("seed=-1", "seed (override seed=-1) is -1, expected 0 or more"),
    ("device=tpu", "device (override device=tpu) is 'tpu', expected auto, cpu, cuda or cuda:N"),
    ("overwrite=yes", "overwrite (override overwrite=yes): is 'yes', expected true or false"),
    (
        "sampler.heightmap.spacing=0.5",
        "sampler.heightmap (override sampler.heightmap.spacing=0.5) has 13 points along x, expected 15 plus a positive multiple "
        "of 2: what the denoiser's convolutions leave is cut into patches of 2 x 2",
    ),
    (
        "model.diffusion_timesteps=1",
        "model.diffusion_timesteps (override model.diffusion_timesteps=1) is 1, expected at least 2",
    ),
    (
        "model.d_model=64",
        "model.d_model: there is no such key; did you mean 'model.denoiser.d_model'?" + KEYS,
    ),
    (
        "model/denoiser=mdm_transformer_smal",
        "model/denoiser=mdm_transformer_smal: there is no such option; did you mean 'model/denoiser=mdm_transformer_small'?"
        + OPTIONS,
    ),
    (
        "model.denoiser=mdm_transformer_small",
        "model.denoiser (override model.denoiser=mdm_transformer_small): is 'mdm_transformer_small', expected the settings of a "
        "Denoiser (with _target_); an option of that name is chosen with model/denoiser=mdm_transformer_small",
    ),
    # what `_target_` may name
    (
        "model.denoiser._target_=subprocess.Popen",
        "model.denoiser._target_ (override model.denoiser._target_=subprocess.Popen): 'subprocess.Popen' is no Denoiser; "
        "expected a class of that kind",
    ),
    (
        "model._target_=subprocess.Popen",
        "model._target_ (override model._target_=subprocess.Popen): 'subprocess.Popen' is no MDM; expected a class of that kind",
    ),
    (
        "sampler.augmentation._target_=subprocess.Popen",
        "sampler.augmentation._target_ (override sampler.augmentation._target_=subprocess.Popen): 'subprocess.Popen' is no "
        "HeightmapAugmentation; expected a class of that kind",
    ),
    (
        "model._target_=parc.motion_generator.mdm.MDN",
        "model._target_ (override model._target_=parc.motion_generator.mdm.MDN): 'parc.motion_generator.mdm.MDN' is no class of "
        "parc.motion_generator.mdm; did you mean 'MDM'?",
    ),
    (
        "model._target_=parc.nope.X",
        "model._target_ (override model._target_=parc.nope.X): 'parc.nope.X' cannot be imported (No module named 'parc.nope'); "
        "expected the name of a class",
    ),
    # values that are not there
    (
        "dataset=clips",
        "dataset.motion_lib_file (in {conf}/dataset/clips.yaml): has no value yet; give dataset.motion_lib_file=VALUE",
    ),
    (
        "iteration=next",
        "iteration.name (in {conf}/iteration/next.yaml): has no value yet (nor has iteration.previous); give "
        "iteration.name=VALUE",
    ),
    (
        "output_dir=${{nope}}",
        "output_dir (override output_dir=${{nope}}): '${{nope}}' leads nowhere (Interpolation key 'nope' not found); expected a "
        "value, or a key that has one",
    ),
    (
        "data_dir=${{oc.env:NOPE}}/x",
        "data_dir (override data_dir=${{oc.env:NOPE}}/x): '${{oc.env:NOPE}}/x' leads nowhere (KeyError raised while resolving "
        "interpolation: \"Environment variable 'NOPE' not found\"); expected a value, or a key that has one",
    ),
    # iterations
    (
        "iteration=iter9",
        "iteration=iter9: there is no such option; give iteration=next iteration.name=iter9 iteration.previous=iter8"
        + OPTIONS,
    ),
    (
        "iteration=iter2",
        "iteration.previous_run (in {conf}/iteration/next.yaml) {cwd}/data/iter1/p1_train_gen: there is no mdm_config.yaml; "
        f"`python -m parc.train iteration=iter1` {FROM_ELSEWHERE}",
    ),
    (
        "iteration=next iteration.name=iter7 iteration.previous=iter6",
        "iteration.previous_run (in {conf}/iteration/next.yaml) {cwd}/data/iter6/p1_train_gen: there is no mdm_config.yaml; "
        f"`python -m parc.train iteration=next iteration.name=iter6 iteration.previous=iter5` {FROM_ELSEWHERE}",
    ),
    (
        "iteration=iter2 iteration.previous_run=elsewhere",
        "iteration.previous_run (override iteration.previous_run=elsewhere) {cwd}/elsewhere: there is no mdm_config.yaml; "
        "expected the folder of a run that is finished",
    ),
    (
        "iteration=iter2 output_dir=data/iter1/p1_train_gen",
        "iteration.previous_run (in {conf}/iteration/next.yaml) {cwd}/data/iter1/p1_train_gen is this run's own output_dir; "
        "expected the folder of an earlier run",
    ),
    # places
    ("device=cuda:7", "device (override device=cuda:7) is cuda:7, " + NO_GPU),
    (
        "output_dir=/proc/mine/run",
        "output_dir (override output_dir=/proc/mine/run) /proc/mine/run: cannot be written (No such file or directory); choose "
        "a folder that you may write to",
    ),
    (
        "output_dir={files}/broken.yaml/run",
        "output_dir (override output_dir={files}/broken.yaml/run) {files}/broken.yaml/run: cannot be written (Not a directory); "
        "choose a folder that you may write to",
    ),
    (
        "dataset=clips dataset.motion_lib_file=nope",
        "dataset.motion_lib_file (override dataset.motion_lib_file=nope) {cwd}/nope: there is no such file or folder; expected a "
        "folder of clips, a manifest (.yaml) or a clip",
    ),
    (
        "dataset=clips dataset.motion_lib_file={files}/manifest.yaml",
        "{files}/manifest.yaml: motion 2: there is no clip {files}/nope.safetensors; correct the path or remove the motion",
    ),
    (
        "character.char_file=nope.xml",
        "character.char_file (override character.char_file=nope.xml) {cwd}/nope.xml: there is no such file; give an MJCF file or "
        "'humanoid.xml', which is shipped",
    ),
    (
        "dataset=clips dataset.motion_lib_file={files}/latin.yaml",
        "{files}/latin.yaml: line 2 is not UTF-8 text (byte 0xe9); save the file as UTF-8",
    ),
    (
        "dataset=clips dataset.motion_lib_file={files}/huge.yaml",
        "{files}/huge.yaml: 2,048 MiB, expected at most 32 MiB; is it the right file?",
    ),
    (
        "character.char_file={files}/huge.yaml",
        "{files}/huge.yaml: 2,048 MiB, expected at most 32 MiB; is it the right file?",
    ),
    (
        "dataset=clips dataset.motion_lib_file={files}/circle",
        "{files}/circle/self.pkl: the clip cannot be read (Too many levels of symbolic links); put it back or take it out",
    ),
    # paths that no file can have
    (
        'output_dir="~nouser/x"',
        'output_dir (override output_dir="~nouser/x"): ~nouser/x: there is no home folder ~nouser; write it out, or ./~nouser '
        "for what is called so here",
    ),
    (
        '-m output_dir="~nouser/x" seed=0,1',
        """job 'output_dir="~nouser/x" seed=0': ~nouser/x: there is no home folder ~nouser; write it out, or ./~nouser for """
        "what is called so here; nothing was started",
    ),
    (
        f"dataset=clips dataset.motion_lib_file=[/clips,{LONG}]",
        f"dataset.motion_lib_file (override dataset.motion_lib_file=[/clips,{LONG}]): {LONG[:60]}...: too long (a name of 300 "
        "bytes in a path of 300); expected at most 255 and 4096, choose a shorter one",
    ),
    (
        f"output_dir=data/{LONG}",
        f"output_dir (override output_dir=data/{LONG}): data/{LONG[:55]}...: too long (a name of 300 bytes in a path of 305); "
        "expected at most 255 and 4096, choose a shorter one",
    ),
    # the user's own option files
    (
        "--config-dir {files}/own model=misspelled",
        "model.denoiser.d_modle (in {files}/own/model/misspelled.yaml): there is no such key; did you mean 'd_model'?",
    ),
    (
        "--config-dir {files}/own model=wrong_type",
        "model.denoiser.num_layers (in {files}/own/model/wrong_type.yaml): is 'four', expected a whole number",
    ),
    (
        "--config-dir {files}/own model=of_nothing",
        "model=mdx (in model/of_nothing.yaml): there is no such option; did you mean 'model=mdm'?" + OPTIONS,
    ),
    (
        "--config-dir {files}/own model=broken",
        "while parsing a flow mapping in \"{files}/own/model/broken.yaml\", line 2, column 1 expected ',' or '}}', but got "
        "'<stream end>' in \"{files}/own/model/broken.yaml\", line 3, column 1" + HELP,
    ),
    (
        "--config-dir {files}/own model=misspeled",
        "model=misspeled: there is no such option; did you mean 'model=misspelled'?" + OPTIONS,
    ),
    (
        "--config-dir {files}/own model=latin",
        "{files}/own/model/latin.yaml: line 2 is not UTF-8 text (byte 0xe9); save the file as UTF-8",
    ),
    ("--config-dir nowhere", "Additional config directory '{cwd}/nowhere' not found" + HELP),
    # how commands are given
    ("trainer.epochs", "'trainer.epochs': " + SYNTAX),
    ("trainer.epochs=[", "'trainer.epochs=[': " + SYNTAX),
    ("--trainer.epochs=3", "--trainer.epochs=3: there is no such flag" + HELP),
    ("--cfg", "argument --cfg/-c: expected one argument" + HELP),
    (
        "--config-name mdm_config",
        "--config-name mdm_config: expected --config FILE, the config of a run, or --config-dir DIR" + HELP,
    ),
    (
        "trainer.batch_size=16,32",
        "'trainer.batch_size=16,32': several values; give -m for a sweep over them, or quotes for one text",
    ),
    # launchers
    (
        "hydra/launcher=slrum",
        "hydra/launcher=slrum: there is no such option; did you mean 'hydra/launcher=slurm'?" + OPTIONS,
    ),
    (
        "hydra/launcher=slurm",
        "hydra/launcher=slurm: this is no sweep, nothing would be sent; give -m too (one job will do)",
    ),
    (
        "-m hydra/launcher=slurm hydra.launcher.partiton=gpu",
        "hydra.launcher.partiton: there is no such key; did you mean 'hydra.launcher.partition'?" + KEYS,
    ),
    (
        "-m hydra/launcher=slurm +hydra.launcher.partiton=gpu",
        "hydra.launcher.partiton (override +hydra.launcher.partiton=gpu): there is no such key; did you mean 'partition'?; "
        "nothing was started",
    ),
    (
        "hydra.launcher=slurm",
        "hydra.launcher (override hydra.launcher=slurm): is 'slurm'; expected hydra/launcher=slurm, which chooses an option",
    ),
    (
        "+hydra.launcher.partition=gpu",
        "hydra.launcher.partition (override +hydra.launcher.partition=gpu): there is no such key; local has no settings",
    ),
    ("-m +hydra.launcher.partition=gpu", "hydra.launcher.partition: there is no such key" + KEYS),
    # sweeps with one bad job
    (
        "-m model=mdm,nope",
        "job 'model=nope': model=nope: there is no such option; expected one of "
        "mdm, mdm_fast, mdm_fast_small, mdm_rot6d, mdm_small, mdm_wide" + OPTIONS + "; nothing was started",
    ),
    (
        "-m trainer.learning_rate=1e-3,-1 seed=1",
        "job 'trainer.learning_rate=-1 seed=1': trainer.learning_rate (override trainer.learning_rate=-1) is -1.0, expected a "
        "number above 0; nothing was started",
    ),
    (
        "-m seed=1,2 +foo.bar=3",
        "job 'seed=1 +foo.bar=3': foo (override +foo.bar=3): there is no such key; expected one of data_dir, output_dir, "
        "device, threads, seed, iteration, dataset, character, sampler, model, loss, trainer, logger, preview; "
        "nothing was started",
    ),
    (
        "-m --config-dir {files}/own model=mdm,misspelled",
        "job 'model=misspelled': model.denoiser.d_modle (in {files}/own/model/misspelled.yaml): there is no such key; "
        "did you mean 'd_model'?; nothing was started",
    ),
    (
        "-m dataset=clips seed=1,2",
        "job 'dataset=clips seed=1': dataset.motion_lib_file (in {conf}/dataset/clips.yaml): has no value yet; give "
        "dataset.motion_lib_file=VALUE; nothing was started",
    ),
    (
        "-m seed=1,2 overwrite=yes",
        "job 'seed=1 overwrite=yes': overwrite (override overwrite=yes): is 'yes', expected true or "
        "false; nothing was started",
    ),
    # --config
    ("--config", "--config: expected the config of a run after it (mdm_config.yaml of a training)"),
    ("--config nope.yaml", "nope.yaml: there is no such config; expected the resolved config of a run"),
    (f"--config {LONG}", f"{LONG}: File name too long"),
    ("--config {files}/latin.yaml", "{files}/latin.yaml: line 2 is not UTF-8 text (byte 0xe9); save the file as UTF-8"),
    ("--config {files}/huge.yaml", "{files}/huge.yaml: 2,048 MiB, expected at most 32 MiB; is it the right file?"),
    ("--config {files}/list.yaml", "{files}/list.yaml: expected a mapping of settings, the resolved config of a run"),
    (
        "--config {files}/run.yaml trainer.epoch=3",
        "trainer.epoch (override trainer.epoch=3): there is no such key in {files}/run.yaml; did you mean 'trainer.epochs'?",
    ),
    (
        "--config {files}/run.yaml trainer.epochs=many",
        "trainer.epochs (override trainer.epochs=many): is 'many', expected a whole number",
    ),
    (
        "--config {files}/run.yaml trainer.epochs=${{nope}}",
        "trainer.epochs (override trainer.epochs=${{nope}}): '${{nope}}' leads nowhere (Interpolation key 'nope' not found); "
        "expected a value, or a key that has one",
    ),
    (
        "--config {files}/run.yaml model=mdm_small",
        "'model=mdm_small': with --config, only values can be changed; expected no group, but KEY=VALUE",
    ),
    ("--config {files}/run.yaml +seed=3", "'+seed=3': " + CHANGE_ONLY),
    ("--config {files}/run.yaml -m", "'-m': cannot be read; " + CHANGE_ONLY),
    ("--config {files}/run.yaml seed=1,2", "'seed=1,2': " + CHANGE_ONLY),
    ("--config {files}/run.yaml overwrite=yes", "overwrite: is 'yes', expected true or false"),
    ("--config {files}/odd.yaml", "trainer.epoch (in {files}/odd.yaml): there is no such key; did you mean 'epochs'?"),
    (
        "--config {files}/evil.yaml",
        "model._target_ (in {files}/evil.yaml): 'subprocess' is of a package that a file names, and neither your command nor "
        "options that it chose; if you trust it, name it yourself (KEY._target_=MODULE.CLASS, an option of yours, "
        "model_packages=[PACKAGE] for a model, or packages= in Python)",
    ),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory, humanoid) -> Path:
    """Files that mistakes are in."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from parc.configuration.composing import run_config
    from parc.configuration.saved_config import write_saved_config

    folder = tmp_path_factory.mktemp("files")
    clips = write_clips(folder / "clips", humanoid, 1)
    own = folder / "own" / "model"
    own.mkdir(parents=True)
    (own / "misspelled.yaml").write_text("# Mine\ndefaults:\n  - mdm\ndenoiser: {d_modle: 3}\n")
    (own / "wrong_type.yaml").write_text("# Mine\ndefaults:\n  - mdm\ndenoiser: {num_layers: four}\n")
    (own / "of_nothing.yaml").write_text("# Mine\ndefaults:\n  - mdx\n")
    (own / "broken.yaml").write_text("# Mine\n{d_model: 3\n")
    (own / "latin.yaml").write_bytes("# Mine\n# café\ndefaults:\n  - mdm\n".encode("latin-1"))
    (folder / "latin.yaml").write_bytes("motions:\n- {file: café.pkl}\n".encode("latin-1"))
    with (folder / "huge.yaml").open("wb") as huge:
        huge.truncate(2**31)  # zeros that no disk holds
    (folder / "circle").mkdir()
    (folder / "circle" / "self.pkl").symlink_to("self.pkl")
    (folder / "broken.yaml").write_text("{a: 1\n")
    (folder / "list.yaml").write_text("- 1\n- 2\n")
    (folder / "manifest.yaml").write_text(
        f"motions: [{{file: {clips}/clip_0.safetensors}}, {{file: nope.safetensors}}]\n"
    )
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = run_config(compose("train", TINY))
    write_saved_config(folder / "run.yaml", config, "python -m parc.train")
    text = (folder / "run.yaml").read_text()
    (folder / "odd.yaml").write_text(text.replace("  epochs:", "  epoch:"))
    (folder / "evil.yaml").write_text(text.replace("parc.motion_generator.mdm.MDM", "subprocess.Popen"))
    return folder


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[arguments for arguments, _ in MISTAKES])
def test_a_mistake_gives_one_clear_line_and_leaves_nothing(shell, files, arguments, message):
    places = {"conf": conf_folder(), "cwd": shell.folder, "files": files}
    before = sorted(files.rglob("*"))
    answer = shell.train(*arguments.format(**places).split())
    assert answer.err == f"error: {message.format(**places)}\n"
    assert (answer.code, answer.out) == (1, "")
    assert shell.files() == []
    assert sorted(files.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments",
    ["modle=mdm", "--config {files}/odd.yaml"],
)
def test_a_real_process_says_the_same_and_exits_with_1(tmp_path, files, arguments):
    places = {"conf": conf_folder(), "cwd": tmp_path, "files": files}
    answer = subprocess.run(
        [sys.executable, "-m", "parc.train", *arguments.format(**places).split()],
        cwd=tmp_path,
        env=subprocess_environment(),
        capture_output=True,
        text=True,
    )
    expected = dict(MISTAKES)[arguments].format(**places)
    assert (answer.returncode, answer.stdout, answer.stderr) == (1, "", f"error: {expected}\n")
    assert list(tmp_path.iterdir()) == []
