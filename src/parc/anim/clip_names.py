"""What names of clips end with that were made of other clips, so that what is of one motion is told by its name."""

import re

from parc.anim.mirror import MIRRORED

CORRECTED_ENDINGS = ("_physical", "_assisted", "_failed")  # of what correction made of a clip
_CORRECTED = re.compile(rf"({'|'.join(CORRECTED_ENDINGS)})(?={MIRRORED}$|$)")


def is_corrected(name: str) -> bool:
    """Say whether a clip's name is that of a corrected one, or of the mirror image of one."""
    return _CORRECTED.search(name) is not None


def uncorrected_name(name: str) -> str:
    """Return the name of the clip that a corrected one was made of; of a mirror image, that of the mirror image."""
    return _CORRECTED.sub("", name)
