"""Read mutated files of a run, in bounded memory: fuzz_files.py FOLDER CLIPS SEED COUNT. Prints how many loaded and how many
were refused, by kind; anything but a one-line UserError ends it with a traceback."""

import contextlib
import io
import json
import logging
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np

from parc.anim.clip_files import read_clip
from parc.anim.file_digests import read_known_files
from parc.anim.library_cache import CACHE_FORMAT, KNOWN_FILES, load_prepared
from parc.anim.mjcf import CharacterFile
from parc.configuration.composing import config_from_file
from parc.configuration.errors import UserError
from parc.configuration.saved_config import read_saved_config
from parc.configuration.tensor_files import read_tensors
from parc.motion_generator.checkpoint import read_checkpoint, read_starting_point
from parc.motion_generator.features import read_statistics
from parc.stages.metrics import read_metrics
from parc.stages.resuming import resumed
from parc.stages.stage import read_run

MEMORY = 2 * 1024**3  # beyond what is used already


def mutated(whole: bytes, random: np.random.Generator) -> bytes:
    """Change, insert, take out or repeat a few bytes; mostly near the start, where descriptions are; or cut it off."""
    data = bytearray(whole)
    for _ in range(random.integers(1, 6)):
        near = min(len(data), int(random.choice([64, 1024, 8192, len(data)])))
        place = int(random.integers(0, max(near, 1)))
        kind = random.integers(0, 6)
        if kind == 0:
            data[place : place + 1] = bytes([random.integers(0, 256)])
        elif kind == 1 and data:
            data[place] ^= 1 << int(random.integers(0, 8))
        elif kind == 2:
            del data[place : place + int(random.integers(1, 9))]
        elif kind == 3:
            data[place:place] = data[place : place + int(random.integers(1, 64))]
        elif kind == 4:
            words = [
                b"[",
                b"{",
                b"*a",
                b"&a",
                b"999999999999",
                b"-1",
                b"null",
                b"!!x",
                b"1e999",
                b"\xff\xff\xff\x7f",
                b"${x}",
            ]
            data[place:place] = words[int(random.integers(0, len(words)))]
        elif random.integers(0, 4) == 0:
            del data[place:]
    return bytes(data)


def main() -> None:
    finished, clips, seed, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    run = finished / "run"
    character = CharacterFile("humanoid.xml").read()
    settings = read_run(read_saved_config(run / "mdm_config.yaml")).settings
    (cache,) = (finished / "prepared").glob("*.safetensors")
    key = read_tensors(cache, CACHE_FORMAT)[0]["key"]

    def read_run_config(path: Path) -> None:
        started, _ = config_from_file(path, ["seed=1"])
        read_run(started)
        resumed(settings, read_saved_config(path))

    def read_cache(path: Path) -> None:
        if load_prepared(path, key) is None:
            raise UserError("made again")  # that is how a broken one is refused

    def read_files_record(path: Path) -> None:
        if not read_known_files(path):
            raise UserError("hashed again")  # likewise

    readers = {
        "checkpoint": (run / "checkpoints" / "model_epoch_1.ckpt", read_checkpoint),
        "final": (run / "final_model.ckpt", read_starting_point),
        "cache": (cache, read_cache),
        "clip files": (cache.with_name(KNOWN_FILES), read_files_record),
        "stats": (run / "sampler_stats.txt", lambda path: read_statistics(path, 15, 142)),
        "config": (run / "mdm_config.yaml", read_run_config),
        "clip": (clips / "clip_0.safetensors", lambda path: read_clip(path, character)),
        "pickle": (finished / "clip.pkl", lambda path: read_clip(path, character)),
        "metrics": (run / "metrics.jsonl", read_metrics),
        "PARC checkpoint": (finished / "parc.ckpt", read_starting_point),
    }
    logging.disable()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    counts = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, (source, read) in readers.items():
            random = np.random.default_rng(seed)
            whole, counts[kind] = source.read_bytes(), [0, 0]
            for number in range(count):
                path = Path(folder, source.name)
                path.write_bytes(mutated(whole, random))
                try:
                    with contextlib.redirect_stdout(io.StringIO()):
                        read(path)
                    counts[kind][0] += 1
                except UserError as error:
                    assert "\n" not in str(error), (kind, number, str(error))
                    counts[kind][1] += 1
                except BaseException:
                    kept = Path(tempfile.gettempdir(), f"fuzzed-{number}-{source.name}")
                    kept.write_bytes(path.read_bytes())
                    sys.stderr.write(f"{kind} {number}: kept as {kept}\n")
                    raise
    sys.stdout.write(json.dumps(counts) + "\n")


if __name__ == "__main__":
    main()
