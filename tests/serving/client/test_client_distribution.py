"""The client's own distribution: what is in it works alone, without TensorFlow and without the server."""

import pathlib
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

import serving

ROOT = pathlib.Path(__file__).parents[3]
WHOLE = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLIENT = tomllib.loads((ROOT / "serving" / "pyproject.toml").read_text())
INCLUDED = CLIENT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]


def included_files() -> list[pathlib.Path]:
    """The files of the distribution, relative to the directory of the package."""
    base = ROOT / "serving"
    found = [base / name for name in INCLUDED]
    files = [file for path in found for file in (path.rglob("*.py") if path.is_dir() else [path])]
    return sorted(file.relative_to(base) for file in files)


def test_there_is_one_version():
    assert CLIENT["project"]["version"] == WHOLE["project"]["version"] == serving.__version__


@pytest.mark.parametrize("extra", [None, "files"], ids=["client", "files"])
def test_requirements_are_those_of_the_whole(extra):
    project = CLIENT["project"]
    wanted = set(project["dependencies"] if extra is None else project["optional-dependencies"][extra])
    assert wanted <= set(WHOLE["project"]["dependencies"])
    assert not any("tensorflow" in requirement for requirement in wanted)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> pathlib.Path:
    """A directory with the distribution's files only."""
    path = tmp_path_factory.mktemp("alone")
    for file in included_files():
        (path / "serving" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "serving" / file, path / "serving" / file)
    return path


# Nothing but what the distribution requires can be imported, whatever else is installed here.
BLOCKED = """
import sys
ALLOWED = {"serving", "numpy", "ml_dtypes", "google", "grpc", "click", "typing_extensions"} | sys.stdlib_module_names
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED and not name.startswith("__editable__"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
sys.path.insert(0, sys.argv[1])
"""


def run(alone: pathlib.Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED + code, str(alone), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


IMPORT_ALL = """
import importlib, pathlib
root = pathlib.Path(sys.argv[1])
for file in sorted((root / "serving").rglob("*.py")):
    name = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    if not name.startswith("serving.cli.") or name == "serving.cli.main":  # which imports its commands
        importlib.import_module(name)
        print(name)
import serving
assert all(hasattr(serving, name) for name in serving.__all__)
assert serving.__file__.startswith(sys.argv[1])
"""


def test_every_module_works_alone(alone):
    done = run(alone, IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert {"serving.client.aio", "serving.protocol.codec", "serving.cli.main"} <= set(done.stdout.split())


MAIN = """
from serving.cli.main import main
main(sys.argv[2:])
"""


def test_the_command_line_works_alone(alone, address, tmp_path, images):
    assert run(alone, MAIN, "--help").returncode == 0
    body = tmp_path / "body.json"
    body.write_text(f'{{"instances": {images[:1].tolist()}}}')
    done = run(alone, MAIN, "predict", address, "conv", "--from-json", str(body))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("conv, version 2\nrow  class")


@pytest.mark.parametrize(
    "command",
    [
        ("serve", "."),
        ("bench", "localhost:1", "m"),
        ("token", "list"),
        ("deploy", "compose", ".", "--out", "deployment"),
    ],
    ids=lambda command: command[0],
)
def test_a_command_that_needs_the_server_says_so(alone, command):
    done = run(alone, MAIN, *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install keras-model-zoo" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_the_wheel_holds_the_client_only(tmp_path):
    """Building it needs the network, for its build requirement."""
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(ROOT / "serving"))
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 200_000
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        entry_points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert b"serving = serving.cli.main:main" in archive.read(entry_points)
    assert names == {f"serving/{file.as_posix()}" for file in included_files()}
