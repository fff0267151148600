"""Every family as LiteRT in every precision: answers within the tolerance, at requests of changing sizes, or refused.

Largest differences of `probabilities` over all descriptors, untrained: float32 3e-7, float16 6e-4, dynamic 3e-7 (their
weights are too few for 8 bits), int8 0.05.
"""

import descriptors
import pytest

from zoo.data.pipeline import take_arrays
from zoo.errors import ExportError
from zoo.exporting.litert.conversion import Order, convert
from zoo.exporting.litert.flatbuffer import read_graph
from zoo.exporting.litert.interpreter import asker
from zoo.exporting.litert.options import TOLERANCES
from zoo.exporting.servable import Servable
from zoo.exporting.signature import specs_of_data
from zoo.exporting.verify import largest_difference
from zoo.features.base import inputs_needed
from zoo.training import inputs

# By family: LiteRT has no operation for a search through texts, nor for making one.
REFUSED = {"speech_ctc": r"LiteRT has no operation, of the type used, for CTCBeamSearchDecoder, ReduceJoin"}

FAST = [(name, next(iter(descriptors.MODELS[name]))) for name in ("conv2d", "rnn", "transformer", "speech_ctc")]
SLOW = [(name, kind) for name, kinds in descriptors.MODELS.items() for kind in kinds if (name, kind) not in FAST]


def order(descriptor):
    experiment = descriptor.experiment()
    features, info = inputs.fit_features(experiment), descriptor.data.info()
    model, names = descriptor.model.build(), info.names_of(experiment.task.labelled())
    specs = specs_of_data(info, inputs_needed(features, list(model.input)))
    servable = Servable(model, specs, features, experiment.task, names)
    test, train = (take_arrays(descriptor.data, split, number) for split, number in (("test", 24), ("train", 64)))
    examples, calibration = ({spec.name: raw[spec.name] for spec in specs} for raw in (test, train))
    return Order(servable, list(TOLERANCES), examples, calibration)


def converted(names):
    import keras

    keras.utils.set_random_seed(0)
    orders = [order(descriptors.MODELS[name][kind]) for name, kind in names]
    return {name: (one, result) for name, one, result in zip(names, orders, convert(orders), strict=True)}


@pytest.fixture(scope="module")
def fast():
    """All in one process: TensorFlow is imported once."""
    return converted(FAST)


@pytest.fixture(scope="module")
def slow():
    return converted(SLOW)


def params():
    """Returns `(fixture, family and kind)` of every descriptor; `FAST` has one of each kind of layer."""
    marked = [("fast", one, ()) for one in FAST] + [("slow", one, pytest.mark.slow) for one in SLOW]
    return [pytest.param(fixture, one, id="-".join(one), marks=marks) for fixture, one, marks in marked]


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize(("fixture", "name"), params())
def test_every_family_answers_within_the_tolerance_or_is_refused(fixture, name, precision, request):
    made_of, results = request.getfixturevalue(fixture)[name]
    if name[0] in REFUSED:
        with pytest.raises(ExportError, match=REFUSED[name[0]]):
            results[precision].chosen()
        return
    nearest = []
    for content in results[precision].chosen().values():
        assert read_graph(content).batch is None
        ask, differences = asker(content), []
        for rows in (1, 24, 3, 5):
            some = {key: array[:rows] for key, array in made_of.examples.items()}
            differences.append(largest_difference(made_of.servable, ask, some))
        nearest.append(max(differences))
    assert min(nearest) <= TOLERANCES[precision]
