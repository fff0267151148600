"""Fields of the optimiser, each by its effect."""

import descriptors
import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.config import Training, apply_overrides
from zoo.training.loop import train
from zoo.training.optimizer import make_optimizer
from zoo.training.strategy import open_strategy


def test_cosine_schedule_rises_and_falls_to_zero():
    training = Training(epochs=10, learning_rate=0.4, schedule="cosine", warmup_epochs=1)
    rate = make_optimizer(training, 20)._learning_rate
    assert float(rate(0)) == 0
    assert float(rate(10)) == pytest.approx(0.2)
    assert float(rate(20)) == pytest.approx(0.4)
    assert float(rate(200)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_each_kind_makes_a_step_with_its_defaults(kind):
    variable = keras.Variable([1.0])
    make_optimizer(Training(epochs=1, optimizer=kind), 10).apply([tf.ones(1)], [variable])
    assert float(np.asarray(variable)[0]) < 1


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_weight_decay_spares_biases_and_normalisations(kind):
    dense = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.LayerNormalization()])
    dense.set_weights([np.ones_like(weight) for weight in dense.get_weights()])
    optimizer = make_optimizer(Training(epochs=1, optimizer=kind, learning_rate=0.1, weight_decay=0.5), 10)
    optimizer.apply([tf.zeros(weight.shape) for weight in dense.trainable_variables], dense.trainable_variables)
    kernel, *others = dense.get_weights()
    np.testing.assert_allclose(kernel, 0.95, rtol=1e-6)
    assert all((weight == 1).all() for weight in others)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_clip_norm_holds_on_any_number_of_replicas(num_replicas):
    training = Training(epochs=1, optimizer="sgd", learning_rate=1.0, clip_norm=0.01, logical_cpus=2)
    strategy = open_strategy(training) if num_replicas == 2 else tf.distribute.get_strategy()
    with strategy.scope():
        variables = [keras.Variable(np.zeros(2, "float32")), keras.Variable(np.zeros(1, "float32"))]
        optimizer = make_optimizer(training, 10)
        optimizer.build(variables)

    def step():
        optimizer.apply([tf.constant([30.0, 0.0]), tf.constant([40.0])], variables)

    tf.function(lambda: strategy.run(step))()
    moved = np.concatenate([np.asarray(variable.value) for variable in variables])
    np.testing.assert_allclose(moved, [-0.006 * 1.9, 0, -0.008 * 1.9], atol=1e-7)  # 1.9: Nesterov's first step


def test_running_mean_is_what_a_run_keeps(tmp_path):
    experiment = descriptors.MODELS["conv2d"]["dense"].experiment(epochs=4, batch_size=8, learning_rate=5e-3)
    keras.utils.set_random_seed(experiment.training.seed)
    start = experiment.model.build().get_weights()

    def moved(overrides, name):
        weights = train(apply_overrides(experiment, overrides), tmp_path / name).load_model().get_weights()
        return max(np.abs(new - old).max() for new, old in zip(weights, start, strict=True))

    # Adam's first step is as long as the learning rate; a slow mean stays there.
    assert moved(["training.ema_momentum=0.99999"], "mean") < 6e-3
    assert moved([], "plain") > 2e-2
