"""Every family pruned, clustered and exported: promises kept, answers equal, malformed requests survived."""

import dataclasses

import descriptors
import numpy as np
import pytest
import tensorflow as tf

from zoo.compression.cluster import Cluster
from zoo.compression.prune import Prune
from zoo.config import Training
from zoo.data.pipeline import take_arrays
from zoo.exporting.export import _publish
from zoo.exporting.saved_model import Servable
from zoo.exporting.signature import specs_of_data
from zoo.features.base import inputs_needed
from zoo.training import inputs
from zoo.training.compress import compress
from zoo.training.strategy import open_strategy

EVERY = descriptors.costly_params()


def kernels(model):
    return {v.path: v.numpy() for v in model.trainable_variables if len(v.shape) > 1 and v.name != "bias"}


@pytest.mark.parametrize("descriptor", EVERY)
def test_pruned_then_clustered_keeps_both_promises(descriptor, seeded):
    experiment = descriptor.experiment()
    experiment = dataclasses.replace(experiment, features=inputs.fit_features(experiment))
    model = descriptor.model.build()
    before = {path: value.copy() for path, value in kernels(model).items()}
    batches = inputs.model_batches(experiment, "train", list(model.input), training=True)
    small = compress(model, batches, [Prune(0.5), Cluster(4)], loss=experiment.task.losses(), epochs=1)
    assert kernels(small)
    for path, value in kernels(small).items():
        assert (value == 0).sum() >= value.size - round(value.size * 0.5), path
        assert len(np.unique(value)) <= 4, path
    for path, value in kernels(model).items():
        np.testing.assert_array_equal(value, before[path], err_msg="the model given must stay as it is")


@pytest.mark.parametrize("form", ["plain", "packed"])
@pytest.mark.parametrize("descriptor", EVERY)
def test_exported_signature_answers_as_in_process(descriptor, form, tmp_path, seeded):
    experiment = descriptor.experiment()
    features = inputs.fit_features(experiment)
    info = descriptor.data.info()
    model, names = descriptor.model.build(), info.names_of(experiment.task.labelled())
    specs = specs_of_data(info, inputs_needed(features, list(model.input)))
    servable = Servable(model, specs, features, experiment.task, names)
    raw = take_arrays(descriptor.data, "test", 5)
    examples = {spec.name: raw[spec.name] for spec in specs}
    published = _publish(servable, tmp_path, "tiny", None, form, examples, None, {})

    signature = tf.saved_model.load(str(published.path)).signatures["serving_default"]
    tensors = {name: tf.constant(array) for name, array in examples.items()}
    served, expected = signature(**tensors), servable.answers(tensors)
    assert set(served) == set(expected)
    for name, answer in expected.items():
        if answer.dtype.is_floating:
            np.testing.assert_allclose(served[name], answer, atol=1e-6)
        else:
            assert served[name].numpy().tolist() == answer.numpy().tolist()
    if "label" in served:
        assert list(served["label"].numpy()) == [names[index].encode() for index in served["class_id"].numpy()]
    for bad in malformed(examples):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"must (be|have)"):
            call(signature, bad)


def malformed(examples):
    """Yields requests that TensorFlow Serving would let pass: wrong rank, wrong size, empty."""
    first = next(iter(examples))
    array = examples[first]
    for wrong in (array[0], array[:, :, None], array[:0], array[..., :-1], np.zeros((), array.dtype)):
        yield {**examples, first: wrong}
    if "padding_mask" in examples:
        yield {**examples, "padding_mask": examples["padding_mask"][:2]}
        yield {**examples, "padding_mask": examples["padding_mask"][:, :-1]}


def call(signature, arrays):
    """Calls the graph itself, past the checks of Python's wrapper."""
    names = sorted(arrays)
    arguments = [tf.constant(arrays[name]) for name in names]
    tf.raw_ops.StatefulPartitionedCall(
        args=[*arguments, *signature.captured_inputs], Tout=[output.dtype for output in signature.outputs], f=signature
    )


def test_attachments_run_on_two_replicas(seeded):
    descriptor = descriptors.MODELS["conv2d"]["batch_norm"]
    experiment = descriptor.experiment()
    strategy = open_strategy(Training(epochs=1, logical_cpus=2))
    with strategy.scope():
        model = descriptor.model.build()
    batches = inputs.model_batches(experiment, "train", list(model.input), training=True)
    small = compress(model, batches, [Prune(0.75), Cluster(5)], loss=experiment.task.losses(), epochs=2)
    for path, value in kernels(small).items():
        assert (value == 0).mean() >= 0.7, path
        assert len(np.unique(value)) <= 5, path
