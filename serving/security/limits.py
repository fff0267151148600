"""How often and how much at a time: a token bucket and a count of running requests per caller, a count for all."""

from __future__ import annotations

import collections
import dataclasses
import functools
import ipaddress
import math
import threading
import time
import urllib.parse
from collections.abc import Callable

import grpc

from serving.errors import RequestError, UsageError

__all__ = ["LimitError", "Limiter", "LimiterOptions", "host_of"]

MAX_CALLERS = 10_000
BUSY_RETRY_S = 0.1


class LimitError(RequestError):
    """A caller asks too much (`RESOURCE_EXHAUSTED`), or all together do (`UNAVAILABLE`).

    Args:
        code: the gRPC status code.
        details: the text that travels over the wire.
        retry_after_s: when another try can succeed.
    """

    def __init__(self, code: grpc.StatusCode, details: str, retry_after_s: float):
        super().__init__(code, details)
        self.retry_after_s = retry_after_s


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimiterOptions:
    """Limits; 0 is none.

    Args:
        requests_per_s: of one caller, in the long run.
        burst: requests that a caller may send at once after a pause; 0 takes one second's worth, at least 1.
        max_concurrent_per_caller: requests of one caller worked on at a time.
        max_concurrent: requests worked on at a time.

    Raises:
        UsageError: one is negative or no number, or a burst without a rate.
    """

    requests_per_s: float = 0.0
    burst: int = 0
    max_concurrent_per_caller: int = 0
    max_concurrent: int = 0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"`{field.name}` must be 0 (no limit) or more. Received: {field.name}={value}.")
        if self.burst and not self.requests_per_s:
            raise UsageError(f"`burst` needs `requests_per_s`. Received: burst={self.burst}, requests_per_s=0.")

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return bool(self.requests_per_s or self.max_concurrent_per_caller or self.max_concurrent)

    @property
    def capacity(self) -> float:
        """Requests in a full bucket."""
        return float(self.burst or max(1.0, self.requests_per_s))


class _State:
    __slots__ = ("filled_at", "held", "running")

    def __init__(self, held: float, filled_at: float):
        self.held = held
        self.filled_at = filled_at
        self.running = 0


class Limiter:
    """Counts requests of each caller. Safe from many threads; remembers at most `max_callers` idle callers.

    Args:
        options: the limits.
        clock: seconds that never go back. The wall clock may jump, which would empty or fill every bucket.
        max_callers: idle callers remembered; the longest idle is forgotten first and starts with a full bucket.
    """

    def __init__(
        self,
        options: LimiterOptions,
        *,
        clock: Callable[[], float] = time.monotonic,
        max_callers: int = MAX_CALLERS,
    ):
        self._options = options
        self._clock = clock
        self._max_callers = max_callers
        self._lock = threading.Lock()
        self._callers: collections.OrderedDict[str, _State] = collections.OrderedDict()
        self._running = 0

    def start(self, key: str) -> None:
        """Count one request of caller `key` as running; `finish` must follow.

        Raises:
            LimitError: a limit is reached; nothing was counted.
        """
        options, now = self._options, self._clock()
        with self._lock:
            if options.max_concurrent and self._running >= options.max_concurrent:
                raise _server_full(options.max_concurrent)
            state = self._state(key, now)
            if options.max_concurrent_per_caller and state.running >= options.max_concurrent_per_caller:
                raise _caller_full(options.max_concurrent_per_caller)
            if options.requests_per_s:
                self._take(state, now)
            state.running += 1
            self._running += 1

    def finish(self, key: str) -> None:
        """Count one request of caller `key` as done."""
        with self._lock:
            self._callers[key].running -= 1
            self._running -= 1

    def __len__(self) -> int:
        """Callers remembered."""
        return len(self._callers)

    def _state(self, key: str, now: float) -> _State:
        state = self._callers.get(key)
        if state is None:
            if len(self._callers) >= self._max_callers:
                self._forget_one()
            state = self._callers[key] = _State(self._options.capacity, now)
        else:
            self._callers.move_to_end(key)
        return state

    def _forget_one(self) -> None:
        """Forget the longest idle caller; a busy one met on the way counts as just seen."""
        for key in list(self._callers)[:64]:  # few are busy, so the first is nearly always idle
            if self._callers[key].running == 0:
                del self._callers[key]
                return
            self._callers.move_to_end(key)

    def _take(self, state: _State, now: float) -> None:
        options = self._options
        held = min(options.capacity, state.held + (now - state.filled_at) * options.requests_per_s)
        state.filled_at = now
        if held < 1.0:
            state.held = held
            raise _too_fast(options.requests_per_s, (1.0 - held) / options.requests_per_s)
        state.held = held - 1.0


def _server_full(limit: int) -> LimitError:
    return LimitError(
        grpc.StatusCode.UNAVAILABLE,
        f"The server works on {limit} requests, as many as it may at a time. Try again, waiting longer each time.",
        BUSY_RETRY_S,
    )


def _caller_full(limit: int) -> LimitError:
    return LimitError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"This caller has {limit} requests running, as many as it may at a time. Wait for one to be answered.",
        BUSY_RETRY_S,
    )


def _too_fast(rate: float, wait_s: float) -> LimitError:
    wait_s = math.ceil(wait_s * 1000) / 1000
    return LimitError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"This caller may send {rate:g} requests a second. Try again in {wait_s:.3f} seconds.",
        wait_s,
    )


@functools.lru_cache(maxsize=4096)
def host_of(peer: str) -> str:
    """The host of a peer as gRPC or a socket writes it; an IPv6 host as its /64 network, which one machine owns.

    Args:
        peer: "ipv4:10.0.0.1:4242", "ipv6:%5B::1%5D:4242", "10.0.0.1:4242", "[::1]:4242", "10.0.0.1", "unix:...".

    Example:
        >>> host_of("ipv4:10.0.0.1:4242"), host_of("ipv6:%5B2001:db8::7%5D:1"), host_of("unix:")
        ('10.0.0.1', '2001:db8::/64', 'unix')
    """
    if peer.startswith("unix"):
        return "unix"
    text = urllib.parse.unquote(peer.removeprefix("ipv4:").removeprefix("ipv6:"))
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
