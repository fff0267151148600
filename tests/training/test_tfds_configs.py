"""Configurations for names of tfds, on made-up examples of the same form: `tfds.testing.mock_data`."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from zoo.config import find_config, list_configs
from zoo.training import inputs
from zoo.training.loop import train

NAMES = [name for name in list_configs() if name.startswith("tfds_")]
_LETTERS = "abcdefghij '"


def example(generator, builder):
    """Yields what the builder's features describe: half a second of noise, short texts of the alphabet."""
    random = np.random.default_rng(0)

    def one(name, feature):
        if isinstance(feature, tfds.features.Audio):
            return random.integers(-9999, 9999, 8_000 + int(random.integers(0, 800)))
        if isinstance(feature, tfds.features.Text) or feature.np_dtype in (object, str):
            return "".join(random.choice(list(_LETTERS), 5))
        if isinstance(feature, tfds.features.ClassLabel):
            return int(random.integers(feature.num_classes or 1))
        return random.integers(0, 255, feature.shape).astype(feature.np_dtype)

    while True:
        yield {name: one(name, feature) for name, feature in builder.info.features.items()}


@pytest.fixture
def experiment(request):
    found = find_config(request.param)
    examples = functools.partial(example, None)

    def as_dataset(builder, split, **kwargs):
        stream = examples(builder)
        drawn = [next(stream) for _ in range(8)]
        signature = builder.info.features.get_tensor_spec()
        dataset = tf.data.Dataset.from_generator(lambda: drawn, output_signature=signature)
        return dataset.apply(tf.data.experimental.assert_cardinality(8))

    with tfds.testing.mock_data(as_dataset_fn=as_dataset):
        yield dataclasses.replace(found, training=dataclasses.replace(found.training, epochs=1, batch_size=4))


@pytest.mark.parametrize("experiment", NAMES, indirect=True)
def test_data_features_model_and_task_fit_each_other(experiment):
    info = experiment.data.info()
    inputs.check_sample_rates(experiment.features, info)
    fitted = dataclasses.replace(experiment, features=inputs.fit_features(experiment))
    model = experiment.model.build()
    experiment.task.check(model, info.names_of(experiment.task.labelled()))
    batches = inputs.model_batches(fitted, experiment.splits.train, list(model.input), training=True)
    inputs.check_inputs(model, batches, info)
    batch, targets = next(iter(batches))
    outputs = model(batch)
    for name, loss in experiment.task.losses().items():
        assert np.isfinite(float(loss(targets[name], outputs[name])))


@pytest.mark.slow
@pytest.mark.parametrize("experiment", NAMES, indirect=True)
def test_each_trains(experiment, tmp_path):
    run = train(experiment, tmp_path / "run")
    assert run.model_path.is_file()
    assert run.metrics()["validation"]
