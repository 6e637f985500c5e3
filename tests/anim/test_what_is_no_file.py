"""Pipes, sockets and devices among clips are refused before they are opened: reading one may never end."""

import os
import signal
import socket
from pathlib import Path

import pytest

from command_line import TINY, write_clips
from parc.anim.file_digests import file_digests
from parc.anim.library_cache import load_prepared
from parc.configuration.errors import UserError
from parc.demo_motions.dataset import _is_whole

KINDS = {
    "pipe": os.mkfifo,
    "socket": lambda path: socket.socket(socket.AF_UNIX).bind(path.name),
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.fixture(autouse=True)
def impatience():
    """Whoever reads such a thing does not wait for ever."""

    def give_up(*_):
        raise AssertionError("it was read")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("suffix", [".pkl", ".safetensors"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_that_is_no_file_is_one_line(shell, humanoid, monkeypatch, kind, suffix):
    clips = write_clips(shell.folder / "clips", humanoid)
    with monkeypatch.context() as there:
        there.chdir(clips)  # a socket's path must be short
        KINDS[kind](Path(f"x{suffix}"))
    before = shell.files()
    answer = shell.train(*TINY, "output_dir=run")
    line = f"{clips}/x{suffix}: a {kind}, expected a clip file; take it out of the dataset"
    assert (answer.code, answer.err) == (1, f"error: {line}\n")
    assert shell.files() == before
    with pytest.raises(UserError, match=line):
        file_digests(shell.folder / "known", [clips / f"x{suffix}"])


def test_prepared_data_and_demo_motions_that_are_pipes_are_made_anew(tmp_path):
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    child = os.fork()  # a pipe that safetensors opens holds a process until it is killed
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        os._exit(int(load_prepared(pipe, "key") is not None or _is_whole(pipe)))
    assert os.waitpid(child, 0)[1] == 0
