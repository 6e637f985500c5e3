"""What is recorded of the method: each section works out arrays by the code as it is, from what earlier sections recorded.

So a fault shows in the section where it is, and hardly any rounding adds up on the way. Settings are those of `conf/`, but for
the size of the network. Nothing is drawn but in the section `draws`: what else has to look random comes from numpy's
`RandomState`, whose numbers are promised never to change.
"""

import dataclasses
import tempfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from parc.anim.character import Character
from parc.anim.clip_files import read_clip
from parc.anim.frames import Frames
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_library import MotionLibrary, library_of
from parc.anim.preprocessing import preprocess_clip
from parc.anim.rotations import slerp
from parc.anim.surface_points import collision_points, surface_points
from parc.configuration.composing import pieces_of_option
from parc.configuration.pieces import recipe
from parc.configuration.schema import Settings
from parc.motion_generator.canonical_frame import RelativeZStyle, canonical_frames
from parc.motion_generator.checkpoint import read_checkpoint
from parc.motion_generator.checkpoint_files import FINAL_CHECKPOINT
from parc.motion_generator.denoiser import Conditions
from parc.motion_generator.diffusion import CosineDiffusion
from parc.motion_generator.feature_statistics import compute_statistics
from parc.motion_generator.features import FeatureStatistics, MotionFeatures, RotationType
from parc.motion_generator.local_heightmap import local_heightmaps_with_bounds
from parc.motion_generator.losses import Distance, MotionLosses, TerrainAndTarget
from parc.motion_generator.mdm import MDM, DiffusionDraws
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import (
    MDMHeightfieldContactMotionSampler,
    MotionWindows,
    WindowDraws,
)
from parc.stages.metrics import read_metrics
from parc.stages.stage import read_run
from parc.terrain.signed_distance import distance_above_ground, signed_distance_below_ground

Arrays = dict[str, Tensor]

CLIPS = Path(__file__).parent / "clips"
BATCH = 8
SMALL = [f"model.denoiser.{name}=32" for name in ("d_model", "d_hid", "mlp_width", "target_mlp_width")]
SMALL += ["model.denoiser.num_heads=2", "model.denoiser.num_layers=2"]
METHOD = ["sampler.angle_noise_scale=0.1", "sampler.pos_noise_scale=0.05", "loss=with_terrain", *SMALL]
TRAINING = [
    *METHOD, "dataset=clips", f"dataset.motion_lib_file={CLIPS}", "logger=off", "device=cpu", "threads=1", "trainer=cosine",
    "trainer.batch_size=4", "trainer.epochs=6", "trainer.iters_per_epoch=1", "trainer.epochs_per_checkpoint=6",
    "trainer.learning_rate=0.001", "trainer.warmup_steps=3", "trainer.weight_decay=10.0", "trainer.ema_start_step=2",
    "trainer.ema_decay=0.8",
]  # fmt: skip


@cache
def character() -> Character:
    return CharacterFile("humanoid.xml").read()


@cache
def library() -> MotionLibrary:
    surface = surface_points(character())
    clips = [read_clip(path, character()) for path in sorted(CLIPS.glob("*.safetensors"))]
    return library_of([preprocess_clip(clip, character(), surface) for clip in clips], [1.0, 2.0, 3.0])


@cache
def settings() -> Settings:
    return pieces_of_option("train", METHOD, ["sampler", "model", "loss"])


@cache
def sampler() -> MDMHeightfieldContactMotionSampler:
    made = recipe(settings()["sampler"], MDMHeightfieldContactMotionSampler, "sampler").make()
    made.use_library(library(), ["a", "b", "c"], [""] * 3, [False] * 3)
    return made


def losses(distance: Distance = Distance.SQUARED_L2) -> MotionLosses:
    return recipe(settings()["loss"] | {"distance": distance.value}, MotionLosses, "loss").make(
        character=character(), collision_points=collision_points(character()), fps=30.0, num_previous=2
    )


def model(statistics: FeatureStatistics) -> MDM:
    """Return a small model with weights that are the same on every machine."""
    made = recipe(settings()["model"], MDM, "model").make(
        character=character(),
        statistics=statistics,
        num_frames=15,
        num_previous=2,
        heightmap=sampler().grid,
        losses=losses(),
    )
    with torch.no_grad():
        for name, weight in made.denoiser.named_parameters():
            spread = 1.5 / max(1, weight[0].numel()) ** 0.5
            weight.copy_(around_zero(name, *weight.shape) * spread + (1.0 if "norm" in name else 0.0))
    return made.eval()


def around_zero(name: str, *shape: int) -> Tensor:
    """Return numbers in -1..1, the same for a name on every machine."""
    numbers = np.random.RandomState(zlib.crc32(name.encode())).uniform(-1, 1, shape)
    return torch.from_numpy(numbers.astype(np.float32))


def draws(_: Arrays) -> Arrays:
    windows = vars(sampler().draw(torch.Generator().manual_seed(0), BATCH))
    assert not windows.pop("height_error").any()  # the paper has none
    no_statistics = FeatureStatistics(torch.zeros(15, 91), torch.ones(15, 91))
    diffusion = model(no_statistics).draw(torch.Generator().manual_seed(1), BATCH)
    found = flat(windows, "windows.") | flat(vars(diffusion), "diffusion.")
    # Withheld conditions are rare: here each is withheld from half of the samples, as binary numbers have their digits.
    for digit, name in enumerate(("heightmap_given", "target_given", "previous_given")):
        found[f"shown.{name}"] = torch.arange(BATCH) // 2**digit % 2 == 0
    return found | {"shown.previous_clean": torch.arange(BATCH) % 3 == 0}


def clips(_: Arrays) -> Arrays:
    """Frames of clips between their own, and what their bodies touch."""
    times = torch.tensor([[0.0, 0.31, 1.234, 2.5]]).expand(3, 4)
    frames = library().frames_at(torch.arange(3), times)
    halfway = slerp(frames.root_rot[:, :-1], frames.root_rot[:, 1:], torch.tensor(0.3))
    body_pos, body_rot = character().forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)
    bounds = library().height_bounds
    return vars(frames) | {"halfway": halfway, "body_pos": body_pos, "body_rot": body_rot, "height_bounds.map": bounds}


def canonical(recorded: Arrays) -> Arrays:
    """Canonical frames of both styles, and the local heightmaps there with their bounds."""
    drawn = window_draws(recorded)
    times = drawn.starts[:, None] + sampler().window_times
    world = library().frames_at(drawn.clips, times)
    found = {}
    for style in RelativeZStyle:
        pose = world.root_pos[:, 1], world.root_rot[:, 1]
        origin, turn = canonical_frames(style, library().terrains, drawn.clips, *pose)
        found |= {f"{style.value}.origin": origin, f"{style.value}.turn": turn}
    heights, bounds = local_heightmaps_with_bounds(
        library(), sampler().grid, drawn.clips, times[:, 0], times[:, -1], origin, turn
    )
    return found | {"heights.map": heights, "bounds.map": bounds.to(torch.float16)}


def windows(recorded: Arrays) -> Arrays:
    made = sampler().windows(window_draws(recorded))
    assert made.previous is not None
    frames = flat(vars(made.frames), "frames.") | flat(vars(made.previous), "previous.")
    return frames | {"heightmap.map": made.heightmap, "target_direction": made.target_direction}


def features(recorded: Arrays) -> Arrays:
    """Windows as numbers, posed and projected, and their statistics."""
    found = {}
    for kind in RotationType:
        coded = MotionFeatures(character(), kind)
        posed = coded.posed(recorded_windows(recorded).frames)
        found |= {f"body_{name}": getattr(posed, f"body_{name}")[:2] for name in ("pos", "rot")}
        encoded = coded.encode(posed)
        changed = encoded + 0.3 * around_zero(kind.value, *encoded.shape)
        statistics = compute_statistics(sampler(), coded)
        found |= {f"{kind.value}.encoded": encoded[:4], f"{kind.value}.projected": coded.project(changed)[4:6]}
        found |= {f"{kind.value}.mean": statistics.mean, f"{kind.value}.std": statistics.std}
    return found


def diffusion(recorded: Arrays) -> Arrays:
    """The schedule, noised features, and steps of DDPM and DDIM with given noise."""
    found = {}
    for timesteps in (21, 50):
        found |= {f"{timesteps}.{name}": table for name, table in CosineDiffusion(timesteps).named_buffers()}
    drawn, process = diffusion_draws(recorded), CosineDiffusion(21)
    clean = around_zero("clean", BATCH, 15, 91)
    noisy = process.add_noise(clean, drawn.timestep, drawn.noise)
    found["noisy"] = noisy[:4]
    for timestep in (20, 7, 1):
        found[f"ddpm.{timestep}"] = process.ddpm_step(noisy, clean, timestep, drawn.noise.flip(0))[:1]
        found[f"ddim.{timestep}"] = process.ddim_step(noisy, clean, timestep, timestep // 2)[:1]
    return found


def denoiser(recorded: Arrays) -> Arrays:
    """What the network says with all conditions given, and with each of them withheld from half of the samples."""
    network = recorded_model(recorded).denoiser
    drawn, asked = diffusion_draws(recorded), conditions(recorded)
    yes = torch.ones(BATCH, dtype=torch.bool)
    whole = dataclasses.replace(asked, heightmap_given=yes, target_given=yes, previous_given=yes, previous_clean=yes)
    return {
        "all_given": network(drawn.noise, drawn.timestep, whole),
        "some_withheld": network(drawn.noise, drawn.timestep, asked),
        "heightmap_embedding": network.embed_heightmap(asked.heightmap)[:2],
    }


def loss_terms(recorded: Arrays) -> Arrays:
    """Each term of each sample for a prediction that is off, and the gradients of their sum."""
    coded, made = MotionFeatures(character(), RotationType.DEFAULT), recorded_windows(recorded)
    true = coded.posed(made.frames)
    terrain = TerrainAndTarget(made.heightmap, torch.tensor([-2.0, -3.0]), 0.2, made.target_direction)
    found = {}
    for distance in Distance:
        prediction = (coded.encode(true) + 0.2 * around_zero("prediction", BATCH, 15, 91)).requires_grad_()
        terms = losses(distance).per_sample(coded.decode(prediction), true, terrain)
        weighted = losses(distance).weighted_means(terms)
        weighted.sum().backward()
        assert prediction.grad is not None
        found |= flat(terms, f"{distance.value}.")
        found |= {f"{distance.value}.weighted": weighted, f"{distance.value}.gradient": prediction.grad[:2]}
    return found


def gradients(recorded: Arrays) -> Arrays:
    """The loss of a batch of the whole model, and its gradients, in part."""
    whole = recorded_model(recorded)
    drawn = dataclasses.replace(diffusion_draws(recorded), **shown(recorded))
    terms = whole(recorded_windows(recorded), drawn)
    terms.sum().backward()
    return {"terms": terms} | {
        name: glimpse(weight.grad) for name, weight in whole.denoiser.named_parameters() if weight.grad is not None
    }


def generation(recorded: Arrays) -> Arrays:
    """Motions generated from noise by DDPM, DDIM, and with guidance."""
    whole, asked = recorded_model(recorded), conditions(recorded)
    some = Conditions(**{name: value[:3] for name, value in vars(asked).items()})
    found = {}
    for name, how in {
        "ddpm": {},
        "ddim": {"ddim_timesteps": [20, 13, 6, 2, 0]},
        "guided": {"ddim_timesteps": [20, 10, 0], "guidance_scale": 0.65},
    }.items():
        streams = [torch.Generator().manual_seed(number) for number in range(3)]
        found |= flat(vars(whole.generate(some, streams, **how)), f"{name}.")
    return found


def distances(_: Arrays) -> Arrays:
    """Depths below and distances above the ground of the clips' terrains, and where they lead."""
    terrains = library().terrains
    size = (terrains.shape * terrains.cell_size[:, None]).mean(0)
    points = (around_zero("points", 3, 100, 3) * torch.tensor([*size.tolist(), 1.5])).requires_grad_()
    found = {}
    for name, distance in {"below": signed_distance_below_ground, "above": distance_above_ground}.items():
        found[name] = distance(points, terrains, torch.arange(3))
        found[f"{name}.gradient"] = torch.autograd.grad(found[name].sum(), points)[0]
    return found


def training(_: Arrays) -> Arrays:
    """Six steps of a training, with warm-up, clipped gradients, weight decay and averaged weights: its rows and weights."""
    with tempfile.TemporaryDirectory() as folder:
        names = ["stage", "device", "threads", "seed", "data_dir", "output_dir", "iteration", "dataset", "character",
                 "sampler", "model", "loss", "trainer", "logger"]  # fmt: skip
        read_run(pieces_of_option("train", [*TRAINING, f"data_dir={folder}"], names)).start()
        (run,) = (path.parent for path in Path(folder).rglob(FINAL_CHECKPOINT))
        checkpoint, rows = read_checkpoint(run / FINAL_CHECKPOINT), read_metrics(run / "metrics.jsonl")
    shown_in_rows = [name for name in rows[0] if name.startswith("train/") or name in ("grad_norm", "learning_rate")]
    found = {f"rows.{name}": torch.tensor([row[name] for row in rows]) for name in shown_in_rows}
    for part in ("model", "ema"):
        for name, weight in getattr(checkpoint, part).items():
            # The biases of keys change nothing, so that their gradients are rounding, which the optimiser makes large.
            if not name.endswith("in_proj_bias"):
                found[f"{part}.{name}"] = glimpse(weight)
    return found


# In the order in which they need one another.
SECTIONS: dict[str, Callable[[Arrays], Arrays]] = {
    section.__name__: section
    for section in (
        draws, clips, canonical, windows, features, diffusion, denoiser, loss_terms, gradients, generation, distances, training
    )
}  # fmt: skip


def computed(section: str, recorded: Arrays) -> Arrays:
    """Return the arrays of a section, named `section/array`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = SECTIONS[section](recorded)
    torch.set_num_threads(threads)
    return {f"{section}/{name}": value.detach().clone().contiguous() for name, value in found.items()}


def flat(values: dict, prefix: str) -> Arrays:
    """Return the tensors among values, and those of dicts among them, under their names."""
    found = {f"{prefix}{name}": value for name, value in values.items() if isinstance(value, Tensor)}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
    return found


def part(recorded: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): value for name, value in recorded.items() if name.startswith(prefix)}


def window_draws(recorded: Arrays) -> WindowDraws:
    drawn = part(recorded, "draws/windows.")
    nested = {name: part(drawn, f"{name}.") for name in ("previous_noise", "augmentation")}
    return WindowDraws(
        **{name: value for name, value in drawn.items() if "." not in name}, **nested, height_error=torch.zeros(BATCH)
    )


def diffusion_draws(recorded: Arrays) -> DiffusionDraws:
    return DiffusionDraws(**part(recorded, "draws/diffusion."))


def shown(recorded: Arrays) -> Arrays:
    return part(recorded, "draws/shown.")


def recorded_windows(recorded: Arrays) -> MotionWindows:
    drawn, made = window_draws(recorded), part(recorded, "windows/")
    frames, previous = (Frames(**part(made, prefix)) for prefix in ("frames.", "previous."))
    origin, turn = torch.zeros(len(drawn.clips), 3), torch.zeros(len(drawn.clips))  # which nothing recorded depends on
    return MotionWindows(
        drawn.clips, drawn.starts, origin, turn, frames, made["heightmap.map"], made["target_direction"], previous
    )


def recorded_model(recorded: Arrays) -> MDM:
    return model(FeatureStatistics(recorded["features/DEFAULT.mean"], recorded["features/DEFAULT.std"]))


def conditions(recorded: Arrays) -> Conditions:
    made = recorded_windows(recorded)
    previous = around_zero("previous states", BATCH, 2, 91)
    return Conditions(made.heightmap, made.target_direction, previous, **shown(recorded))


def glimpse(values: Tensor) -> Tensor:
    """Return the root mean square of some numbers, their mean, and 16 of them, from all over."""
    some = torch.linspace(0, values.numel() - 1, min(16, values.numel())).long()
    return torch.cat([values.square().mean().sqrt()[None], values.mean()[None], values.flatten()[some]])
