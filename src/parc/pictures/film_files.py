"""Writing films as files: .gif, .webp, and .mp4 where ffmpeg is there."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, features
from tqdm import tqdm

from parc.configuration.errors import UserError
from parc.configuration.files import write_whole
from parc.pictures.drawn_frames import Frame, drawn_frames
from parc.pictures.film import Film
from parc.pictures.gif import write_gif

WEBP_QUALITY = 80
WEBP_EFFORT = 2  # 0..6: more makes the file a little smaller and takes much longer
FAST = 2.0  # seconds after which a bar shows how far the writing is


def check_film_suffix(path: Path) -> None:
    """Check that a film can be written here as a file of such a name.

    Raises:
        UserError: it cannot, and why.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise UserError(f"{path}: expected a moving picture's name to end in {', '.join(_WRITERS)}")
    if suffix == ".mp4" and shutil.which("ffmpeg") is None:
        raise UserError(f"{path}: writing .mp4 needs the program ffmpeg; install it, or give a name in .gif or .webp")
    if suffix == ".webp" and not features.check("webp"):
        raise UserError(f"{path}: this pillow cannot write .webp; give a name in .gif")


def write_film(film: Film, path: Path) -> None:
    """Write a film whole (see `write_whole`), in the format that the path's suffix says; it plays again and again.

    Raises:
        UserError: the suffix is none of .gif, .webp and .mp4 or cannot be written here, or the file cannot be written.
    """
    check_film_suffix(path)
    write = _WRITERS[path.suffix.lower()]
    write_whole(path, lambda part: write(film, part))


def _frames_with_bar(film: Film) -> Iterator[Frame]:
    frames = drawn_frames(film, range(film.num_frames))
    quiet = not sys.stderr.isatty()
    yield from tqdm(
        frames, total=film.num_frames, unit="frame", disable=quiet, delay=FAST, leave=False, dynamic_ncols=True
    )


def _write_gif(film: Film, path: Path) -> None:
    write_gif(film, _frames_with_bar(film), path)


def _write_webp(film: Film, path: Path) -> None:
    frames = (Image.fromarray(frame) for frame in _frames_with_bar(film))
    next(frames).save(
        path,
        format="WEBP",
        save_all=True,
        append_images=frames,
        duration=film.delays(0.001),
        loop=0,
        quality=WEBP_QUALITY,
        method=WEBP_EFFORT,
    )


def _write_mp4(film: Film, path: Path) -> None:
    even = "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white"
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{film.width}x{film.height}",
    ]
    command += ["-r", f"{film.rate:.6f}", "-i", "-", "-vf", even, "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    command += ["-fflags", "+bitexact", "-f", "mp4", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        try:
            for frame in _frames_with_bar(film):
                process.stdin.write(frame.tobytes())
        except BrokenPipeError:
            pass  # ffmpeg has ended, and says why
        said = " ".join(process.communicate()[1].decode(errors="replace").split())[:300]
    if process.returncode:
        raise UserError(f"ffmpeg failed: {said or process.returncode}; give a name in .gif or .webp")


_WRITERS: dict[str, Callable[[Film, Path], None]] = {".gif": _write_gif, ".webp": _write_webp, ".mp4": _write_mp4}
