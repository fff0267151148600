"""Debian packages that carry data: fetched with `apt-get download`, kept as they are, unpacked for each preparation.

A `.deb` is an `ar` archive of three members, of which `data.tar.*` holds the files. Kept whole, it is verified by one
sha256 however many thousand files are in it, and serves every data set that is made from it.
"""

from __future__ import annotations

import dataclasses
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from zoo.data.packages import AbstractPackage
from zoo.data.storage import data_root, locked, sha256_of
from zoo.errors import DataError, DataUnavailableError

__all__ = ["AptPackage", "unpack_deb"]

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER_BYTES = 60
_READERS = {"data.tar": "r|", "data.tar.gz": "r|gz", "data.tar.bz2": "r|bz2", "data.tar.xz": "r|xz"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AptPackage(AbstractPackage):
    """A binary package of Debian for all architectures, downloaded as an ordinary user and not installed.

    The archive is kept under `originals/apt` of the data root, once for all data sets. A machine without apt-get is
    served by copying the file there.

    Attributes:
        sha256: of the `.deb` as Debian built it; other distributions build packages of the same version anew.
        wanted: regular expression that the whole path of a file must match to be unpacked, as in
            `usr/share/games/.*`.
    """

    sha256: str
    wanted: str

    @property
    def client(self) -> str:
        """`apt-get`."""
        return "apt-get"

    @property
    def archive(self) -> Path:
        """Where the archive is kept, under the name that apt-get gives it."""
        return data_root() / "originals" / "apt" / f"{self.name}_{self.version.replace(':', '%3a')}_all.deb"

    def kept(self, originals: Path) -> Mapping[Path, str]:
        """Returns the archive's place, whichever data set asks."""
        return {self.archive: self.sha256}

    def fetch(self, originals: Path, scratch: Path) -> None:
        """Downloads the archive, once where several data sets ask for it at the same time."""
        with locked(f"apt-{self.name}"):
            if self.is_kept(originals):
                return
            fresh = self._download(Path(tempfile.mkdtemp(dir=scratch)))
            received = sha256_of(fresh)
            if received != self.sha256:
                raise DataError(
                    f"{fresh.name}, as apt-get delivered it, is not the archive that was checked: expected sha256 "
                    f"{self.sha256}, which is Debian's build, received {received}. Nothing was kept. Ubuntu and other "
                    f"distributions build the package anew: there, {self._by_hand()}."
                )
            self.archive.parent.mkdir(parents=True, exist_ok=True)
            fresh.replace(self.archive)

    def lay_out(self, originals: Path, directory: Path) -> None:
        """Unpacks the wanted files under their paths into `directory`."""
        unpack_deb(self.archive, directory, self.wanted)

    def _download(self, directory: Path) -> Path:
        if shutil.which("apt-get") is None:
            raise DataUnavailableError(
                f"{self.title} is a Debian package, and there is no apt-get on PATH: this is no Debian or Ubuntu "
                f"machine. To use the data here, {self._by_hand()}."
            )
        command = ["apt-get", "download", f"{self.name}={self.version}"]
        return self.run_client(command, directory, "*.deb", hint=self._advice, working_directory=directory)

    def _advice(self, said: str) -> str:
        """Returns what to do about a failed `apt-get download`."""
        if "Unable to locate package" in said:
            return (
                f"The package index of this machine does not know {self.name}: it is missing, old (`sudo apt-get "
                "update` renews it), or leaves out a component that holds it (Debian: main; Ubuntu: universe). "
                f"Without it, {self._by_hand()}."
            )
        if "was not found" in said:
            return (
                f"The package index of this machine does not offer the version that was checked, {self.version}. It "
                f"offers: {self._offered()}. Run `sudo apt-get update` if it may be old; else {self._by_hand()}."
            )
        return f"The network, the proxy or the mirror may not answer. Without them, {self._by_hand()}."

    def _offered(self) -> str:
        """Returns the versions that the package index of this machine lists."""
        try:
            done = subprocess.run(["apt-cache", "madison", self.name], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return "unknown, since apt-cache does not run"
        fields = [line.split("|") for line in done.stdout.splitlines()]
        return ", ".join(sorted({field[1].strip() for field in fields if len(field) > 1})) or "none"

    def _by_hand(self) -> str:
        return (
            f"run `apt-get download {self.name}={self.version}` on a Debian machine, or take the file from a Debian "
            f"mirror, copy it to {self.archive} (sha256 {self.sha256}) and fetch again"
        )


def unpack_deb(archive: Path, directory: Path, wanted: str) -> None:
    """Writes the regular files of a `.deb` whose whole path matches `wanted`, under their paths, into `directory`.

    The archive is read once, front to back. Links are left out.

    Raises:
        DataError: it is no `.deb`, its compression is one that Python cannot read, or no file matches.
    """
    pattern, written = re.compile(wanted), 0
    try:
        with archive.open("rb") as file:
            mode = _enter_data(file, archive)
            with tarfile.open(fileobj=file, mode=mode) as tar:  # pyright: ignore[reportCallIssue, reportArgumentType]
                for member in tar:
                    path = PurePosixPath(member.name.removeprefix("./"))
                    source = tar.extractfile(member) if member.isreg() and pattern.fullmatch(str(path)) else None
                    if source is None:
                        continue
                    if path.is_absolute() or ".." in path.parts:
                        raise DataError(f"{archive} holds a file outside of its own directory: {member.name}.")
                    target = directory / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as out:
                        shutil.copyfileobj(source, out)
                    written += 1
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}. Remove it and fetch again.") from error
    if not written:
        raise DataError(f"{archive} holds no file like {wanted!r}.")


def _enter_data(file: IO[bytes], archive: Path) -> str:
    """Moves `file` to the beginning of `data.tar.*`, the last member of a `.deb`; returns tarfile's mode for it."""
    if file.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise DataError(f"{archive} is no Debian package: it does not begin as an `ar` archive does.")
    while len(header := file.read(_AR_HEADER_BYTES)) == _AR_HEADER_BYTES:
        name = header[:16].decode("ascii", "replace").rstrip().rstrip("/")
        size = int(header[48:58])
        if name in _READERS:
            return _READERS[name]
        if name.startswith("data.tar"):
            raise DataError(
                f"{archive} is compressed as {name}, which this Python cannot read. Readable: {', '.join(_READERS)}. "
                f"Debian's own build of the package is: {archive.name} from a Debian mirror."
            )
        file.seek(size + size % 2, os.SEEK_CUR)
    raise DataError(f"{archive} is no Debian package: it holds no data.tar member.")
