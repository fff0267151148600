# pyright: reportAttributeAccessIssue=false
"""TensorFlow's parser of `tf.Example` ends the process on bytes that lie about their length: none may reach it."""

import logging
import pathlib
import signal
import subprocess
import sys

import numpy as np
import parser_fuzz
import parser_models
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving.engines import example_inputs
from serving.engines.tensorflow import TensorFlowPredictor
from serving.errors import InvalidInputError

CHECKED = [way for way in parser_models.WAYS if way != "base64"]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("parsers")
    for way in parser_models.WAYS:
        parser_models.write(way, path / way)
    parser_models.write_graph(path / "graph")
    return path


@pytest.mark.parametrize("way", [*CHECKED, "graph"])
def test_bytes_that_lie_are_refused_and_sound_ones_are_answered(written, way, caplog):
    predictor = TensorFlowPredictor(written / way)
    assert "examples_unchecked" not in caplog.text
    names = list(predictor.signatures["serving_default"].inputs)
    sound = parser_models.texts(parser_models.example(1.0, 2.0), parser_models.example(4.0))
    outputs = predictor.run("serving_default", [sound for _ in names])
    np.testing.assert_array_equal(outputs["y"], [3.0, 4.0])
    # Harmless to the parser, which answers them or refuses them itself: only the check says this text.
    cut = parser_models.texts(parser_models.example(1.0), parser_models.example(1.0)[:-1])
    kind = "tensorflow.SequenceExample" if way == "sequence" else "tensorflow.Example"
    text = f"input `inputs` must hold serialised {kind} messages. Received: {len(cut[1])} bytes at position 1"
    with pytest.raises(InvalidInputError, match=text):
        predictor.run("serving_default", [cut, *(sound for _ in names[1:])])
    if names[1:]:  # the other input is a text like any other
        outputs = predictor.run("serving_default", [sound, cut])
        assert outputs["lengths"].tolist() == [len(element) for element in cut]
    predictor.close()


def test_the_process_lives_with_the_check_and_dies_without(written, tmp_path):
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    for way in (*CHECKED, "graph"):
        (chosen / way).symlink_to(written / way)
    program = subprocess.run(
        [sys.executable, parser_models.__file__, str(chosen)], capture_output=True, text=True, timeout=120
    )
    lines = program.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == sorted((*CHECKED, "graph")), program.stderr[-2000:]
    assert all(f"Received: {len(parser_models.deadly())} bytes at position 1" in line for line in lines)
    # A TensorFlow that outlives it needs no check: take `engines/example_inputs.py` away.
    assert program.returncode == -signal.SIGSEGV


def test_what_cannot_be_followed_is_told_and_not_checked(written, caplog):
    with caplog.at_level(logging.WARNING):
        predictor = TensorFlowPredictor(written / "base64")
    assert "event=examples_unchecked" in caplog.text
    assert "ops=DecodeBase64" in caplog.text
    encoded = tf.io.encode_base64([parser_models.example(1.0, 2.0)]).numpy()
    assert predictor.run("serving_default", [encoded])["y"].tolist() == [3.0]
    predictor.close()


def meta_graph(path: pathlib.Path):
    return saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs[0]


def test_a_model_without_a_parser_is_not_searched(saved_models):
    assert example_inputs.find_parsed(meta_graph(saved_models / "double"), ["text:0"]).inputs == {}


def test_functions_that_call_one_another_without_end_are_given_up(written, monkeypatch):
    monkeypatch.setattr(example_inputs, "MAX_STEPS", 3)
    graph = meta_graph(written / "one by one in a loop")
    assert example_inputs.find_parsed(graph, []).unknown == {"(more calls of functions than were followed)"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_what_passes_the_check_does_not_end_the_parsers(seed):
    program = subprocess.run(
        [sys.executable, parser_fuzz.__file__, str(seed), "20000"], capture_output=True, text=True, timeout=280
    )
    assert program.returncode == 0, program.stderr.splitlines()[-1]
    passed, answered = map(int, program.stdout.split())
    assert passed > 1000
    assert answered > 1000
