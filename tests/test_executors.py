"""Jobs on other executors: threads, processes, and a Dask cluster of which a worker is killed in the middle."""

import json
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context

import numpy as np
import pytest
from members import GRBM_3X2, RBM_2X4

import ebm_ref as er
from ebm_ref.parallel import run_pieces

# 64 pieces over two workers; the third that is done kills a worker while most are still to do.
KILL_A_WORKER = """
import json, os, signal, threading
from concurrent.futures import Executor

import ebm_ref as er
from dask.distributed import Client, LocalCluster


class Killing(Executor):
    def __init__(self, inner, victim):
        self.inner, self.victim, self.jobs, self.done, self.lock = inner, victim, [], 0, threading.Lock()
        self.unfinished = 0

    def submit(self, function, *arguments):
        job = self.inner.submit(function, *arguments)
        self.jobs.append(job)
        job.add_done_callback(self.count)
        return job

    def count(self, job):
        with self.lock:
            self.done += 1
            if self.done == 3:
                self.unfinished = 64 - self.done
                os.kill(self.victim, signal.SIGKILL)


def main():
    model = er.RBM.random(120, 22, 0.3, seed=5)
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        with Client(cluster) as client:
            before = sorted(client.run(os.getpid).values())
            executor = Killing(client.get_executor(), before[0])
            value = er.exact.log_partition(model, executor=executor)
            client.wait_for_workers(2, timeout=60)
            after = sorted(client.run(os.getpid).values())
    here = er.exact.log_partition(model)
    print(json.dumps({"same": value == here, "unfinished": executor.unfinished, "before": before, "after": after}))


if __name__ == "__main__":
    main()
"""


@pytest.mark.skipif(find_spec("distributed") is None, reason="needs the extra dask")
def test_a_killed_dask_worker_changes_no_bit(tmp_path):
    script = tmp_path / "kill_a_worker.py"
    script.write_text(KILL_A_WORKER)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["same"]
    assert found["unfinished"] > 20
    assert found["before"][0] not in found["after"]  # it was killed, and a nanny started another


@pytest.mark.parametrize("model", [RBM_2X4, GRBM_3X2])
def test_annealing_on_threads_has_the_same_bits(model):
    alone = er.ais_log_partition(model, None, 20, 70, seed=3)
    with ThreadPoolExecutor(3) as executor:
        shared = er.ais_log_partition(model, None, 20, 70, seed=3, executor=executor)
    np.testing.assert_array_equal(shared.log_weights, alone.log_weights)
    assert shared.value == alone.value


def test_annealing_on_processes_has_the_same_bits():
    alone = er.ais_log_partition(RBM_2X4, None, 20, 9, seed=3, reverse=True)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        shared = er.ais_log_partition(RBM_2X4, None, 20, 9, seed=3, reverse=True, executor=executor)
    np.testing.assert_array_equal(shared.log_weights, alone.log_weights)


class Reversed(Executor):
    """Runs nothing until all is submitted, then the last first: results must not depend on the order."""

    def __init__(self, n):
        self.n, self.waiting = n, []

    def submit(self, function, *arguments):
        job = Future()
        self.waiting.append((job, function, arguments))
        if len(self.waiting) == self.n:
            threading.Thread(target=self.run).start()
        return job

    def run(self):
        for job, function, arguments in reversed(self.waiting):
            job.set_result(function(*arguments))


def test_pieces_are_put_together_in_their_order():
    pieces = run_pieces(lambda first, count: (first, count), 10, 4, "counting", Reversed(4), False)
    assert pieces == [(0, 2), (2, 3), (5, 2), (7, 3)]


def test_a_piece_that_fails_raises_and_gives_up_the_others():
    started, given_up = [], threading.Event()

    def piece(first, count):
        started.append(first)
        if first > 0:
            given_up.wait(60)
        raise RuntimeError(f"piece {first}")

    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(RuntimeError, match="piece 0"):
            run_pieces(piece, 1000, 1000, "failing", executor, False)
        given_up.set()
    assert len(started) <= 2
