"""Distillation: the teacher's share in the loss, and teachers that do not fit."""

import keras
import numpy as np
import pytest

from zoo.compression.distill import Distill, Teaching
from zoo.compression.prune import Prune
from zoo.compression.reparametrized import Reparametrized
from zoo.errors import CompressionError, InvalidValueError
from zoo.training.compress import compress

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def classifier(units=8, classes=3, features=5):
    x = keras.Input((features,), name="x")
    hidden = keras.layers.Dense(units, activation="relu", name="hidden")(x)
    return keras.Model({"x": x}, {"logits": keras.layers.Dense(classes, name="logits")(hidden)})


def data(rows=64, random_labels=False):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, 5)).astype("float32")
    labels = generator.integers(0, 3, rows) if random_labels else np.argmax(x[:, :3], axis=1)
    return {"x": x}, {"logits": labels}


@pytest.mark.parametrize(("values", "field"), [({"temperature": 0.0}, "temperature"), ({"weight": 0.0}, "weight")])
def test_refused_values(values, field):
    with pytest.raises(InvalidValueError, match=f"`{field}` must be"):
        Distill(**values)


def test_loss_is_the_papers():
    teacher, student = classifier(), classifier()
    teaching = Teaching(Distill(temperature=3.0, weight=0.25), teacher, student)
    (x, _), answers = data(), {}
    for name, model in (("teacher", teacher), ("student", student)):
        logits = np.asarray(model(x)["logits"], "float64") / 3.0
        answers[name] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    divergence = (answers["teacher"] * np.log(answers["teacher"] / answers["student"])).sum(axis=1).mean()
    expected = 0.75 * 2.0 + 0.25 * 9 * divergence
    assert float(teaching.loss(x, student(x), 2.0)) == pytest.approx(expected, rel=1e-4)


def test_a_student_follows_its_teacher_where_the_labels_say_nothing(seeded):
    teacher = classifier(16)
    teacher.compile(keras.optimizers.Adam(1e-2), {"logits": LOSS})
    teacher.fit(*data(256), epochs=30, verbose=0)  # pyright: ignore[reportArgumentType]
    x, truth = data(256)
    wrong = data(256, random_labels=True)
    taught = compress(
        classifier(), wrong, [Prune(0.2)], loss={"logits": LOSS}, epochs=30, learning_rate=1e-2,
        batch_size=16, distill=Distill(weight=1.0), teacher=teacher,
    )  # fmt: skip
    agreed = np.argmax(np.asarray(taught(x)["logits"]), axis=1) == truth["logits"]
    assert agreed.mean() > 0.85


def test_the_teacher_stays_as_it_is_and_counts_in_training_only(seeded):
    teacher, student = classifier(), classifier()
    before = [np.array(weight) for weight in teacher.get_weights()]
    trained = Reparametrized(student, [], [], Teaching(Distill(weight=0.5), teacher, student))
    trained.compile(keras.optimizers.Adam(1e-2), {"logits": LOSS}, jit_compile=False)  # pyright: ignore[reportArgumentType]
    x, y = data()
    trained.fit(x, y, epochs=2, verbose=0)  # pyright: ignore[reportArgumentType]
    for old, new in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert trained.evaluate(x, y, verbose=0) == pytest.approx(float(LOSS(y["logits"], student(x)["logits"])), rel=1e-4)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("teacher", "what"),
    [(lambda: classifier(classes=4), "outputs"), (lambda: classifier(features=6), "inputs")],
    ids=["outputs", "inputs"],
)
def test_a_teacher_that_does_not_fit_is_refused_before_training(teacher, what):
    with pytest.raises(CompressionError, match=f"Teacher and student must have the same {what}"):
        compress(classifier(), data(), [Prune(0.5)], loss={"logits": LOSS}, distill=Distill(), teacher=teacher())


def one_number():
    x = keras.Input((5,), name="x")
    return keras.Model(x, keras.layers.Dense(1, name="score")(x))


def test_outputs_of_one_number_are_refused_before_training(monkeypatch):
    def fit(*_, **__):
        raise AssertionError("training began")

    monkeypatch.setattr("zoo.training.compress.fit", fit)
    x, y = np.ones((8, 5), "float32"), np.ones((8, 1), "float32")
    with pytest.raises(CompressionError, match=r"two numbers or more.*\(None, 1\).*mean_squared_error"):
        compress(one_number(), (x, y), [Prune(0.5)], loss="mean_squared_error", distill=Distill())
    Teaching(Distill(loss="mean_squared_error"), one_number(), one_number())


def test_what_layers_and_transforms_add_to_the_loss_is_not_the_teachers(seeded):
    """At a weight of 1 the labels count for nothing, but a penalty counts as without a teacher."""
    x, y = data()
    kernels = {}
    for l2 in (0.0, 10.0):
        keras.utils.set_random_seed(0)
        small = compress(
            classifier(), (x, y), [Prune(0.25, l2=l2)], loss={"logits": LOSS}, epochs=8, learning_rate=1e-2,
            batch_size=16, distill=Distill(weight=1.0),
        )  # fmt: skip
        kernels[l2] = np.abs(np.asarray(small.get_layer("hidden").kernel)).sum()
    assert kernels[10.0] < 0.8 * kernels[0.0]


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_losses_of_layers_count_in_full(weight, seeded):
    class Penalty(keras.layers.Layer):
        def call(self, x):
            self.add_loss(keras.ops.mean(keras.ops.ones_like(x)) + 6.0)  # pyright: ignore[reportOptionalOperand]
            return x

    inputs = keras.Input((5,), name="x")
    logits = keras.layers.Dense(3, name="logits")(Penalty()(inputs))
    student = keras.Model({"x": inputs}, {"logits": logits})
    plain = keras.Model({"x": inputs}, {"logits": student.get_layer("logits")(inputs)})
    x, y = data()
    teaching = Teaching(Distill(weight=weight), classifier(), student)
    trained = Reparametrized(student, [], [], teaching)
    trained.compile(keras.optimizers.SGD(0.0), {"logits": LOSS}, jit_compile=False)  # pyright: ignore[reportArgumentType]
    labels = float(LOSS(y["logits"], plain(x)["logits"]))  # pyright: ignore[reportArgumentType]
    seen = trained.fit(x, y, batch_size=64, verbose=0).history["loss"][0]  # pyright: ignore[reportArgumentType]
    assert seen == pytest.approx(float(teaching.loss(x, plain(x), labels)) + 7.0, rel=1e-4)
