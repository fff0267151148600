"""The versions on disk and the versions in memory, and the way between them.

`refresh` reads the directory tree, loads what is new (manifest checked, warmed up) and only then switches it in; what
is gone is retired and freed after its last request. A version that fails stays out, with its reason, until its files
change; the ones that work are not touched.
"""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import grpc

from serving.engines.abstract import AbstractPredictor
from serving.errors import (
    InvalidInputError,
    ModelLoadError,
    NotFoundError,
    PreconditionError,
    RequestError,
    UsageError,
)
from serving.repository.disk import Fingerprint, real_directory, scan_versions
from serving.repository.model_config import ModelConfig
from serving.repository.retries import LoadRetries
from serving.repository.versions import LoadedVersion, State, VersionStatus

__all__ = ["Repository", "State", "VersionStatus"]

logger = logging.getLogger("serving")

MAX_ENDED = 16  # versions removed that are still shown


@dataclasses.dataclass(frozen=True, slots=True)
class _Served:
    """What requests of one model see; replaced as a whole."""

    versions: Mapping[int, LoadedVersion]
    latest: LoadedVersion
    labels: Mapping[str, int]


class Repository:
    """All models of a server.

    Args:
        models: reads the wanted models; may raise `UsageError`, after which the last good answer holds.
        load: builds the predictor of a version directory, warmed up; raises `ModelLoadError` when its files are wrong.
        retries: which failed loads are tried again, and when.
    """

    def __init__(
        self,
        models: Callable[[], list[ModelConfig]],
        load: Callable[[pathlib.Path], AbstractPredictor],
        *,
        retries: LoadRetries | None = None,
    ):
        self._read_models = models
        self._load = load
        self._retries = retries or LoadRetries()
        self._models: list[ModelConfig] = []
        self._names: frozenset[str] = frozenset()
        self._served: dict[str, _Served] = {}  # replaced, never changed: requests read it without a lock
        self._status: dict[str, dict[int, VersionStatus]] = {}
        self._draining: list[tuple[str, LoadedVersion]] = []
        self._draining_lock = threading.Lock()
        self._config_error = ""
        self._model_errors: dict[str, str] = {}
        self._closed = threading.Event()
        self._refreshing = threading.Lock()

    def use(self, name: str, *, version: int | None = None, label: str = "") -> LoadedVersion:
        """A version for the time of one request: use it as a context, for it is counted as entered.

        Args:
            name: the model.
            version: its number; the newest one without.
            label: its label, in place of the number.

        Raises:
            NotFoundError: no such model or version.
            InvalidInputError: no such label.
        """
        while True:
            loaded = self._find(name, version, label)
            if loaded.enter():
                return loaded
            # Retired between the look-up and here; the table no longer holds it, so the next look-up differs.

    def _find(self, name: str, version: int | None, label: str) -> LoadedVersion:
        served = self._served.get(name)
        if label:
            labelled = served.versions.get(served.labels.get(label, -1)) if served else None
            if labelled is None:
                raise InvalidInputError(f"Unrecognized servable version label: {label}")
            return labelled
        if version is None:
            if served is None:
                raise NotFoundError(f"Servable not found for request: Latest({name})")
            return served.latest
        if served is None or version not in served.versions:
            raise NotFoundError(f"Servable not found for request: Specific({name}, {version})")
        return served.versions[version]

    def served(self) -> dict[str, list[int]]:
        """Available versions by model."""
        return {name: sorted(served.versions) for name, served in sorted(self._served.items())}

    def model_names(self) -> list[str]:
        """The models wanted, served or not."""
        return [model.name for model in self._models]

    def known_names(self) -> frozenset[str]:
        """The same as a set that costs nothing."""
        return self._names

    def require(self, models: Iterable[ModelConfig]) -> None:
        """Check that each of `models` is served as it was wanted; for the answer to a reload.

        Raises:
            RequestError: UNKNOWN if a model has no version that loads from where it is wanted, FAILED_PRECONDITION if a
                label's has none.
        """
        missing = [model for model in models if not self._serves(model)]
        if missing:
            reasons = "; ".join(f"{model.name}: {self._why(model)}" for model in missing)
            raise RequestError(
                grpc.StatusCode.UNKNOWN, f"{len(missing)} servable(s) did not become available: {reasons}"
            )
        for model in models:
            versions = self._served[model.name].versions
            if label := next((label for label, version in model.labels.items() if version not in versions), None):
                raise PreconditionError(
                    f"Request to assign label to version {model.labels[label]} of model {model.name}, which is not "
                    f"currently available for inference"
                )

    def _serves(self, model: ModelConfig) -> bool:
        served, wanted = self._served.get(model.name), real_directory(model.base_path)
        return served is not None and any(
            one.fingerprint.directory == wanted
            for one in served.versions.values()  # the others await replacement
        )

    def _why(self, model: ModelConfig) -> str:
        failed = [status.message for status in self.status(model.name) if status.message]
        return failed[0] if failed else f"no version directory that its policy takes in {model.base_path}"

    def status(self, name: str) -> list[VersionStatus]:
        """Every known version of a model, newest first; empty for an unknown model."""
        self._settle()
        return sorted(self._status.get(name, {}).values(), key=lambda status: -status.version)

    def refresh(self) -> bool:
        """Bring memory in line with the disk; whether the set of served versions changed."""
        with self._refreshing:
            before = self._served
            if self._closed.is_set():
                return False
            self._read_list()
            for model in self._models:
                self._try_refresh_model(model)
            for name in set(self._served) - set(self.model_names()):
                self._switch(name, {}, {})
            self._settle()
            return self._served is not before

    def stop_loading(self) -> None:
        """Begin no further load; the one that runs is let go on, and what it gives is not served."""
        self._closed.set()

    @property
    def refreshing(self) -> bool:
        """Whether a look at the disk, with its loads, is under way."""
        return self._refreshing.locked()

    def close(self, timeout_s: float = 0.0) -> bool:
        """Load nothing more and retire everything; whether no request runs any more within `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        self._closed.set()
        if not self._refreshing.acquire(timeout=timeout_s):  # a load still runs; it cannot be interrupted
            loaded = [one for served in self._served.values() for one in served.versions.values()]
            return not any(one.in_use for one in (*loaded, *(old for _, old in self._draining)))
        try:
            for name in list(self._served):
                self._switch(name, {}, {})
            self._models = []
            self._names = frozenset()
        finally:
            self._refreshing.release()
        with self._draining_lock:
            draining = [old for _, old in self._draining]
        for old in draining:
            old.wait_freed(max(deadline - time.monotonic(), 0.0))
        self._settle()
        return not self._draining

    def _read_list(self) -> None:
        try:
            self._models = self._read_models()
            self._names = frozenset(model.name for model in self._models)
            self._config_error = ""
        except (UsageError, OSError) as error:
            if str(error) != self._config_error:
                logger.error("event=config_rejected kept=%d reason=%s", len(self._models), error)
            self._config_error = str(error)

    def _try_refresh_model(self, model: ModelConfig) -> None:
        """Refresh one model; whatever fails, it stays as it is and the others are not touched."""
        try:
            self._refresh_model(model)
            self._model_errors.pop(model.name, None)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            if self._model_errors.get(model.name) != reason:
                foreseen = isinstance(error, OSError)
                logger.error("event=look_failed model=%s reason=%s", model.name, reason, exc_info=not foreseen)
            self._model_errors[model.name] = reason

    def _refresh_model(self, model: ModelConfig) -> None:
        if self._closed.is_set():
            return
        found = scan_versions(model.base_path)
        self._retries.keep_only(model.name, found)
        wanted = model.policy(found)
        current = self._served.get(model.name)
        loaded = dict(current.versions) if current else {}
        for version in wanted:
            fingerprint = found[version]
            up_to_date = version in loaded and loaded[version].fingerprint == fingerprint
            if up_to_date or not self._retries.may_load(model.name, version, fingerprint):
                continue
            new = self._try_load(model, version, fingerprint)
            if self._closed.is_set():
                if new is not None:
                    new.retire()
                return
            if new is not None:
                loaded[version] = new
                self._switch(model.name, loaded, model.labels)
        available = [version for version in wanted if version in loaded]
        keep = {
            version: one
            for version, one in loaded.items()
            # An unwanted version goes only when a wanted one can take its place.
            if version in wanted or (version in found and not available)
        }
        self._switch(model.name, keep, model.labels)
        self._forget(model.name, found)

    def _try_load(self, model: ModelConfig, version: int, fingerprint: Fingerprint) -> LoadedVersion | None:
        statuses = self._status.setdefault(model.name, {})
        serving_already = statuses.get(version, VersionStatus(version, State.START)).state is State.AVAILABLE
        if not serving_already:
            statuses[version] = VersionStatus(version, State.LOADING)
        started = time.perf_counter()
        try:
            predictor = self._load(model.base_path / str(version))
        except Exception as error:  # whatever it is, it must not keep the other versions from being served
            self._retries.failed(model.name, version, fingerprint, error)
            state = State.AVAILABLE if serving_already else State.END
            statuses[version] = _failure(version, state, error)
            reason = statuses[version].message
            logger.error("event=load_failed model=%s version=%d reason=%s", model.name, version, reason)
            return None
        self._retries.loaded(model.name, version)
        statuses[version] = VersionStatus(version, State.AVAILABLE)
        seconds = time.perf_counter() - started
        logger.info("event=loaded model=%s version=%d seconds=%.2f", model.name, version, seconds)
        return LoadedVersion(version, predictor, fingerprint)

    def _switch(self, name: str, versions: dict[int, LoadedVersion], labels: Mapping[str, int]) -> None:
        """Make `versions` what requests see, then retire what they no longer see."""
        before = self._served.get(name)
        if before is not None and before.versions == versions and before.labels == labels:
            return
        table = dict(self._served)
        table.pop(name, None)
        if versions:
            for label in sorted(label for label, version in labels.items() if version not in versions):
                logger.warning("event=label_ignored model=%s label=%s version=%d", name, label, labels[label])
            table[name] = _Served(dict(versions), versions[max(versions)], dict(labels))
        self._served = table
        for number, old in (before.versions if before else {}).items():
            if versions.get(number) is not old:
                self._retire(name, old, replaced=number in versions)

    def _retire(self, name: str, old: LoadedVersion, *, replaced: bool) -> None:
        if not replaced:
            self._status[name][old.number] = VersionStatus(old.number, State.UNLOADING)
        with self._draining_lock:
            self._draining.append((name, old))
        old.retire()
        logger.info("event=%s model=%s version=%d", "replaced" if replaced else "unloaded", name, old.number)

    def _settle(self) -> None:
        """Show as ended what was being unloaded and has no request left."""
        ended, running = [], []
        with self._draining_lock:
            for name, old in self._draining:
                (ended if old.wait_freed() else running).append((name, old))
            self._draining = running
        for name, old in ended:
            status = self._status[name].get(old.number)
            if status is not None and status.state is State.UNLOADING:
                self._status[name][old.number] = VersionStatus(old.number, State.END)

    def _forget(self, name: str, found: Mapping[int, Fingerprint]) -> None:
        statuses = self._status.get(name, {})
        gone = sorted(v for v, s in statuses.items() if v not in found and s.state is State.END)
        for version in gone:
            if statuses[version].message or version in gone[:-MAX_ENDED]:
                del statuses[version]


def _failure(version: int, state: State, error: Exception) -> VersionStatus:
    if isinstance(error, ModelLoadError):
        return VersionStatus(version, state, error.code, str(error))
    return VersionStatus(version, state, grpc.StatusCode.INTERNAL, f"{version}: {type(error).__name__}: {error}")
