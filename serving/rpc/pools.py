"""gRPC methods that run in a thread pool of their own, not in the server's."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any

__all__ = ["PooledMethod", "PooledServicer"]


class PooledServicer:
    """Stands for `servicer` when it is registered; gRPC then runs its methods in `pool`, not in the server's.

    Args:
        servicer: any servicer.
        pool: its threads.
    """

    def __init__(self, servicer: Any, pool: concurrent.futures.ThreadPoolExecutor):
        self._servicer = servicer
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return PooledMethod(getattr(self._servicer, name), self._pool)


class PooledMethod:
    """A method with the attributes that `grpc` looks for on it.

    Args:
        method: any.
        pool: its threads.
    """

    def __init__(self, method: Callable[..., Any], pool: concurrent.futures.ThreadPoolExecutor):
        self._method = method
        self.experimental_thread_pool = pool
        self.experimental_non_blocking = getattr(method, "experimental_non_blocking", False)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._method(*arguments, **named)
