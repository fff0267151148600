"""Every family pruned, clustered and exported: promises kept, answers equal, malformed requests survived."""

import dataclasses
from typing import Any

import descriptors
import numpy as np
import pytest
import tensorflow as tf

from zoo.compression.cluster import Cluster
from zoo.compression.encoding import coded
from zoo.compression.fold_batch_norm import FoldBatchNorm
from zoo.compression.prune import Prune
from zoo.compression.prune_channels import PruneChannels
from zoo.compression.quantize import quantize
from zoo.compression.quantize_aware import QuantizeAware
from zoo.config import Training
from zoo.data.pipeline import take_arrays
from zoo.errors import CompressionError
from zoo.exporting.export import _publish
from zoo.exporting.servable import Servable
from zoo.exporting.signature import InputSpec, specs_of_data
from zoo.exporting.verify import random_examples
from zoo.features.base import inputs_needed
from zoo.layers.quantization import ActivationQuantizer
from zoo.training import inputs
from zoo.training.compress import compress
from zoo.training.strategy import open_strategy

EVERY = descriptors.costly_params()


def kernels(model):
    return {v.path: v.numpy() for v in model.trainable_variables if len(v.shape) > 1 and v.name != "bias"}


# Their every width goes into a layer normalisation: no channel can be taken out.
NO_CHANNELS = {"speech_ctc-gru", "speech_ctc-lstm"}


def trained_through(descriptor, transforms, **settings):
    experiment = descriptor.experiment()
    experiment = dataclasses.replace(experiment, features=inputs.fit_features(experiment))
    model = descriptor.model.build()
    random = np.random.default_rng(0)
    for variable in model.weights:  # biases and statistics too are those of a trained model
        if variable.dtype == "float32":
            variable.assign(variable.numpy() + random.uniform(0.01, 0.1, variable.shape).astype("float32"))
    before = {path: value.copy() for path, value in kernels(model).items()}
    batches = inputs.model_batches(experiment, "train", list(model.input), training=True).take(2)
    small = compress(model, batches, transforms, loss=experiment.task.losses(), epochs=1, **settings)
    for path, value in kernels(model).items():
        np.testing.assert_array_equal(value, before[path], err_msg="the model given must stay as it is")
    return model, small


def stages(name):
    """Returns all transforms, as few trainings as they need."""
    return [
        *([] if name in NO_CHANNELS else [PruneChannels(0.3)]),
        Prune(0.5),
        FoldBatchNorm(),
        Cluster(4),
        QuantizeAware("int8", activations="int8"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("descriptor", [pytest.param(one, id=name) for name, one in descriptors.every_model()])
def test_every_transform_in_one_go_keeps_every_promise(descriptor, request, seeded):
    name = request.node.callspec.id
    model, small = trained_through(descriptor, stages(name))
    assert name in NO_CHANNELS or small.count_params() < model.count_params()
    assert kernels(small)
    for path, value in kernels(small).items():
        kept = max(1, round(value.size * 0.5))  # a tensor of one value keeps it
        assert (value == 0).sum() >= value.size - kept, path
        assert len(np.unique(value)) <= 4, path
    layers = small._flatten_layers()
    assert any(isinstance(layer, ActivationQuantizer) for layer in layers)
    assert small.output_shape == model.output_shape


@pytest.mark.parametrize("descriptor", descriptors.costly_params("conv_attention", "speech_ctc"))
def test_pruned_then_clustered_keeps_both_promises(descriptor, seeded):
    _, small = trained_through(descriptor, [Prune(0.5), Cluster(4)])
    assert kernels(small)
    for path, value in kernels(small).items():
        kept = max(1, round(value.size * 0.5))  # a tensor of one value keeps it
        assert (value == 0).sum() >= value.size - kept, path
        assert len(np.unique(value)) <= 4, path


# What a family refuses, by transform and descriptor, with the words it is refused in.
REFUSED = {("prune_channels", name): "has no channels to remove" for name in NO_CHANNELS}
QUICK = {"mlp-dense", "conv1d-average", *NO_CHANNELS}
TABLE = [
    pytest.param(
        transform, name, id=f"{transform}-{name}",
        marks=() if name in QUICK and (name not in NO_CHANNELS or (transform, name) in REFUSED) else pytest.mark.slow,
    )
    for transform in descriptors.COMPRESSIONS
    for name, _ in descriptors.every_model()
]  # fmt: skip


@pytest.mark.parametrize(("transform", "name"), TABLE)
def test_every_transform_takes_every_family_or_refuses_in_declared_words(transform, name, seeded):
    """Each keeps the promise that it proves itself; here: inputs, outputs and answers are those of a sound model."""
    descriptor, made = dict(descriptors.every_model())[name], descriptors.COMPRESSIONS[transform]
    if (transform, name) in REFUSED:
        with pytest.raises(CompressionError, match=REFUSED[transform, name]):
            trained_through(descriptor, [made])
        return
    model, small = trained_through(descriptor, [made])
    assert small is not model
    assert small.output_shape == model.output_shape
    assert [tensor.name for tensor in small.inputs] == [tensor.name for tensor in model.inputs]
    named: Any = model.input
    examples = random_examples([InputSpec(n, tuple(t.shape), t.dtype) for n, t in named.items()])
    assert np.isfinite(np.asarray(small(examples)["logits"])).all()
    folds = any(type(layer).__name__ == "BatchNormalization" for layer in model.layers)
    if made.TRAINS or transform != "fold_batch_norm" or folds:
        weights = [[np.asarray(weight) for weight in one.weights] for one in (model, small)]
        assert [w.shape for w in weights[0]] != [w.shape for w in weights[1]] or any(
            (old != new).any() for old, new in zip(*weights, strict=True)
        ), "something must have been done"


@pytest.mark.slow
@pytest.mark.parametrize("transform", descriptors.COMPRESSIONS)
def test_every_transform_runs_on_two_replicas(transform, seeded):
    descriptor = descriptors.MODELS["conv2d"]["batch_norm"]
    experiment = descriptor.experiment()
    with open_strategy(Training(epochs=1, logical_cpus=2)).scope():
        model = descriptor.model.build()
    batches = inputs.model_batches(experiment, "train", list(model.input), training=True)
    transforms = [descriptors.COMPRESSIONS[transform]]
    small = compress(model, batches, transforms, loss=experiment.task.losses(), epochs=1)
    assert all(np.isfinite(value).all() for value in kernels(small).values())
    assert small.output_shape == model.output_shape


@pytest.mark.parametrize("descriptor", EVERY)
def test_every_family_is_quantised_after_training(descriptor):
    model = descriptor.model.build()
    small = quantize(model, "int4")
    for path, value in kernels(small).items():
        # Eight values and fewer take the fewest bytes as they are.
        assert value.size <= 8 or coded(value).kind in ("scaled", "codebook"), path
    assert [w.shape for w in small.weights] == [w.shape for w in model.weights]


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
