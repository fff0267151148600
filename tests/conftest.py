"""One process for all tests: TensorFlow on two logical CPUs, so that code for several replicas runs anywhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"
sys.path.insert(0, str(Path(__file__).parent))  # importlib mode: for `descriptors`


@pytest.fixture(scope="session", autouse=True)
def two_logical_cpus() -> None:
    import tensorflow as tf

    (cpu, *_) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture
def seeded() -> None:
    import keras

    keras.utils.set_random_seed(0)
