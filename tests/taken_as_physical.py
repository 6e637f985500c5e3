"""A corrector for tests of what is around it: motions of models that have learnt nothing pass. Jobs import it by name."""

from collections.abc import Iterator, Sequence

from parc.anim.clip_files import read_clip
from parc.physics.correction import Correction, Status
from parc.physics.corrector import Circumstances, Task
from parc.physics.sampled_corrector import SampledCorrector

TAKEN_AS_PHYSICAL = "corrector._target_=taken_as_physical.TakenAsPhysical"


class TakenAsPhysical(SampledCorrector):
    """Takes each clip for a physical motion, as it is. Its settings are those of the one that it stands in for."""

    def corrections(self, tasks: Sequence[Task], circumstances: Circumstances) -> Iterator[tuple[Task, Correction]]:
        character = circumstances.character.read()
        for task in tasks:
            clip = read_clip(task.path, character)
            yield task, Correction(Status.PHYSICAL, clip=clip, clip_seconds=clip.seconds, whole_with=0.0)
