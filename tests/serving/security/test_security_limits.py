"""Rates and numbers of running requests, by a clock that the test sets."""

import threading
import time

import grpc
import pytest

from serving.errors import UsageError
from serving.security.limits import Limiter, LimiterOptions, LimitError, host_of


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def passed(limiter: Limiter, key: str, tries: int) -> int:
    """How many of so many requests in a row are let in."""
    count = 0
    for _ in range(tries):
        try:
            limiter.start(key)
        except LimitError:
            continue
        limiter.finish(key)
        count += 1
    return count


@pytest.mark.parametrize(
    ("rate", "burst", "at_once", "later"), [(10, 0, 10, 5), (10, 3, 3, 3), (0.5, 0, 1, 0), (4, 20, 20, 2)]
)
def test_a_burst_passes_and_then_the_rate(rate, burst, at_once, later):
    clock = Clock()
    limiter = Limiter(LimiterOptions(requests_per_s=rate, burst=burst), clock=clock)
    assert passed(limiter, "a", 100) == at_once
    assert passed(limiter, "b", 100) == at_once  # another caller is not held up
    clock.now += 0.5
    assert passed(limiter, "a", 100) == later
    clock.now += 3600
    assert passed(limiter, "a", 100) == at_once


def test_the_error_says_how_long_to_wait_and_then_it_passes():
    clock = Clock()
    limiter = Limiter(LimiterOptions(requests_per_s=4, burst=1), clock=clock)
    limiter.start("a")
    clock.now += 0.1
    with pytest.raises(LimitError, match="4 requests a second. Try again in 0.15") as caught:
        limiter.start("a")
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.retry_after_s == pytest.approx(0.15, abs=0.002)
    clock.now += caught.value.retry_after_s
    limiter.start("a")


def test_refused_tries_cost_nothing():
    clock = Clock()
    limiter = Limiter(LimiterOptions(requests_per_s=1), clock=clock)
    assert passed(limiter, "a", 1000) == 1
    clock.now += 1.0
    assert passed(limiter, "a", 1000) == 1


def test_so_many_of_a_caller_run_at_a_time():
    limiter = Limiter(LimiterOptions(max_concurrent_per_caller=2))
    limiter.start("a")
    limiter.start("a")
    with pytest.raises(LimitError, match="has 2 requests running") as caught:
        limiter.start("a")
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    limiter.start("b")
    limiter.finish("a")
    limiter.start("a")


def test_so_many_of_all_run_at_a_time():
    limiter = Limiter(LimiterOptions(max_concurrent=2))
    limiter.start("a")
    limiter.start("b")
    with pytest.raises(LimitError) as caught:
        limiter.start("c")
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE  # another try, or another server, may have room
    limiter.finish("b")
    limiter.start("c")


def test_a_request_over_the_number_takes_nothing_from_the_rate():
    clock = Clock()
    limiter = Limiter(LimiterOptions(requests_per_s=1, burst=2, max_concurrent_per_caller=1), clock=clock)
    limiter.start("a")
    for _ in range(10):
        with pytest.raises(LimitError, match="running"):
            limiter.start("a")
    limiter.finish("a")
    limiter.start("a")


def test_idle_callers_are_forgotten_and_busy_ones_not():
    limiter = Limiter(LimiterOptions(max_concurrent_per_caller=1), max_callers=10)
    limiter.start("busy")
    for i in range(1000):
        assert passed(limiter, f"caller{i}", 1) == 1
    assert len(limiter) == 10
    with pytest.raises(LimitError):
        limiter.start("busy")
    limiter.finish("busy")
    limiter.start("busy")


def test_many_threads_never_exceed_a_limit():
    limiter = Limiter(LimiterOptions(max_concurrent=3, max_concurrent_per_caller=2))
    running, most, lock = {"a": 0, "b": 0}, {"a": 0, "b": 0, "all": 0}, threading.Lock()

    def ask(key: str) -> None:
        for _ in range(300):
            try:
                limiter.start(key)
            except LimitError:
                continue
            with lock:
                running[key] += 1
                most[key] = max(most[key], running[key])
                most["all"] = max(most["all"], sum(running.values()))
            time.sleep(0)
            with lock:
                running[key] -= 1
            limiter.finish(key)

    threads = [threading.Thread(target=ask, args=(key,)) for key in "aabbaabb"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most["a"] <= 2
    assert most["b"] <= 2
    assert 1 <= most["all"] <= 3
    limiter.start("a")  # nothing was left behind
    limiter.start("a")
    limiter.start("b")


@pytest.mark.parametrize(
    "options",
    [
        {"requests_per_s": -1},
        {"requests_per_s": float("nan")},
        {"requests_per_s": float("inf")},
        {"max_concurrent": -1},
        {"burst": 5},
    ],
    ids=["negative", "nan", "infinite", "negative number", "burst alone"],
)
def test_limits_that_are_none_are_wrong_use(options):
    with pytest.raises(UsageError):
        LimiterOptions(**options)


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:10.0.0.1:4242", "10.0.0.1"),
        ("10.0.0.1:4242", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("ipv6:%5B::1%5D:4242", "::/64"),
        ("ipv6:[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:1", "fe80::/64"),
        ("ipv6:%5B::ffff:10.0.0.1%5D:4242", "10.0.0.1"),
        ("unix:/run/serving.sock", "unix"),
        ("testclient:50000", "testclient"),
        ("", ""),
    ],
)
def test_a_peers_host(peer, host):
    assert host_of(peer) == host
