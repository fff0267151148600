"""The README stays true: its example runs, its commands exist, its links to files hold."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_example_trains_compresses_exports_and_asks(tmp_path):
    from zoo.cli.server_process import running_server

    (code,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "example.py").write_text(code)
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "models/mine/1" in done.stdout
    with running_server(tmp_path / "models", tmp_path / "log") as ready:
        ask = f"from example import ask\nprint(ask('localhost:{ready['port']}').shape)"
        done = subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "(8, 10)", done.stderr[-2000:]


@pytest.mark.parametrize("marker", ["quickstart command", "test command"])
def test_commands_for_a_newcomer_begin_with_python_alone(marker):
    (command,) = re.findall(rf"<!-- {marker} -->\n```sh\n(.*?)\n```\n<!-- end -->", README, re.DOTALL)
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_every_command_listed_exists():
    from serving.cli.main import serving
    from zoo.cli import zoo

    (listed,) = re.findall(r"## Commands\n\n```\n(.*?)```", README, re.DOTALL)
    for line in listed.splitlines():
        program, rest = line.split(maxsplit=1)
        group: click.Command = {"zoo": zoo, "serving": serving}[program]
        words, commands = rest.split(), []
        while isinstance(group, click.Group):
            names = words.pop(0).split("|")
            assert set(names) <= set(group.commands), line
            assert set(names) >= set(group.commands) or group in (zoo, serving), line
            commands = [group.commands[name] for name in names]
            group = commands[0]
        for option in re.findall(r"--[a-z-]+", " ".join(words)):
            assert all(any(option in parameter.opts for parameter in command.params) for command in commands), line
    names = {command for command in zoo.commands if f"zoo {command}" not in listed}
    assert not names, "a command that the README does not list"


def test_every_room_stands_in_the_map():
    for path in (*ROOT.glob("zoo/*/"), *ROOT.glob("zoo/*.py")):
        if path.name not in ("__init__.py", "__pycache__", "api.py"):
            assert f"`zoo/{path.name}{'/' if path.is_dir() else ''}`" in README, path


def test_every_config_has_its_row():
    for path in ROOT.glob("configs/*.py"):
        if path.stem not in ("__init__", "digits_cnn"):
            assert f"`{path.stem}`" in README
