"""Where a compressed run came from."""

from __future__ import annotations

from zoo.errors import RunDirectoryError
from zoo.training.run_directory import RunDirectory

__all__ = ["origin"]


def origin(run: RunDirectory) -> RunDirectory:
    """Returns the run before any compression, which may have been done several times; `run` itself where none was.

    Raises:
        RunDirectoryError: it is not there any more.
    """
    seen = {run.path.resolve()}
    while "compression" in run.metrics():
        run = RunDirectory.open(run.metrics()["compression"]["from"])
        if run.path.resolve() in seen:
            raise RunDirectoryError(f"{run.path} says that it came from itself.")
        seen.add(run.path.resolve())
    return run
