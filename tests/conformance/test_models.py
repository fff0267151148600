"""What every family must do: fit data, mask padding, learn, save and load, and give the same on two replicas."""

import descriptors
import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.config import Training
from zoo.data.pipeline import take_arrays
from zoo.layers.replicas import Replicated
from zoo.training import inputs
from zoo.training.loop import fit
from zoo.training.optimizer import make_optimizer
from zoo.training.run_directory import load_model
from zoo.training.strategy import open_strategy

EVERY = [pytest.param(descriptor, id=name) for name, descriptor in descriptors.every_model()]
MASKED = [pytest.param(one, id=name) for name, one in descriptors.every_model() if "frames" in one.data.info().tensors]


def featured_batch(descriptor):
    import dataclasses

    experiment = descriptor.experiment()
    experiment = dataclasses.replace(experiment, features=inputs.fit_features(experiment))
    return experiment, inputs.model_batches(experiment, "train", list(descriptor.model.build().input), training=False)


@pytest.mark.parametrize("descriptor", EVERY)
def test_inputs_and_outputs_are_named_and_shaped(descriptor):
    model = descriptor.model.build()
    _, batches = featured_batch(descriptor)
    batch, _ = next(iter(batches))
    assert set(model.input) == set(batch)
    outputs = model(batch)
    assert list(outputs) == list(model.output) == ["logits"]
    assert outputs["logits"].dtype == tf.float32
    stated = model.output["logits"].shape
    assert len(outputs["logits"].shape) == len(stated)
    assert outputs["logits"].shape[0] == 16
    assert outputs["logits"].shape[-1] == stated[-1]
    descriptor.task.check(model, ())


@pytest.mark.parametrize("descriptor", EVERY)
def test_no_layer_goes_by_a_name_that_keras_made_up(descriptor):
    for layer in descriptor.model.build().layers:
        assert not layer.name.startswith(("functional", "keras_tensor")), layer.name
        assert not layer.name.split("_")[-1].isdigit(), layer.name


@pytest.mark.parametrize("length", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("descriptor", MASKED)
def test_an_answer_does_not_change_with_padding(descriptor, length, seeded):
    model = descriptor.model.build()
    random = np.random.default_rng(length)
    width = model.input["frames"].shape[-1]
    frames = random.normal(size=(2, length, width)).astype("float32")
    garbage = random.normal(size=(2, 8, width)).astype("float32") * 10
    alone = model({"frames": tf.constant(frames), "padding_mask": tf.ones((2, length), tf.bool)})["logits"]
    padded = model(
        {
            "frames": tf.constant(np.concatenate([frames, garbage], axis=1)),
            "padding_mask": tf.constant([[True] * length + [False] * 8] * 2),
        }
    )["logits"]
    if len(alone.shape) == 3:  # an answer per frame: those of padded frames say nothing
        assert set(descriptor.task.answers({"logits": padded[:, alone.shape[1] :]}, ())["text"].numpy()) <= {b""}
        padded = padded[:, : alone.shape[1]]
    np.testing.assert_allclose(padded, alone, atol=1e-5)
    assert np.abs(alone[0] - alone[1]).max() > 1e-4, "the answer must depend on the frames at all"


@pytest.mark.parametrize("descriptor", descriptors.costly_params())
def test_training_lowers_the_loss(descriptor, seeded):
    model = descriptor.model.build()
    experiment, batches = featured_batch(descriptor)
    model.compile(make_optimizer(experiment.training, 4), loss=experiment.task.losses(), jit_compile=False)
    before = model.evaluate(batches, verbose=0)
    fit(model, batches, None, epochs=8, title="tiny")
    assert model.evaluate(batches, verbose=0) < before * 0.95


@pytest.mark.parametrize("descriptor", EVERY)
def test_saved_and_loaded_answers_the_same(descriptor, tmp_path):
    model = descriptor.model.build()
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    _, batches = featured_batch(descriptor)
    batch, _ = next(iter(batches))
    np.testing.assert_array_equal(loaded(batch)["logits"], model(batch)["logits"])


@pytest.mark.parametrize("descriptor", [pytest.param(k[next(iter(k))], id=n) for n, k in descriptors.MODELS.items()])
def test_two_replicas_train_as_one(descriptor, seeded):
    """Equal weights, equal batches, plain gradient descent: the sum over replicas is the gradient of the batch."""
    weights = []
    experiment, batches = featured_batch(descriptor)
    start = descriptor.model.build().get_weights()
    for replicas in (1, 2):
        strategy = open_strategy(Training(epochs=1, logical_cpus=replicas))
        assert strategy.num_replicas_in_sync == replicas
        with strategy.scope():
            model = descriptor.model.build()
            model.set_weights(start)
            trained = Replicated(model)
            trained.compile(
                keras.optimizers.SGD(0.1),
                loss=experiment.task.losses(),
                metrics=experiment.task.metrics(),
                jit_compile=False,  # pyright: ignore[reportArgumentType]
            )
        fit(trained, batches, batches, epochs=1, title="tiny")
        weights.append(model.get_weights())
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(two, one, atol=2e-5)
    assert max(np.abs(a - b).max() for a, b in zip(start, weights[0], strict=True)) > 1e-3


def test_raw_examples_are_what_the_source_says():
    for source in (descriptors.IMAGES, descriptors.SEQUENCES):
        arrays = take_arrays(source, "test", 4)
        for name, tensor in source.info().tensors.items():
            assert arrays[name].dtype == np.dtype(tensor.dtype)
