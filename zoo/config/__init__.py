"""What a run is made of: the experiment, its files, and its way to JSON and back."""

from zoo.config.convert import apply_overrides, build_from, from_json, to_json
from zoo.config.experiment import Experiment, Splits, Training
from zoo.config.files import find_config, list_configs

__all__ = [
    "Experiment",
    "Splits",
    "Training",
    "apply_overrides",
    "build_from",
    "find_config",
    "from_json",
    "list_configs",
    "to_json",
]
