"""What is measured, a function for each part of the benchmark; the rows compare times in yardsticks of the same turns."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor, nn

from benchmarks import fast_denoiser
from benchmarks.correction import correct_demo_motions
from benchmarks.own_process import forget_peak_memory, in_own_process, lasting_process, megabytes_in_memory
from benchmarks.rows import Row, timed_row
from benchmarks.scale import Scale, measure_scale, write_repeated
from benchmarks.setting import NoDenoiser, Setting, draw_windows, paper_setting, train_steps
from benchmarks.start import begin_run, seconds_to_next_step
from benchmarks.timing import Action, Durations, measure_in_turns, waiting_share
from parc.anim.character import Character
from parc.anim.clip_files import read_clip, write_clip
from parc.anim.frames import Frames
from parc.anim.preprocessing import preprocess_clip
from parc.anim.surface_points import collision_points, surface_points
from parc.configuration.schema import Settings
from parc.motion_generator.denoiser import Conditions
from parc.motion_generator.feature_statistics import compute_statistics
from parc.motion_generator.features import MotionFeatures, PosedMotion
from parc.motion_generator.losses import LossWeights, MotionLosses, TerrainAndTarget
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MotionWindows
from parc.physics.measures import BODIES_OFF
from parc.stages.randomness import generator_for
from parc.stages.stage import read_run
from parc.training.batches import batch_at
from parc.training.compiling import compile_passes
from parc.training.ranks import Ranks
from parc.training.settings import TrainSettings
from parc.training.trainer import Precision

YARDSTICK = "yardstick"
PARC_YARDSTICK = 0.700  # seconds, where the seconds of PARC below were measured
STEPS_A_TURN = {"cpu": 2, "cuda": 50}  # the first batch of a turn is waited for: little beside a CPU's steps
BATCHES_A_TURN = 10
FILM_SECONDS, MOST_FILMS = 5.0, 5
DDIM_TIMESTEPS = [20, 15, 10, 5, 0]


def yardstick(device: torch.device) -> Action:
    """Return forward and backward of torch's own encoder of the paper's size, which anyone has.

    On a CPU it has a process of its own, which computes as torch comes: nobody has told it how (see `configure_torch`).
    """
    if device.type == "cpu":
        return lambda: lasting_process().submit(_encode, device).result()
    return partial(_encode, device)


def _encode(device: torch.device) -> None:
    encoder, tokens = _encoder(device)
    encoder(tokens).sum().backward()
    encoder.zero_grad()


@cache
def _encoder(device: torch.device) -> tuple[nn.TransformerEncoder, Float[Tensor, "batch tokens width"]]:
    layer = nn.TransformerEncoderLayer(256, 8, 256, dropout=0.1, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False).to(device).train()
    return encoder, torch.randn(64, 82, 256, device=device)


def in_turns(setting: Setting, actions: dict[str, Action], turns: int) -> tuple[dict[str, Durations], Durations]:
    """Measure actions in turns with the yardstick; return their durations and the yardstick's."""
    durations = measure_in_turns({YARDSTICK: yardstick(setting.device), **actions}, turns, setting.device)
    return durations, durations[YARDSTICK]


def training_step(setting: Setting, turns: int) -> list[Row]:
    """Measure the steps that users run: sampler, model, losses, optimiser, average."""
    count = STEPS_A_TURN[setting.device.type]

    def steps(precision: Precision) -> Action:
        return lambda: train_steps(setting, count, precision)

    def all_but_the_denoiser() -> None:
        model = setting.state.model
        denoiser, model.denoiser = model.denoiser, NoDenoiser(model.denoiser)  # type: ignore[assignment]
        try:
            train_steps(setting, count, Precision.FP32)
        finally:
            model.denoiser = denoiser

    actions = {"fp32": steps(Precision.FP32), "bf16": steps(Precision.BF16), "rest": all_but_the_denoiser}
    measured, own = in_turns(setting, actions, turns)
    each = {name: _of_each(durations, count) for name, durations in measured.items()}
    rows = [
        timed_row("yardstick", own, own, parc=None, target=None),
        timed_row("training step, fp32", each["fp32"], own, parc=1.2, target=0.65),
        timed_row("training step, bf16", each["bf16"], own, parc=None, target=0.30),
        timed_row("training step but for the denoiser", each["rest"], own, parc=0.1, target=0.03),
    ]
    if setting.device.type == "cuda":
        share = waiting_share(steps(Precision.FP32), setting.device)
        rows.append(Row("share of the step in which the GPU waits", share, None, ""))
    return rows


def sampling(setting: Setting, turns: int) -> list[Row]:
    """Measure drawing batches of windows, and the statistics over all windows."""
    sampler = setting.sampler
    features = MotionFeatures(setting.character, setting.state.model.features.rotation_type)

    def batches(size: int) -> Action:
        def draw_some() -> None:
            for step in range(BATCHES_A_TURN):
                draw_windows(sampler, step, size)

        return draw_some

    actions = {"64": batches(64), "1024": batches(1024), "statistics": lambda: compute_statistics(sampler, features)}
    measured, own = in_turns(setting, actions, turns)
    measured |= {size: _of_each(measured[size], BATCHES_A_TURN) for size in ("64", "1024")}
    parc = {"64": 0.066, "1024": 0.900}
    clips = sampler.library.num_clips
    rows = [
        _against_parc(f"sampler, {clips} clips, batch {size}", measured[size], own, seconds, 0.1)
        for size, seconds in parc.items()
    ]
    return [*rows, _against_parc(f"statistics, {clips} clips", measured["statistics"], own, 3.7, 0.2)]


def preprocessing(setting: Setting, turns: int) -> list[Row]:
    """Measure finding touched cells and bounds, a frame, over some clips."""
    paths = [entry.path for entry in setting.settings.dataset.entries()][::20]
    clips = [read_clip(path, setting.character) for path in paths]
    surface = surface_points(setting.character)
    frames = sum(clip.num_frames for clip in clips)

    def preprocess() -> None:
        for clip in clips:
            preprocess_clip(clip, setting.character, surface)

    measured, own = in_turns(setting, {"clips": preprocess}, turns)
    return [_against_parc("preprocessing a frame", _of_each(measured["clips"], frames), own, 0.0046, 1 / 30)]


def collision(setting: Setting, turns: int) -> list[Row]:
    """Measure the terrain collision term, forward and backward, and the memory it takes."""
    predicted, terrain_and_target = _noisy_motions(setting)
    losses = _collision_only(setting.settings, setting.character.to(setting.device))
    term = partial(_forward_and_backward, losses, predicted, terrain_and_target)
    measured, own = in_turns(setting, {"collision": term}, turns)
    on_cpu = [{name: value.cpu() for name, value in _tensors(each).items()} for each in (predicted, terrain_and_target)]
    megabytes = in_own_process(collision_megabytes, setting.settings.record.config, *on_cpu, terrain_and_target.spacing)
    return [
        _against_parc("terrain collision loss, batch 64", measured["collision"], own, 3.2, 1 / 50),
        Row("its memory", megabytes, None, "MB", parc=3500.0, target=200.0),
    ]


def _noisy_motions(setting: Setting) -> tuple[PosedMotion, TerrainAndTarget]:
    """Return motions a standard deviation off, some of them in the ground, and the terrain around them."""
    model = setting.state.model
    windows, clean = _standardised_windows(setting)
    noise = torch.randn(clean.shape, generator=generator_for(0, "noise", 0)).to(setting.device)
    motion = model.features.decode(model.statistics.unstandardise(clean + noise))
    frames = Frames(motion.root_pos, motion.root_rot, motion.joint_rot, motion.contacts)
    return model.features.posed(frames), model.terrain_and_target(windows)


def _standardised_windows(setting: Setting) -> tuple[MotionWindows, Float[Tensor, "batch frames features"]]:
    """Return 64 windows and their standardised features."""
    model = setting.state.model
    windows = draw_windows(setting.sampler, 0, 64).to(setting.device)
    return windows, model.statistics.standardise(model.features.encode(model.features.posed(windows.frames)))


def _collision_only(settings: TrainSettings, character: Character) -> MotionLosses:
    weights = LossWeights(**dict.fromkeys(vars(settings.loss.weights), 0.0) | {"terrain_collision": 15.0})
    return MotionLosses(
        settings.loss.distance,
        weights,
        character=character,
        collision_points=collision_points(character).to(character.offsets.device),
        fps=settings.sampler.fps,
        num_previous=settings.sampler.num_previous_states,
    )


def _forward_and_backward(losses: MotionLosses, motion: PosedMotion, terrain_and_target: TerrainAndTarget) -> None:
    predicted = replace(motion, root_pos=motion.root_pos.clone().requires_grad_())
    losses.per_sample(predicted, motion, terrain_and_target)["terrain_collision"].sum().backward()


def _tensors(value: PosedMotion | TerrainAndTarget) -> dict[str, Tensor]:
    return {name: each for name, each in vars(value).items() if isinstance(each, Tensor)}


def collision_megabytes(
    config: Settings, motion: dict[str, Tensor], terrain_and_target: dict[str, Tensor], spacing: float
) -> float:
    """Return how much more memory the terrain collision term takes at most; for a process of its own."""
    settings = read_run(config).settings
    losses = _collision_only(settings, settings.character.read())
    predicted, around = PosedMotion(**motion), TerrainAndTarget(**terrain_and_target, spacing=spacing)
    one = PosedMotion(**{name: value[:1] for name, value in motion.items()})
    # What torch loads at its first use is not the term's.
    _forward_and_backward(losses, one, replace(around, heightmap=around.heightmap[:1]))
    forget_peak_memory()
    before = megabytes_in_memory()
    _forward_and_backward(losses, predicted, around)
    return megabytes_in_memory(peak=True) - before


def generation(setting: Setting, turns: int) -> list[Row]:
    """Measure generating 64 windows with five calls of the network."""
    model = setting.state.model
    windows, clean = _standardised_windows(setting)
    given = torch.ones(64, dtype=torch.bool, device=setting.device)
    previous = clean[:, : setting.sampler.num_previous]
    conditions = Conditions(windows.heightmap, windows.target_direction, previous, given, given, given, given)

    def generate(autocast: bool) -> None:
        model.denoiser.eval()
        generators = [generator_for(0, "noise", number) for number in range(64)]
        model.generate(conditions, generators, DDIM_TIMESTEPS, autocast=autocast)

    actions: dict[str, Action] = {"fp32": lambda: generate(False), "bf16": lambda: generate(True)}
    measured, own = in_turns(setting, actions, turns)
    return [
        _against_parc("5-call DDIM, batch 64, fp32", measured["fp32"], own, 0.895, 0.7),
        _against_parc("5-call DDIM, batch 64, bf16", measured["bf16"], own, 0.895, 0.4),
    ]


def fast(setting: Setting, turns: int) -> list[Row]:
    """Measure training steps of `model=mdm_fast`, and rolling out many candidates of it and of the demo's model."""
    folder, device = Path(setting.settings.data_dir), setting.device
    wide = paper_setting(folder, device, *fast_denoiser.WIDE)
    actions: dict[str, Action] = {
        "fp32": lambda: train_steps(wide, fast_denoiser.STEPS_A_TURN, Precision.FP32),
        "bf16": lambda: train_steps(wide, fast_denoiser.STEPS_A_TURN, Precision.BF16),
        "wide": fast_denoiser.many_candidates(wide),
        "demo": fast_denoiser.many_candidates(paper_setting(folder, device, *fast_denoiser.OF_THE_DEMO), threads=1),
    }
    measured, own = in_turns(setting, actions, turns)
    steps = {name: _of_each(measured[name], fast_denoiser.STEPS_A_TURN) for name in ("fp32", "bf16")}
    seconds = fast_denoiser.CANDIDATES * fast_denoiser.SECONDS
    motions = {name: _of_each(measured[name], seconds) for name in ("wide", "demo")}
    many = f"{fast_denoiser.CANDIDATES} candidates"
    return [
        timed_row("training step of mdm_fast, fp32", steps["fp32"], own, parc=None, target=0.30),
        timed_row("training step of mdm_fast, bf16", steps["bf16"], own, parc=None, target=0.15),
        timed_row(f"{many} of mdm_fast up stairs, a second of motion", motions["wide"], None, parc=None, target=10.0),
        timed_row(f"{many} of the demo's model up stairs, one core", motions["demo"], None, parc=None, target=3.3),
    ]


def compiling(setting: Setting, turns: int) -> list[Row]:
    """Measure steps of the demo's training as they are and compiled, and how long compiling takes for the first time."""
    folder = Path(setting.settings.data_dir)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "compiled")
    run = [*fast_denoiser.OF_THE_DEMO, *fast_denoiser.AT_A_CONSTANT_RATE]
    plain, compiled = (paper_setting(folder, setting.device, *run) for _ in range(2))
    model, size = compiled.state.model, compiled.settings.trainer.batch_size
    windows, draws = batch_at(0, seed=0, sampler=compiled.sampler, model=model, batch_size=size, ranks=Ranks())
    began = time.perf_counter()
    compile_passes(model, windows.to(setting.device), draws.to(setting.device), autocast=False)
    seconds = time.perf_counter() - began
    count = STEPS_A_TURN[setting.device.type]
    actions: dict[str, Action] = {
        "plain": lambda: train_steps(plain, count, Precision.FP32),
        "compiled": lambda: train_steps(compiled, count, Precision.FP32),
    }
    measured, own = in_turns(setting, actions, turns)
    each = {name: _of_each(measured[name], count) for name in actions}
    return [
        timed_row("training step of the demo's model", each["plain"], own, parc=None, target=None),
        timed_row("the same with trainer.compile=true", each["compiled"], own, parc=None, target=None),
        Row("compiling it, once", seconds, None, "s"),
    ]


def learning(setting: Setting, turns: int) -> list[Row]:
    """Measure, once, how long the demo's model takes to learn, and how fast candidates of what it has learnt go up stairs."""
    minutes, learnt = fast_denoiser.learn(Path(setting.settings.data_dir), setting.device, fast_denoiser.OF_THE_DEMO)
    actions = {"guided": fast_denoiser.many_candidates(learnt, threads=1, guided=True)}
    seconds = fast_denoiser.CANDIDATES * fast_denoiser.SECONDS
    guided = _of_each(in_turns(setting, actions, turns)[0]["guided"], seconds)
    what = f"training of the demo's model until motions of half a second are {100 * fast_denoiser.LEARNT:.0f} cm off"
    return [
        Row(what, minutes, None, "minutes"),
        timed_row(
            f"{fast_denoiser.CANDIDATES} candidates of it up stairs, with ground guidance, one core",
            guided,
            None,
            parc=None,
            target=3.3,
        ),
    ]


def start(setting: Setting, turns: int) -> list[Row]:
    """Measure how long the same command takes to go on, with a warm cache and without imports."""
    config = setting.settings.record.config
    begin_run(config)
    seconds = Durations([seconds_to_next_step(config) for _ in range(turns)])
    what = f"start with a warm cache, {setting.sampler.library.num_clips} clips, imports apart"
    return [Row(what, seconds.median, seconds.quartiles, "s", parc=4.0, target=0.5)]


def film(setting: Setting, turns: int) -> list[Row]:
    """Measure the command that draws five seconds of motion as a GIF, imports included, in processes of its own."""
    folder = Path(setting.settings.data_dir)
    clips = sorted((folder / "demo_motions" / "walking").glob("*.safetensors"))
    clip = next(clip for path in clips if (clip := read_clip(path, setting.character)).seconds >= FILM_SECONDS)
    write_clip(folder / "walk.safetensors", clip.part(0, round(FILM_SECONDS * clip.fps)))
    command = [sys.executable, "-m", "parc.picture", str(folder / "walk.safetensors")]
    command += ["--output", str(folder / "walk.gif")]
    seconds = []
    for _ in range(min(turns, MOST_FILMS)):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    durations = Durations(seconds)
    return [Row("5 s of motion as a GIF, the whole command", durations.median, durations.quartiles, "s", target=10.0)]


def correction(setting: Setting, turns: int) -> list[Row]:
    """Measure, once, what making a few motions physical takes, on one core, and what comes of it."""
    corrections = correct_demo_motions(Path(setting.settings.data_dir), setting.character)
    seconds = Durations([each.cpu_seconds / each.clip_seconds for each in corrections])
    unaided = [each for each in corrections if each.whole_with == 0]
    what = f"correction, a second of motion, one core ({len(unaided)} of {len(corrections)} followed without help)"
    rows = [Row(what, seconds.median, seconds.quartiles, "s", target=20.0)]
    if unaided:
        centimetres = 100 * fmean(each.measures[BODIES_OFF] for each in unaided)
        rows.append(Row("bodies off the motions followed", centimetres, None, "cm", target=10.0))
        smoothness = fmean(each.measures["smoothness"] for each in unaided)
        rows.append(Row("their accelerations, over the motions'", smoothness, None, "times", target=1.7))
    return rows


def scale(setting: Setting, clips: int) -> list[Row]:
    """Measure a library of very many clips against one of ten, each in a process of its own."""
    folder = Path(setting.settings.data_dir)
    scales: list[Scale] = []
    for count in (10, clips):
        path = folder / "repeated" / f"{count}.safetensors"
        write_repeated(path, setting.sampler.library, count)
        scales.append(in_own_process(measure_scale, path, 200))
        path.unlink()
    few, many = scales
    return [
        Row(f"loading the prepared data of {clips} clips", many.load_seconds, None, "s", target=5.0),
        Row("its memory, imports included", many.megabytes, None, "MB", target=4000.0),
        Row("sampler over it, against 10 clips", many.batch_seconds / few.batch_seconds, None, "times", target=1.3),
    ]


def _of_each(durations: Durations, count: float) -> Durations:
    return Durations([seconds / count for seconds in durations.seconds])


def _against_parc(what: str, durations: Durations, own: Durations, parc_seconds: float, share: float) -> Row:
    """Return a row whose target is a share of what PARC takes, both in yardsticks."""
    parc = parc_seconds / PARC_YARDSTICK
    return timed_row(what, durations, own, parc=parc, target=share * parc)


MEASUREMENTS: dict[str, Callable[[Setting, int], list[Row]]] = {
    "step": training_step,
    "sampler": sampling,
    "preprocessing": preprocessing,
    "collision": collision,
    "generation": generation,
    "fast": fast,
    "compiling": compiling,
    "learning": learning,
    "start": start,
    "film": film,
    "correction": correction,
}
