"""What our own checks in a graph say becomes a DataError; what others say stays what it was."""

import dataclasses

import descriptors
import pytest
import tensorflow as tf

from zoo.data.synthetic_transcripts import SyntheticTranscripts
from zoo.errors import DataError
from zoo.tasks.transcription import Transcription
from zoo.training.graph_errors import told_as_data_errors
from zoo.training.loop import train

TASK = Transcription(alphabet=" abc")


def encoded(texts):
    return TASK.split({"text": texts})[1]["logits"]


@pytest.mark.parametrize("call", [encoded, tf.function(encoded)], ids=["eager", "graph"])
def test_a_strange_character_is_named_as_it_is_written(call):
    said = r"data of tiny cannot be used: `text` holds .*alphabet.*ž"
    with pytest.raises(DataError, match=said), told_as_data_errors("tiny"):
        call(tf.constant(["abc", "až"]))


def test_other_errors_pass():
    with pytest.raises(tf.errors.InvalidArgumentError), told_as_data_errors("tiny"):
        tf.reshape(tf.zeros(3), [2])


def test_training_names_the_character(tmp_path):
    experiment = descriptors.MODELS["speech_ctc"]["gru"].experiment()
    experiment = dataclasses.replace(experiment, data=SyntheticTranscripts(num_letters=5, num_train=96, num_test=30))
    with pytest.raises(DataError, match=r"outside the alphabet.*\be\b"):
        train(experiment, tmp_path / "run")
