from __future__ import annotations

import hashlib
import io
import os
import tarfile

import pytest

from zoo.data.apt import AptPackage, unpack_deb
from zoo.data.packages import ensure_originals
from zoo.errors import DataError, DataUnavailableError

FILES = {
    "./usr/share/tiny/deep/numbers.txt": b"3 1 4 1 5",
    "./usr/share/tiny/words.txt": b"odd",
    "./usr/share/doc/tiny/copyright": b"public domain",
}
APT = """
import os, sys
assert sys.argv[1:] == ["download", "tiny-data=1:2.0-1"], sys.argv
open({log!r}, "a").write("asked ")
open("tiny-data_1%3a2.0-1_all.deb", "wb").write(open({deb!r}, "rb").read())
print("W: Download is performed unsandboxed as root", file=sys.stderr)
"""
CACHE = "print(' tiny-data |      2.1-1 | http://mirror bookworm/main')"


def ar_member(name: str, content: bytes) -> bytes:
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
    return header + content + b"\n" * (len(content) % 2)


def make_deb(compression: str = "xz", files: dict[str, bytes] = FILES, name: str | None = None) -> bytes:
    """A Debian package as dpkg writes it, with a link beside its files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as tar:  # pyright: ignore[reportCallIssue, reportArgumentType]
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("./usr/share/tiny/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "words.txt"
        tar.addfile(link)
    data = ar_member(name or f"data.tar.{compression}".rstrip("."), buffer.getvalue())
    return b"!<arch>\n" + ar_member("debian-binary", b"2.0\n") + ar_member("control.tar.xz", b"odd") + data


def package(deb: bytes = make_deb(), wanted: str = r"usr/share/tiny/.*\.txt") -> AptPackage:
    return AptPackage(name="tiny-data", version="1:2.0-1", sha256=hashlib.sha256(deb).hexdigest(), wanted=wanted)


@pytest.fixture
def mirror(data_root, put_on_path, tmp_path):
    """Returns a function that makes apt-get deliver a package, and gives the file in which it notes each call."""

    def deliver(deb: bytes):
        (tmp_path / "offered.deb").write_bytes(deb)
        put_on_path("apt-get", APT.format(log=str(tmp_path / "log"), deb=str(tmp_path / "offered.deb")))
        return tmp_path / "log"

    return deliver


def obtained(tmp_path, *packages):
    """What `ensure_originals` lays out, by path."""
    scratch = tmp_path / f"scratch-{os.urandom(4).hex()}"
    scratch.mkdir()
    files = ensure_originals(packages, tmp_path / "originals", scratch, lambda line: None)
    return {path.relative_to(files).as_posix(): path.read_bytes() for path in files.rglob("*") if path.is_file()}


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_wanted_files_come_out_under_their_paths(tmp_path, compression):
    (tmp_path / "tiny.deb").write_bytes(make_deb(compression))
    unpack_deb(tmp_path / "tiny.deb", tmp_path / "out", r"usr/share/tiny/.*\.txt")
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.txt")}
    assert found == {"usr/share/tiny/deep/numbers.txt", "usr/share/tiny/words.txt"}
    assert (tmp_path / "out/usr/share/tiny/deep/numbers.txt").read_bytes() == b"3 1 4 1 5"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" + make_deb(), "no Debian package: it does not begin"),
        (b"!<arch>\n" + ar_member("debian-binary", b"2.0\n"), "holds no data.tar member"),
        (make_deb(name="data.tar.zst"), r"compressed as data.tar.zst, which this Python cannot read. Readable: .*xz"),
        (make_deb(files={"./usr/share/tiny/noise.txt": os.urandom(5000)})[:-2000], "cannot be unpacked"),
        (make_deb(name="data.tar.gz"), "cannot be unpacked"),
        (make_deb(files={"./usr/share/other/a.txt": b"a"}), "holds no file like"),
        (make_deb(files={"./usr/share/tiny/../../../../a.txt": b"a"}), "a file outside of its own directory"),
    ],
    ids=["zip", "no data", "zst", "cut short", "misnamed", "nothing wanted", "outside"],
)
def test_an_archive_that_cannot_be_used_is_named(tmp_path, content, message):
    (tmp_path / "tiny.deb").write_bytes(content)
    with pytest.raises(DataError, match=f"tiny.deb .*{message}"):
        unpack_deb(tmp_path / "tiny.deb", tmp_path / "out", r"usr/share/tiny/.*\.txt")
    assert not (tmp_path / "a.txt").exists()


def test_the_archive_is_kept_once_for_all_data_sets(mirror, tmp_path, data_root):
    log = mirror(make_deb())
    assert obtained(tmp_path, package())["usr/share/tiny/words.txt"] == b"odd"
    assert (data_root / "originals/apt/tiny-data_1%3a2.0-1_all.deb").read_bytes() == make_deb()
    assert set(obtained(tmp_path, package(wanted=".*/copyright"))) == {"usr/share/doc/tiny/copyright"}
    assert log.read_text() == "asked "


def test_a_damaged_archive_is_fetched_again(mirror, tmp_path, data_root):
    log = mirror(make_deb())
    obtained(tmp_path, package())
    package().archive.write_bytes(b"!<arch>\n")
    assert len(obtained(tmp_path, package())) == 2
    assert log.read_text() == "asked asked "


def test_another_build_is_refused_and_not_kept(mirror, tmp_path):
    mirror(make_deb("gz"))
    with pytest.raises(DataError, match="not the archive that was checked: .*Debian's build, received .*copy it to"):
        obtained(tmp_path, package())
    assert not package().archive.exists()


def test_without_apt_get_an_archive_copied_by_hand_serves(data_root, put_on_path, tmp_path):
    with pytest.raises(
        DataUnavailableError, match=r"no apt-get on PATH.*`apt-get download tiny-data=1:2.0-1`"
    ) as error:
        obtained(tmp_path, package())
    assert str(package().archive) in str(error.value)
    package().archive.parent.mkdir(parents=True)
    package().archive.write_bytes(make_deb())
    assert len(obtained(tmp_path, package())) == 2


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("E: Version '1:2.0-1' for 'tiny-data' was not found", r"does not offer .* 1:2.0-1. It offers: 2.1-1"),
        ("E: Unable to locate package tiny-data", "does not know tiny-data: .*`sudo apt-get update` renews it"),
        ("E: Failed to fetch", "The network, the proxy or the mirror may not answer"),
    ],
    ids=["other version", "no index", "no network"],
)
def test_what_apt_get_says_is_explained_and_passed_on(data_root, put_on_path, tmp_path, said, message):
    put_on_path("apt-get", f'import os, sys; sys.exit("{said}" if os.environ["LC_ALL"] == "C.UTF-8" else "?")')
    put_on_path("apt-cache", CACHE)
    with pytest.raises(DataUnavailableError, match=f"{message}(.|\n)*{said}"):
        obtained(tmp_path, package())
