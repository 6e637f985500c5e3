"""The test cluster does what a lab's SLURM does, and goes when it is told to."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cloudpickle
import pytest
import submitit

# A job cannot import this file, so what it runs travels in the pickle.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(autouse=True)
def no_jobs_left_over():
    yield
    if "SLURM_CONF" in os.environ:
        subprocess.run(["scancel", "--user=root"], check=True)


def output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def job_script(folder: Path, *lines: str) -> Path:
    """A batch script that adds to FOLDER/out, also when it is requeued."""
    script = folder / "job.sh"
    header = [
        "#!/bin/bash",
        f"#SBATCH --output={folder}/out --open-mode=append",
        "echo started ${SLURM_RESTART_COUNT:-0}",
    ]
    script.write_text("\n".join([*header, *lines, ""]))
    (folder / "out").touch()
    return script


def processes_of(state_dir: Path) -> set[int]:
    """Living processes that have the folder in their command line or environment: another way to look than stop's."""
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            try:
                text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(state_dir) in text:
                found.add(int(process.name))
    return found


def test_has_two_nodes_of_eight_gpus_in_three_partitions(slurm_cluster):
    rows = sorted(output_of("sinfo", "-h", "-N", "-o", "%N %G %P").split("\n"))[1:]
    assert rows == [f"n{i} gpu:8 {partition}" for i in (1, 2) for partition in ("high", "low", "main*")]


def test_gives_a_job_its_gpus(slurm_cluster, tmp_path):
    job = slurm_cluster.submit("--gpus-per-node=3", job_script(tmp_path, "echo gpus $CUDA_VISIBLE_DEVICES"))
    slurm_cluster.wait_for(job, "COMPLETED")
    assert "gpus 0,1,2\n" in (tmp_path / "out").read_text()


def test_accounting_tells_the_state_of_every_task_of_an_array(slurm_cluster):
    job = slurm_cluster.submit("--array=0-3%2", "--output=/dev/null", "--wrap", "exit $((SLURM_ARRAY_TASK_ID == 2))")
    expected = {f"{job}_{i}": "FAILED" if i == 2 else "COMPLETED" for i in range(4)}
    slurm_cluster.wait_until(lambda: slurm_cluster.states(job) == expected, f"{expected}")


def test_refuses_what_a_lab_would_refuse(slurm_cluster):
    for wrong, answer in {
        "--account=nobody": "Invalid account",
        "--partition=nowhere": "Invalid partition",
        "--constraint=none": "Invalid feature",
        "--gpus-per-node=9": "Requested node configuration is not available",
        "--mem=900G": "Memory specification can not be satisfied",
    }.items():
        refused = subprocess.run(["sbatch", wrong, "--wrap", "true"], capture_output=True, text=True, check=False)
        assert refused.returncode != 0
        assert answer in refused.stderr


def test_a_failed_job_cancels_the_chain_behind_it(slurm_cluster):
    first = slurm_cluster.submit("--output=/dev/null", "--wrap", "sleep 1; exit 3")
    chain = [first]
    for _ in range(2):
        after = f"--dependency=afterok:{chain[-1]}"
        chain.append(slurm_cluster.submit(after, "--kill-on-invalid-dep=yes", "--output=/dev/null", "--wrap", "true"))
    for job in chain[1:]:
        slurm_cluster.wait_for(job, "CANCELLED")
    slurm_cluster.wait_for(first, "FAILED")


def test_a_requeued_job_keeps_its_child_waiting(slurm_cluster, tmp_path):
    parent = slurm_cluster.submit(job_script(tmp_path, 'if [ -z "$SLURM_RESTART_COUNT" ]; then sleep 300; fi'))
    child = slurm_cluster.submit(
        f"--dependency=afterok:{parent}", "--output=/dev/null", "--wrap", f"echo child >> {tmp_path}/out"
    )
    slurm_cluster.wait_for(parent, "RUNNING")
    subprocess.run(["scontrol", "requeue", parent], check=True)
    slurm_cluster.wait_for(child, "COMPLETED")
    ours = [line for line in (tmp_path / "out").read_text().splitlines() if line.startswith(("started", "child"))]
    assert ours == ["started 0", "started 1", "child"]


TALK = """
import os, socket
master, rank = os.environ["MASTER_ADDR"], int(os.environ["SLURM_PROCID"])
if rank == 0:
    with socket.create_server((master, 0)) as server:
        open("port.part", "w").write(str(server.getsockname()[1])); os.rename("port.part", "port")
        server.settimeout(60)
        print("heard", server.accept()[0].recv(99).decode())
else:
    import time
    while not os.path.exists("port"):
        time.sleep(0.1)
    with socket.create_connection((master, int(open("port").read())), timeout=60) as client:
        client.sendall(os.environ["SLURMD_NODENAME"].encode())
"""


def test_two_nodes_talk_by_node_name_while_the_machine_knows_no_such_name(slurm_cluster, tmp_path):
    (tmp_path / "talk.py").write_text(TALK)
    find_master = "export MASTER_ADDR=$(scontrol show hostnames $SLURM_JOB_NODELIST | head -1)"
    script = job_script(tmp_path, find_master, f"cd {tmp_path}", f"srun {sys.executable} talk.py")
    job = slurm_cluster.submit("--nodes=2", "--ntasks-per-node=1", script)
    slurm_cluster.wait_for(job, "COMPLETED")
    assert "heard n2\n" in (tmp_path / "out").read_text()
    assert not re.search(r"\bn[12]\b", Path("/etc/hosts").read_text())


def test_a_job_in_high_preempts_one_in_low_which_is_warned_and_comes_back(slurm_cluster, tmp_path):
    whole = ("--nodes=2", "--gpus-per-node=8", "--time=60")
    warned = ["bash", "-c", "trap 'echo warned; exit' USR2; while sleep 0.1; do :; done"]
    script = job_script(tmp_path, f"srun --ntasks=1 {warned[0]} -c {warned[2]!r}", "sleep 300")
    low = slurm_cluster.submit("--partition=low", "--signal=USR2@90", *whole, script)
    slurm_cluster.wait_for(low, "RUNNING")
    slurm_cluster.wait_until(
        lambda: ".0|RUNNING" in output_of("sacct", "-n", "-P", "-o", "JobID,State", "-j", low), "its step runs"
    )
    high = slurm_cluster.submit("--partition=high", *whole, "--output=/dev/null", "--wrap", "sleep 1")
    slurm_cluster.wait_for(high, "COMPLETED")
    slurm_cluster.wait_until(lambda: "started 1" in (tmp_path / "out").read_text(), "the preempted job runs again")
    assert "warned" in (tmp_path / "out").read_text().split("started 1")[0]
    history = output_of("sacct", "-D", "-X", "-n", "-P", "-o", "State", "-j", low).split()
    assert history[0] == "PREEMPTED"


def test_a_job_on_a_dead_node_starts_again_elsewhere(slurm_cluster, tmp_path):
    job = slurm_cluster.submit(job_script(tmp_path, "echo $$ > " + str(tmp_path / "pid"), "sleep 300"))
    slurm_cluster.wait_until((tmp_path / "pid").exists, "the job runs")
    node = slurm_cluster.node_of(job)
    first_process = int((tmp_path / "pid").read_text())
    slurm_cluster.kill_node(node)
    try:
        assert not Path(f"/proc/{first_process}/exe").exists()
        slurm_cluster.wait_until(lambda: "started 1" in (tmp_path / "out").read_text(), "the job runs again")
        assert slurm_cluster.node_of(job) != node
        history = output_of("sacct", "-D", "-X", "-n", "-P", "-o", "State", "-j", job).split()
        assert history == ["NODE_FAIL", "RUNNING"]
    finally:
        slurm_cluster.revive_node(node)
    slurm_cluster.wait_until(lambda: "down" not in output_of("sinfo", "-h", "-o", "%T"), "the node is back")


class CountsOnDisk(submitit.helpers.Checkpointable):
    """Counts seconds in a file up to ten, at least half of them after having been requeued."""

    def __call__(self, file: Path) -> int:
        count = int(file.read_text()) if file.exists() else 0
        limit = 10 if "SLURM_RESTART_COUNT" in os.environ else 1000
        while count < limit:
            time.sleep(0.2)
            count += 1
            whole = file.with_suffix(".part")  # a kill in the middle of a write would leave an empty file
            whole.write_text(str(min(count, 5) if limit > 10 else count))
            whole.replace(file)
        return count


def raises() -> None:
    raise ValueError("this job is meant to fail")


def test_submitit_gets_results_and_states(slurm_cluster, tmp_path):
    executor = submitit.AutoExecutor(tmp_path / "%j", cluster="slurm")
    executor.update_parameters(timeout_min=5)
    good, bad = executor.submit(len, "four"), executor.submit(raises)
    assert good.result() == 4
    assert "this job is meant to fail" in str(bad.exception())
    slurm_cluster.wait_for(good.job_id, "COMPLETED")
    slurm_cluster.wait_for(bad.job_id, "FAILED")


def test_submitit_requeues_a_job_that_comes_near_its_time_limit(slurm_cluster, tmp_path):
    executor = submitit.AutoExecutor(tmp_path / "%j", cluster="slurm", slurm_max_num_timeout=3)
    executor.update_parameters(timeout_min=1, slurm_signal_delay_s=30)
    job = executor.submit(CountsOnDisk(), tmp_path / "count")
    slurm_cluster.wait_until(job.paths.result_pickle.exists, "the requeued job ends", seconds=180)
    assert job.result() == 10
    slurm_cluster.wait_for(job.job_id, "COMPLETED")
    assert "this job is timed-out" in job.paths.stdout.read_text()


def test_two_clusters_live_side_by_side_and_stop_ends_one_with_its_jobs(
    slurm_cluster, testbed, tmp_path, tmp_path_factory
):
    second = tmp_path_factory.mktemp("second")
    started = testbed("start", second, "--nodes", 1)
    try:
        assert started.stdout == f"export SLURM_CONF={second}/slurm.conf\n", started.stderr
        environment = {**os.environ, "SLURM_CONF": f"{second}/slurm.conf"}
        script = job_script(tmp_path, f"setsid sleep 1111 & echo $! > {tmp_path}/pid", "sleep 300")
        subprocess.run(["sbatch", script], env=environment, check=True, capture_output=True)
        slurm_cluster.wait_until(
            lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the second cluster's job"
        )
        left_its_job = int((tmp_path / "pid").read_text())
        assert left_its_job in processes_of(second)
        assert "running" in testbed("start", second).stderr
    finally:
        stopped = testbed("stop", second)
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert processes_of(second) == set()
    assert testbed("stop", second).returncode == 0
    assert output_of("sinfo", "-h", "-p", "main", "-o", "%D %t") == "2 idle\n"


def test_a_cluster_whose_start_was_killed_halfway_can_be_stopped_and_started_again(
    slurm_cluster, testbed, tmp_path_factory
):
    state_dir = tmp_path_factory.mktemp("half")
    starter = subprocess.Popen([sys.executable, "launch/testbed", "start", state_dir], cwd=Path(__file__).parents[2])
    try:
        slurm_cluster.wait_until((state_dir / "run" / "munge.socket").exists, "the first daemon")
        starter.send_signal(signal.SIGKILL)
        starter.wait()
        assert processes_of(state_dir)
    finally:
        assert testbed("stop", state_dir).returncode == 0
    assert processes_of(state_dir) == set()
    try:
        assert testbed("start", state_dir, "--nodes", 1).returncode == 0
    finally:
        testbed("stop", state_dir)


def test_a_failed_start_names_the_daemon_shows_its_log_and_leaves_nothing_running(
    slurm_cluster, testbed, tmp_path, tmp_path_factory
):
    state_dir = tmp_path_factory.mktemp("failed")
    broken = tmp_path / "bin" / "slurmdbd"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'fatal: not today'\nexit 7\n")
    broken.chmod(0o755)
    environment = {**os.environ, "PATH": f"{broken.parent}:{os.environ['PATH']}"}
    failed = testbed("start", state_dir, env=environment)
    assert failed.returncode == 1
    assert "testbed: slurmdbd ended with 7" in failed.stderr
    assert "fatal: not today" in failed.stderr
    assert processes_of(state_dir) == set()


def test_missing_programs_are_named_with_their_debian_packages(slurm_cluster, testbed, tmp_path):
    failed = testbed("start", tmp_path / "state", env={"PATH": str(tmp_path)})
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    packages = failed.stderr.split("--no-install-recommends ")[1].split()
    listed = (Path(__file__).parents[2] / "launch" / "testbed" / "packages.txt").read_text().split()
    assert set(listed) <= set(packages)


def test_a_folder_with_other_things_is_refused_and_left_alone(slurm_cluster, testbed, tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "mine").touch()
    refused = testbed("start", tmp_path)
    assert refused.returncode == 1
    assert "holds other things" in refused.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["log", "mine"]
