"""Which clips are held out of training, to measure on: a share that is the same in every run and never leaks."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from parc.anim.clip_names import CORRECTED_ENDINGS
from parc.anim.mirror import MIRRORED

FEWEST_CLIPS = 20  # below them none is held out
HELDOUT_SHARE = 0.05
# What names of clips that come from one motion end with: our mirror images and corrected clips, and PARC's mirror images and
# optimised clips.
_VARIANT = re.compile(rf"({'|'.join((MIRRORED, *CORRECTED_ENDINGS))}|_flipped|_opt)+$")


@dataclass(frozen=True)
class HeldoutSplit:
    """What earlier training says about which clips may be held out.

    Attributes:
        heldout: names of the clips that a run held out when it first started; None for a run that starts now.
        trained: names of all clips that it or an earlier iteration trained on.
    """

    heldout: frozenset[str] | None = None
    trained: frozenset[str] = frozenset()

    def of(self, names: Sequence[str]) -> list[bool]:
        """Say for each clip whether it is held out.

        A run that starts holds out 5 % of all motions, by a hash of their names, so that every run holds out the same; none
        that an earlier iteration trained on, and none at all where there are fewer than 20 clips. Clips of one motion, its
        mirror images for instance, are held out together: trained on, one would give away the other.
        """
        if self.heldout is not None:
            return [name in self.heldout for name in names]
        trained = {motion_of(name) for name in self.trained}
        motions = [motion_of(name) for name in names]
        return _none_of_few([_is_in_share(motion) and motion not in trained for motion in motions])

    def after_training_on(self, names: Sequence[str], heldout: Sequence[bool]) -> "HeldoutSplit":
        """Return what a run on these clips passes on."""
        out = frozenset(name for name, is_out in zip(names, heldout, strict=True) if is_out)
        return HeldoutSplit(out, self.trained | (frozenset(names) - out))


def split_of_older_run(names: Sequence[str]) -> HeldoutSplit:
    """Return the split of a run of a version that kept none: it went by the names of clips, and knew our mirror images only."""
    out = [_is_in_share(name.removesuffix(MIRRORED)) for name in names]
    return HeldoutSplit().after_training_on(names, _none_of_few(out))


def motion_of(name: str) -> str:
    """Return the name of the motion that a clip comes from: its own, without what marks clips that were made of others."""
    return _VARIANT.sub("", name)


def place_of(name: str) -> float:
    """Return where a name falls in 0..1, by a hash: the same in every run."""
    return zlib.crc32(name.encode(errors="surrogateescape")) / 2**32


def _is_in_share(motion: str) -> bool:
    return place_of(motion) < HELDOUT_SHARE


def _none_of_few(heldout: list[bool]) -> list[bool]:
    """Return what is held out, or nothing where there are too few clips, or nothing else to train on."""
    return [False] * len(heldout) if len(heldout) < FEWEST_CLIPS or all(heldout) else heldout
