"""Every registered name has a descriptor, loads, and goes to JSON and back."""

import json
import subprocess
import sys

import descriptors
import keras
import pytest

from zoo import registry
from zoo.config import find_config, from_json, list_configs, to_json
from zoo.recipes.recipe import Ladder

TABLES = [
    (registry.MODELS, descriptors.MODELS),
    (registry.SOURCES, descriptors.SOURCES),
    (registry.FEATURES, descriptors.FEATURES),
    (registry.TASKS, descriptors.TASKS),
    (registry.COMPRESSIONS, descriptors.COMPRESSIONS),
]


@pytest.mark.parametrize(("table", "described"), TABLES, ids=["models", "sources", "features", "tasks", "compressions"])
def test_every_name_has_a_descriptor_of_its_class(table, described):
    assert set(table) == set(described)
    for name, entry in table.items():
        examples = described[name]
        for example in examples.values() if isinstance(examples, dict) else [examples]:
            instance = getattr(example, "model", example)
            assert type(instance) is entry.load()
            assert registry.name_of(table, type(instance)) == name


@pytest.mark.parametrize("name", registry.RECIPES)
def test_every_recipe_makes_transforms(name):
    recipe = registry.lookup(registry.RECIPES, "recipe", name)()
    assert all(one.transforms for one in (recipe.recipes() if isinstance(recipe, Ladder) else (recipe,)))


def test_every_layer_of_the_zoo_can_be_loaded_by_its_saved_name():
    for name, layer in registry.custom_objects().items():
        assert keras.saving.get_registered_name(layer) == name


@pytest.mark.parametrize("name", list_configs())
def test_every_config_survives_json_and_builds(name):
    experiment = find_config(name)
    assert experiment.name == name
    assert from_json(json.loads(json.dumps(to_json(experiment)))) == experiment
    assert experiment.model.build().count_params() > 0


def test_configs_are_read_without_tensorflow():
    code = (
        "import sys; from zoo.config import find_config, list_configs\n"
        "for name in list_configs(): find_config(name)\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
