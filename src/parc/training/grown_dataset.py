"""The dataset of a later iteration: what the previous run trained on, plus the clips made since."""

import logging
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from parc.anim.dataset import ClipDataset, ClipEntry, ClipLimits, Dataset
from parc.configuration.errors import UserError
from parc.configuration.schema import FilePath, FoundAtStart
from parc.stages.iteration import CORRECTED_FOLDER, GENERATED_FOLDER, command_that_corrects, command_that_makes
from parc.stages.previous_run import piece_of_run
from parc.training.settings import CONFIG_FILE

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundClips:
    """What a later iteration trains on, found out when its run first started: the settings of a `ClipDataset`."""

    motion_lib_file: list[FilePath]
    min_num_frames: int
    max_terrain_dim_x: int
    max_terrain_dim_y: int
    halved_classes: list[str]


_NOTHING = FoundClips([], 2, 1, 1, [])


class GrownDataset:
    """What a previous run trained on, as its config records it, plus new clips.

    Args:
        previous_run: folder of the previous run.
        new_motions: clips made since: one source that may be missing, or a list of sources; None for none.
        clips: what that came to when the run first started; None before.
    """

    def __init__(
        self,
        previous_run: FilePath,
        new_motions: FilePath | list[FilePath] | None,
        clips: FoundAtStart[FoundClips | None] = None,
    ) -> None:
        self.previous_run = Path(previous_run)
        self.new_motions = new_motions
        self.is_found = clips is not None
        found = clips or _NOTHING
        self._dataset = partial(ClipDataset, **vars(found))
        self.sources, self.halved_classes = found.motion_lib_file, found.halved_classes
        self.limits = ClipLimits(found.min_num_frames, found.max_terrain_dim_x, found.max_terrain_dim_y)

    def find_at_start(self) -> dict[str, Any]:
        """Find out what there is to train on; nothing where that is known.

        Raises:
            UserError: the previous run or a source is missing.
        """
        return {} if self.is_found else {"clips": asdict(self._find())}

    def _find(self) -> FoundClips:
        config = self.previous_run / CONFIG_FILE
        if not config.is_file():
            raise UserError(
                f"iteration.previous_run {self.previous_run}: there is no {config.name}; "
                f"{command_that_makes(self.previous_run)}"
            )
        before: Dataset = piece_of_run(config, "dataset", Dataset)
        return FoundClips(
            [*before.sources, *self._new_sources()], **vars(before.limits), halved_classes=before.halved_classes
        )

    def _new_sources(self) -> list[str]:
        if isinstance(self.new_motions, list):
            for source in self.new_motions:
                if not Path(source).exists():
                    raise UserError(
                        f"iteration.new_motions {source}: there is no such file or folder; expected clips, or leave it out"
                    )
            return self.new_motions
        if self.new_motions is None:
            return []
        if not Path(self.new_motions).exists():
            log.warning(
                "iteration.new_motions %s: there are no new clips, the run trains on those of the previous one "
                "(iteration.new_motions=null says so)%s",
                self.new_motions,
                _what_is_not_corrected(Path(self.new_motions)),
            )
            return []
        return [self.new_motions]

    def entries(self) -> list[ClipEntry]:
        """List the clips that were found, without reading them."""
        return self._dataset().entries()


def _what_is_not_corrected(missing: Path) -> str:
    """Say how to take generated motions that lie where physical ones are missing; nothing where there are none."""
    generated = missing.with_name(GENERATED_FOLDER)
    if missing.name != CORRECTED_FOLDER or not generated.is_dir():
        return ""
    return (
        f"; motions were generated, in {generated}, and are not corrected yet: `{command_that_corrects(missing)}` does that, and "
        f"iteration.new_motions={generated} takes them as they are"
    )
