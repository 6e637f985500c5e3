"""Put faults into a copy of the code, one at a time, and say which no test sees: `python tests/mutants.py [WORD ...]`.

`mutants.yaml` lists the faults and the test that each has to be seen by; with words, only those whose name holds one are tried.
The shared folder is hidden: every clone sees them. A test runs in a process forked off this one, with the libraries imported.
"""

import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
LIBRARIES = [
    "torch",
    "hydra",
    "hypothesis",
    "mujoco",
    "pydantic",
    "roma",
    "safetensors.torch",
    "scipy.interpolate",
    "wandb",
]


def outcome(code: Path, tests: list[str]) -> tuple[int, str]:
    """Run tests on a copy of the code; return pytest's exit code (1: a test failed) and what it said."""
    log = code / "log"
    child = os.fork()
    if child == 0:
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.path[:0] = [str(code / "src"), str(REPOSITORY / "launch")]
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
        os._exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests]))
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status), log.read_text()


def try_faults(words: list[str]) -> int:
    """Return how many faults no test sees."""
    mutants: dict[str, list[dict[str, str]]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    unseen = 0
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder)
        for name in ("src", "conf"):
            shutil.copytree(REPOSITORY / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
        exit_code, said = outcome(code, list(mutants))
        if exit_code or "skipped" in said:
            sys.exit(f"{said}\nthese tests have to pass on the code as it is")
        sys.dont_write_bytecode = True  # of faults
        for test, faults in mutants.items():
            for fault in faults:
                if words and not any(word in fault["fault"] for word in words):
                    continue
                path = code / fault["file"]
                text = path.read_text()
                if text.count(fault["right"]) != 1:
                    sys.exit(
                        f"{fault['fault']}: {fault['file']} holds {fault['right']!r} {text.count(fault['right'])} times, not once"
                    )
                path.write_text(text.replace(fault["right"], fault["wrong"]))
                exit_code, said = outcome(code, [test])
                shutil.copy2(REPOSITORY / fault["file"], path)
                print(f"{'seen' if exit_code == 1 else 'NOT SEEN'}: {fault['fault']}", flush=True)
                if exit_code != 1:
                    print(said)
                    unseen += 1
    return unseen


if __name__ == "__main__":
    os.environ |= {"PARC_SHARED": "/nonexistent", "OMP_NUM_THREADS": "1"}
    sys.dont_write_bytecode = False
    os.chdir(REPOSITORY)
    for library in LIBRARIES:
        importlib.import_module(library)
    sys.exit(f"{unseen} faults are not seen" if (unseen := try_faults(sys.argv[1:])) else 0)
