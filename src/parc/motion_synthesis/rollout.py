"""Rollouts: windows of a model, one after the other, along paths over terrains. All candidates of all paths are one batch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from parc.anim.character import Character
from parc.anim.frames import Frames, joined
from parc.configuration.errors import UserError, nearest_name
from parc.configuration.schema import FilePath
from parc.motion_generator.canonical_frame import frames_to_canonical, frames_to_world
from parc.motion_generator.denoiser import Conditions
from parc.motion_generator.diffusion import spread_timesteps
from parc.motion_generator.ground_guidance import GroundGuidance
from parc.motion_generator.trained_model import TrainedModel
from parc.motion_synthesis.candidates import Candidates, Paths
from parc.motion_synthesis.starts import BlankStart, end_of_clip, placed_on_paths
from parc.motion_synthesis.surroundings import Surroundings, surroundings_at
from parc.terrain.node_ahead import node_ahead


@dataclass(frozen=True)
class Rollout:
    """How motions are rolled out along paths.

    Attributes:
        candidates: motions a path.
        max_seconds: after which a motion that has not finished is given up.
        denoising_steps: how often a window is denoised (DDIM), at timesteps that are evenly spread over the model's own; at
            each of them where the model has no more.
        guidance_scale: s in s x0(previous states withheld) + (1 - s) x0(previous states given).
        new_frames: frames of each window that are kept; those beyond are thrown away and generated again from what is kept.
        nodes_ahead: how many nodes after the nearest one the target is, at most.
        corner_height: difference in height, metres, from which on ground beside the path is a corner beyond which no target is
            (see `node_ahead`); None for targets `nodes_ahead` after the nearest, whatever lies between.
        finish_distance: of the middle of the feet from the last node, at which a motion has finished, metres.
        feet: the two bodies whose origins are meant.
        start: a clip whose last frames motions go on from, at the beginning of their path and looking along it; None for
            motions that begin from noise.
        blank_start: where motions are that begin from noise.
        ground_guidance: moves windows out of the ground, and labelled bodies onto it; None for windows as the model makes them.
    """

    candidates: int
    max_seconds: float
    denoising_steps: int
    guidance_scale: float
    new_frames: int
    nodes_ahead: int
    finish_distance: float
    feet: list[str]
    start: FilePath | None
    blank_start: BlankStart
    ground_guidance: GroundGuidance | None = None  # as older configs were, which have no such keys
    corner_height: float | None = None

    def __post_init__(self) -> None:
        for name in ("candidates", "new_frames", "nodes_ahead"):
            if getattr(self, name) < 1:
                raise UserError(f"rollout.{name} is {getattr(self, name)}, expected at least 1")
        if self.denoising_steps < 2:
            raise UserError(f"rollout.denoising_steps is {self.denoising_steps}, expected at least 2")
        for name in ("max_seconds", "finish_distance"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"rollout.{name} is {getattr(self, name)}, expected a number above 0")
        if self.corner_height is not None and not self.corner_height >= 0:
            raise UserError(f"rollout.corner_height is {self.corner_height}, expected metres, 0 or more, or null")
        if not 0 <= self.guidance_scale <= 1:
            raise UserError(f"rollout.guidance_scale is {self.guidance_scale}, expected a share in 0..1")
        if not self.feet:
            raise UserError("rollout.feet is empty, expected names of bodies")

    def check_with_model(self, model: TrainedModel) -> None:
        """Check that windows of a model can be put one after the other as asked for.

        Raises:
            UserError: a window has too few frames, the character no such feet, or the clip to start from is none of its
                character.
        """
        generated = model.num_frames - model.num_previous
        if self.new_frames > generated:
            raise UserError(
                f"rollout.new_frames is {self.new_frames}, expected at most the {generated} that windows of {model.path} have "
                "after the previous states"
            )
        if self.new_frames < model.num_previous:
            raise UserError(
                f"rollout.new_frames is {self.new_frames}, expected at least the {model.num_previous} previous states of "
                f"{model.path}"
            )
        self.check_with_character(model.character)
        if self.start is not None:
            end_of_clip(Path(self.start), model)

    def check_with_character(self, character: Character) -> None:
        """Check that a character has the feet.

        Raises:
            UserError: it has not.
        """
        for name in self.feet:
            if name not in character.body_names:
                raise UserError(
                    f"rollout.feet: the character has no body '{name}'{nearest_name(name, character.body_names)} "
                    f"(bodies: {', '.join(character.body_names)})"
                )

    def roll_out(
        self,
        model: TrainedModel,
        paths: Paths,
        path: Int[Tensor, " batch"],
        generators: Sequence[torch.Generator],
        start: Frames | None = None,
    ) -> Candidates:
        """Make a motion for each candidate.

        Each has random numbers of its own: it does not depend on who else is in the batch, but for the rounding of sums.

        Args:
            model: whose windows are made; on the device of the paths.
            paths: what the motions are to follow.
            path: which path each candidate is to follow.
            generators: one for each candidate.
            start: frames that each candidate goes on from where it is, in the frame of its terrain, at least as many as the
                model has previous states; the last ones are used, and are the first of the motion. None for what `self.start`
                and `blank_start` say.
        """
        length = model.num_previous + self.new_frames
        limit = max(length, round(self.max_seconds * model.fps))
        if start is not None:
            parts = [start.part(-model.num_previous, None)]
        elif self.start is not None:
            parts = [placed_on_paths(end_of_clip(Path(self.start), model), paths, path)]
        else:
            parts = [self._first_windows(model, paths, path, generators).part(0, length)]
        num_frames = torch.full_like(path, parts[0].root_pos.shape[1])
        last_nodes = paths.last_nodes[path]
        finished = self.have_arrived(model.character, parts[0].part(-1, None), last_nodes)
        while len(going := (~finished & (num_frames < limit)).nonzero()[:, 0]):
            previous = parts[-1].part(-model.num_previous, None).each(lambda values, going=going: values[going])
            windows = self._next_windows(
                model, paths, path[going], previous, [generators[number] for number in going.tolist()]
            )
            new = windows.part(model.num_previous, length)
            # Motions that are over stay as they end, which nobody looks at.
            parts.append(_with_rows(parts[-1].part(-1, None), going, new))
            num_frames[going] += self.new_frames
            finished[going] = self.have_arrived(model.character, new.part(-1, None), last_nodes[going])
        frames = joined(parts, dim=1)
        # A window begins before the limit; one in which a motion finishes may end a little later.
        return Candidates(frames, torch.where(finished, num_frames, num_frames.clamp(max=limit)), finished, path)

    def _first_windows(
        self, model: TrainedModel, paths: Paths, path: Int[Tensor, " batch"], generators: Sequence[torch.Generator]
    ) -> Frames:
        """Return windows that begin without a pose: the previous states are given, and as noisy as all other frames."""
        root_pos, root_rot = self.blank_start.poses(paths, path, generators)
        around = surroundings_at(model, paths, path, root_pos, root_rot, torch.ones_like(path))
        nothing = root_pos.new_zeros(len(path), model.num_previous, model.mdm.features.num_features)
        return self._windows(model, around, nothing, False, None, generators)

    def _next_windows(
        self,
        model: TrainedModel,
        paths: Paths,
        path: Int[Tensor, " batch"],
        previous: Frames,
        generators: Sequence[torch.Generator],
    ) -> Frames:
        """Return windows whose first frames go on from previous ones (in the frames of the terrains)."""
        root_pos, root_rot = previous.root_pos[:, -1], previous.root_rot[:, -1]
        node = self.target_node(paths, path, root_pos)
        around = surroundings_at(model, paths, path, root_pos, root_rot, node)
        states = model.mdm.previous_states(frames_to_canonical(previous, around.origin, around.turn))
        return self._windows(model, around, states, True, self.guidance_scale, generators)

    def _windows(
        self,
        model: TrainedModel,
        around: Surroundings,
        previous_states: Float[Tensor, "batch previous features"],
        previous_clean: bool,
        guidance_scale: float | None,
        generators: Sequence[torch.Generator],
    ) -> Frames:
        given = torch.ones(len(previous_states), dtype=torch.bool, device=previous_states.device)
        clean = given if previous_clean else ~given
        conditions = Conditions(around.heightmap, around.target, previous_states, given, given, given, clean)
        timesteps = spread_timesteps(model.mdm.diffusion.timesteps, self.denoising_steps)
        kept = model.num_previous + self.new_frames
        motion = model.mdm.generate(conditions, generators, timesteps, guidance_scale, self.ground_guidance, kept)
        frames = Frames(motion.root_pos, motion.root_rot, motion.joint_rot, motion.contacts.clamp(0, 1))
        return frames_to_world(frames, around.origin, around.turn)

    def target_node(
        self, paths: Paths, path: Int[Tensor, " batch"], root_pos: Float[Tensor, "batch 3"]
    ) -> Int[Tensor, " batch"]:
        """Return the node of its path that each is to go to from a root position (in the frame of its terrain, metres)."""
        nodes, last = paths.nodes[path], paths.num_nodes[path] - 1
        return node_ahead(paths.terrains, path, nodes, last, root_pos[:, :2], self.nodes_ahead, self.corner_height)

    def have_arrived(
        self, character: Character, last: Frames, last_nodes: Float[Tensor, "batch 3"]
    ) -> Bool[Tensor, " batch"]:
        """Say which motions have finished: the middle of their feet is within `finish_distance` of their last node, in space.

        Args:
            character: whose motions they are.
            last: one frame of each, its last one.
            last_nodes: where each one's path ends, metres.
        """
        bodies, _ = character.forward_kinematics(last.root_pos, last.root_rot, last.joint_rot)
        feet = [character.body_index(name) for name in self.feet]
        middle = bodies[:, 0, feet].mean(1)
        return torch.linalg.norm(middle - last_nodes, dim=-1) <= self.finish_distance


def _with_rows(last: Frames, rows: Int[Tensor, " some"], new: Frames) -> Frames:
    """Return as many frames as `new` has for a whole batch: those of `new` in some rows, and each other row's last frame."""
    parts = []
    for field in fields(Frames):
        values = getattr(new, field.name)
        whole = getattr(last, field.name).repeat_interleave(values.shape[1], dim=1)
        parts.append(whole.index_copy(0, rows, values))
    return Frames(*parts)
