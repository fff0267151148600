"""From a version directory to an engine that may serve: checked, scanned, loaded, warmed up, tried for batches."""

from __future__ import annotations

import os
import pathlib

from serving.api.inference import warm_up
from serving.batching.parameters import read_parameters
from serving.batching.predictor import BatchingPredictor
from serving.batching.probing import mergeable_signatures
from serving.engines.abstract import AbstractPredictor
from serving.engines.choice import LITERT_FILE, SAVED_MODEL_FILES, open_predictor
from serving.options import Limits, LoaderOptions
from serving.repository.manifest import verify_version
from serving.security.graph_scan import scan
from serving.security.tflite_scan import scan_tflite

__all__ = ["Loader"]


class Loader:
    """Loads versions.

    Args:
        options: how.
        limits: how large a request may be, those of the warm-up too.
        workers: calls of a signature at a time.
        processes: servers that share this machine's cores.

    Raises:
        UsageError: the batching file cannot be read.
    """

    def __init__(
        self,
        options: LoaderOptions | None = None,
        *,
        limits: Limits | None = None,
        workers: int = 1,
        processes: int = 1,
    ):
        self._options = options or LoaderOptions()
        self._limits = limits or Limits()
        self._workers = workers
        self._quick_workers = max(min(workers, (os.cpu_count() or 1) // processes - 1), 1)  # one for requests
        file = self._options.batching_file
        self._parameters = None if file is None else read_parameters(file)

    def __call__(self, path: pathlib.Path) -> AbstractPredictor:
        """The engine of version directory `path`.

        Raises:
            ModelLoadError: the files are wrong, refused, or the model fails on its own warm-up.
            Exception: another one: not the files are to blame.
        """
        options = self._options
        verified = verify_version(path, required=options.require_manifest)
        if options.scan:
            _scan(path, options.allowed_ops)
        engine = open_predictor(path, prefer=options.engine, verified=verified)
        try:
            examples = warm_up(engine, path, limits=self._limits)
            gathers = self._parameters is not None or options.batching == "natural"
            return BatchingPredictor(
                engine,
                workers=self._workers,
                mergeable=mergeable_signatures(engine, examples) if gathers else frozenset(),
                parameters=self._parameters,
                quick_workers=self._quick_workers,
            )
        except BaseException:
            engine.close()
            raise


def _scan(path: pathlib.Path, allowed_ops: frozenset[str]) -> None:
    if any((path / name).is_file() for name in SAVED_MODEL_FILES):
        scan(path, allowed_ops=allowed_ops)
    if (path / LITERT_FILE).is_file():
        scan_tflite(path / LITERT_FILE, allowed_ops=allowed_ops)
