"""The modules of this room that tests import by name."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # importlib mode: for `parser_models`, `harness`
