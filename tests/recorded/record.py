"""Record what the code computes, so that tests can see when it computes something else: `python tests/recorded/record.py`.

It makes three demo clips (`clips/`) where they are missing, works out about half a megabyte of arrays from them and from a small
seeded model, section after section (see `sections.py`), and writes them to `recorded.safetensors`. `test_recorded.py` compares
the code with them, on any machine and without the shared folder.

Record anew only where the code is meant to compute something else: what is printed says which arrays changed, and by how much.
The commit that brings the new file says why each of them did. To make the clips anew as well, delete `clips/` first.
"""

from pathlib import Path

import safetensors.torch
from sections import CLIPS, SECTIONS, Arrays, character, computed

from parc.anim.clip_files import write_clip
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import surface_points
from parc.configuration.files import write_whole
from parc.demo_motions.generator import make_clip

RECORDING = Path(__file__).with_name("recorded.safetensors")
CLIP_NUMBERS = (3, 6, 17)  # turning, jumping over gaps, climbing on blocks


def made_clips() -> list[MotionClip]:
    return [make_clip(0, number, character(), surface_points(character())) for number in CLIP_NUMBERS]


def changes(before: Arrays, now: Arrays) -> list[str]:
    """Return a line for every array that is new, gone or changed."""
    lines = [f"{name}: new" for name in now.keys() - before.keys()]
    lines += [f"{name}: gone" for name in before.keys() - now.keys()]
    for name in now.keys() & before.keys():
        if now[name].shape != before[name].shape:
            lines.append(f"{name}: {list(before[name].shape)} is now {list(now[name].shape)}")
        elif (difference := (now[name].double() - before[name].double()).abs().max()) > 0:
            lines.append(
                f"{name}: changed by up to {difference:.2g} (numbers up to {before[name].double().abs().max():.2g})"
            )
    return sorted(lines)


if __name__ == "__main__":
    if not CLIPS.is_dir():
        CLIPS.mkdir()
        for clip in made_clips():
            write_clip(CLIPS / f"{clip.name}.safetensors", clip)
    old = safetensors.torch.load_file(RECORDING) if RECORDING.is_file() else {}
    new: Arrays = {}
    for section in SECTIONS:
        new |= computed(section, new)
    print("\n".join(changes(old, new)) or "nothing changed")
    write_whole(RECORDING, lambda part: safetensors.torch.save_file(new, part))
