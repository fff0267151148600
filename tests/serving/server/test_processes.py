"""Several server processes on one port: killed, reloaded, drained."""

import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from serving import Client
from serving.client.model_config import ModelConfig
from serving.errors import RequestError

SERVING = pathlib.Path(sys.executable).parent / "serving"


class Running:
    def __init__(self, process: subprocess.Popen[str], ready: dict, root: pathlib.Path):
        self.process = process
        self.address = f"127.0.0.1:{ready['port']}"
        self.root = root

    def workers(self) -> list[psutil.Process]:
        return [child for child in psutil.Process(self.process.pid).children() if _is_worker(child)]

    def all_listen(self) -> bool:
        """Whether two workers accept connections."""
        listening = [one for one in self.workers() if any(c.status == "LISTEN" for c in one.net_connections("tcp"))]
        return len(listening) == 2

    def answering(self) -> set[str]:
        """What fresh connections are told: each goes to a process of the kernel's choice."""
        told = set()
        for _ in range(24):
            with Client(self.address) as client:
                try:
                    told.add(str(client.predict("m", x=[1.0])["y"].tolist()))
                except RequestError as error:
                    told.add(error.code.name)
        return told


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in str(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def running(tmp_path_factory, publish) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("processes")
    for name, source in (("m", "double"), ("other", "triple")):
        (root / name).mkdir()
        publish(source, root / name / "1")
    command = [str(SERVING), "serve", str(root), "--port", "0", "--processes", "2", "--json", "--poll-seconds", "0.2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    starting = psutil.Process(process.pid)
    wait_for(lambda: sum(_is_worker(child) for child in starting.children()) == 2)
    process.send_signal(signal.SIGHUP)  # a log is rotated while they start: it ends none of them
    yield Running(process, json.loads(process.stdout.readline()), root)
    process.kill()
    process.wait()
    process.stdout.close()


def test_both_answer(running):
    assert len(running.workers()) == 2
    assert running.answering() == {"[2.0]"}


def test_a_killed_worker_is_started_again_and_the_other_serves_meanwhile(running):
    stop, failures, answered = threading.Event(), [], []

    def load() -> None:
        while not stop.is_set():
            with Client(running.address) as client:  # a new connection each, as many callers make them
                try:
                    client.predict("m", x=[1.0], timeout_s=30)
                    answered.append(time.monotonic())
                except RequestError as error:
                    failures.append(error)

    callers = [threading.Thread(target=load) for _ in range(3)]
    for caller in callers:
        caller.start()
    victim, survivor = running.workers()
    killed_at = time.monotonic()
    os.kill(victim.pid, signal.SIGKILL)
    wait_for(lambda: len(running.workers()) == 2 and victim.pid not in {one.pid for one in running.workers()})
    wait_for(running.all_listen)
    wait_for(lambda: running.answering() == {"[2.0]"} and len(answered) > 50)
    stop.set()
    for caller in callers:
        caller.join(40)
    assert survivor.is_running()
    assert any(moment > killed_at for moment in answered)
    assert not failures  # the client asked again where its connection was cut


def test_a_reload_reaches_every_process_and_those_started_later(running):
    only = [ModelConfig(name="m", base_path=str(running.root / "other"))]
    with Client(running.address) as client:
        client.reload(only)
    assert running.answering() == {"[3.0]"}  # the answer comes when all have it
    victim = running.workers()[0]
    os.kill(victim.pid, signal.SIGKILL)
    wait_for(lambda: len(running.workers()) == 2 and victim.pid not in {one.pid for one in running.workers()})
    wait_for(running.all_listen)
    assert running.answering() == {"[3.0]"}


def test_reloads_at_once_leave_all_processes_with_the_same(running):
    def reload(source: str) -> None:
        with Client(running.address) as client:  # a connection of its own: either process may take it
            client.reload([ModelConfig(name="m", base_path=str(running.root / source))])

    for _ in range(5):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(reload, ["m", "other"] * 4))
        assert len(running.answering()) == 1


def test_a_reload_that_fails_in_every_process_says_why(running):
    with Client(running.address) as client:
        with pytest.raises(RequestError, match=r"did not become available.*nowhere"):
            client.reload([ModelConfig(name="nowhere", base_path=str(running.root / "nowhere"))])
        client.reload([ModelConfig(name="m", base_path=str(running.root / "m"))])
    assert running.answering() == {"[2.0]"}


def test_a_signal_drains_all(running):
    workers = running.workers()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0
    assert not any(worker.is_running() for worker in workers)
