"""Correction by looking for controls in MuJoCo: no training, no GPU."""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from parc.anim.character import Character
from parc.anim.clip_files import read_clip
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import MotionClip
from parc.configuration.errors import UserError
from parc.physics.correction import Correction, Status, recording_of, simulated_clip
from parc.physics.corrector import (
    Circumstances,
    Task,
    refuse_clips,
    refuse_least_part,
    refuse_other_bodies,
    refuse_to_stand_on,
)
from parc.physics.following import Attempt, Followed, Pass
from parc.physics.hopeless import why_hopeless
from parc.physics.measures import measures_of_simulated, why_no_success
from parc.physics.planning import ControlWeights, Planner, Sampling
from parc.physics.reference import reference_of
from parc.physics.simulation import Simulation, driven_hinges, simulation_of
from parc.physics.tracking import TrackingWeights
from parc.stages.randomness import seed_of
from parc.stages.worker_processes import results_of

log = logging.getLogger(__name__)

FALLING_SECONDS = 0.6  # before a failure, of which the cause lies so far back, and after it: no part of a success


class SampledCorrector:
    """Follows each clip in a simulation, with controls found by sampling over a receding horizon (see `planning`).

    Attempts are made in turn until one follows the whole clip without assistance, or one fails with the assistance that it
    begins with. Where none follows it all without any, the part of the clip that was is what is physical, if it is long enough:
    from the beginning, or, where that is too short, from soon after the failure, or the last frame that leaves enough, on.

    Args:
        tracked: bodies whose places are followed, beside the root and the centre of mass.
        standing: bodies that stand on the ground.
        weights: of what is followed.
        control_weights: of what is done.
        sampling: how controls are varied.
        attempts: in turn, by names of any kind.
        most_steps: physics steps a second of motion after which no further pass is begun.
        least_part: share of a clip that is enough of it; 1 for whole clips only.

    Raises:
        UserError: a number is out of range.
    """

    def __init__(
        self,
        tracked: list[str],
        standing: list[str],
        weights: TrackingWeights,
        control_weights: ControlWeights,
        sampling: Sampling,
        attempts: dict[str, Attempt],
        most_steps: int,
        least_part: float,
    ) -> None:
        self.tracked, self.standing = tuple(tracked), tuple(standing)
        self.weights, self.control_weights, self.sampling = weights, control_weights, sampling
        self.attempts = attempts
        self.most_steps, self.least_part = most_steps, least_part
        if not attempts:
            raise UserError("corrector.attempts is empty, expected at least one")
        if most_steps < 1:
            raise UserError(f"corrector.most_steps is {most_steps}, expected at least 1")
        refuse_least_part(least_part)

    def check_with_character(self, character: CharacterFile) -> None:
        """Check that the character has the bodies that the settings name, and can be simulated.

        Raises:
            UserError: it has not, or cannot; names the key.
        """
        refuse_other_bodies("corrector.tracked", self.tracked, character.read())
        refuse_to_stand_on(self.standing, character.read())
        hinges = driven_hinges(character)
        for word in self.sampling.less_noise:
            if not any(word in hinge for hinge in hinges):
                raise UserError(
                    f"corrector.sampling.less_noise.{word}: no hinge of the character has this word in its name; they are "
                    f"{', '.join(hinges)}"
                )

    def corrections(self, tasks: Sequence[Task], circumstances: Circumstances) -> Iterator[tuple[Task, Correction]]:
        """Yield what became of each clip, as it is done, several at a time."""
        processes = max(1, min(circumstances.threads, len(tasks)))
        each = replace(circumstances, threads=max(1, circumstances.threads // processes))
        refused: list[UserError] = []
        for task, result in results_of(partial(self._corrected_or_refused, circumstances=each), tasks, processes):
            if isinstance(result, UserError):
                log.warning("%s", result)
                refused.append(result)
            else:
                yield task, result
        refuse_clips(refused, len(tasks))

    def _corrected_or_refused(self, task: Task, circumstances: Circumstances) -> Correction | UserError:
        try:
            return self.corrected(task, circumstances)
        except UserError as error:
            return UserError(str(error))  # of other kinds, processes cannot hand each other all

    def corrected(self, task: Task, circumstances: Circumstances) -> Correction:
        """Correct one clip.

        Raises:
            UserError: its file is broken, or its character or ground is not one that can be simulated; names the clip.
        """
        character = circumstances.character.read()
        clip = read_clip(task.path, character)
        started = time.process_time()
        try:
            correction = _Following(self, clip, character, circumstances).correction()
        except UserError as error:
            raise UserError(f"{task.path}: {error}") from error
        return replace(correction, clip_seconds=clip.seconds, cpu_seconds=time.process_time() - started)


@dataclass
class _Following:
    """Following one clip: what was tried, and how far it went."""

    settings: SampledCorrector
    clip: MotionClip
    character: Character
    circumstances: Circumstances
    steps_simulated: int = 0
    best: "_Try | None" = None  # of those that followed the whole clip, the one with the least assistance
    farthest: "_Try | None" = None  # without assistance

    def correction(self) -> Correction:
        """Return what becomes of the clip."""
        if why := why_hopeless(self.clip, self.character):
            return Correction(Status.FAILED, why)
        self._follow(0)
        whole_with = None if self.best is None else self.best.followed.assistance
        if whole_with != 0 and self.settings.least_part < 1:
            self._follow_the_rest()
        correction = self._result()
        return replace(correction, whole_with=whole_with, steps_simulated=self.steps_simulated)

    @property
    def _may_go_on(self) -> bool:
        return self.steps_simulated < self.settings.most_steps * self.clip.seconds

    def _follow(self, first_frame: int) -> None:
        """Make attempts at the clip from a frame on, until one needs no assistance."""
        part = self.clip.part(first_frame, self.clip.num_frames)
        settings = self.settings
        simulation = simulation_of(part, self.circumstances.character, settings.tracked, settings.standing)
        reference = reference_of(simulation, part)
        planner = Planner(
            simulation,
            reference,
            settings.weights,
            settings.control_weights,
            settings.sampling,
            self.circumstances.threads,
        )
        for name, attempt in settings.attempts.items():
            controls, failed_with = planner.no_controls(), math.nan
            for number, assistance in enumerate(attempt.assistance):
                if not self._may_go_on or assistance < failed_with:
                    break
                stream = f"correction of {self.clip.name} from {first_frame}, attempt {name}"
                random = np.random.default_rng(seed_of(self.circumstances.seed, stream, number))
                before = planner.steps_simulated
                followed = Pass(planner, attempt, assistance, random).follow(controls)
                self.steps_simulated += planner.steps_simulated - before
                self._note(_Try(first_frame, simulation, followed))
                if followed.is_whole:
                    controls, failed_with = followed.controls, math.nan
                    if assistance == 0:
                        return
                elif number == 0 and assistance > 0:
                    return  # what cannot be done with help cannot be done without
                else:
                    failed_with = assistance

    def _note(self, tried: "_Try") -> None:
        followed = tried.followed
        if tried.is_of_whole_clip and (self.best is None or followed.assistance < self.best.followed.assistance):
            self.best = tried
        if followed.assistance == 0 and (self.farthest is None or tried.num_frames > self.farthest.num_frames):
            self.farthest = tried

    def _follow_the_rest(self) -> None:
        """Go on when what failed is over, as long as enough of the clip is left, where what came before it is too little."""
        enough = self.settings.least_part * self.clip.num_frames
        followed, failed = (0, 0) if self.farthest is None else (self.farthest.num_frames, self.farthest.last_frame)
        latest = int((1 - self.settings.least_part) * self.clip.num_frames)
        first = max(1, min(failed + round(FALLING_SECONDS * self.clip.fps), latest))
        if followed < enough and self.clip.num_frames - first >= 2:
            self._follow(first)

    def _result(self) -> Correction:
        enough = self.settings.least_part * self.clip.num_frames
        part, best = self.farthest, self.best
        failure = "" if part is None or part.is_of_whole_clip else part.failure(self.clip.fps)
        if part is not None and part.num_frames >= max(2, enough):
            return self._success(Status.PHYSICAL, part, part.num_frames, failure)
        if best is not None:
            return self._success(Status.ASSISTED, best, best.num_frames, failure)
        if part is None:
            return Correction(Status.FAILED, "not followed even with the assistance that was allowed first")
        shown = part.last_frame - part.first_frame + 1  # for whoever wants to see it fall
        return self._success(Status.FAILED, part, shown, failure) if shown > 2 else Correction(Status.FAILED, failure)

    def _success(self, status: Status, tried: "_Try", num_frames: int, reason: str) -> Correction:
        recording = recording_of(tried.simulation, tried.followed, num_frames)
        source = self.clip.part(tried.first_frame, tried.first_frame + num_frames)
        simulated = simulated_clip(tried.simulation, recording, source)
        measures = measures_of_simulated(simulated, source, self.character, self.settings.standing)
        if status is not Status.FAILED and (why := why_no_success(measures)):
            status, reason = Status.FAILED, why
        assistance = tried.followed.assistance
        return Correction(status, reason, simulated, recording, tried.first_frame, assistance, measures=measures)


@dataclass(frozen=True)
class _Try:
    """A pass over the clip from a frame on."""

    first_frame: int
    simulation: Simulation
    followed: Followed

    @property
    def num_frames(self) -> int:
        """How many frames were followed, without those in which it was falling."""
        steps = self.followed.num_steps
        if not self.followed.is_whole:
            steps -= round(FALLING_SECONDS / self.simulation.model.opt.timestep)
        return max(0, steps) // self.simulation.steps_per_frame + 1

    @property
    def last_frame(self) -> int:
        """The last frame of the clip that was simulated: of a failure, where it failed."""
        return self.first_frame + self.followed.num_steps // self.simulation.steps_per_frame

    @property
    def is_of_whole_clip(self) -> bool:
        """Whether the whole clip was followed."""
        return self.followed.is_whole and self.first_frame == 0

    def failure(self, fps: float) -> str:
        """Say where it failed, in frames of the clip."""
        if self.followed.is_whole:
            return f"followed from frame {self.first_frame} ({self.first_frame / fps:.1f} s) on"
        return f"frame {self.last_frame} ({self.last_frame / fps:.1f} s): {self.followed.why} without assistance"
