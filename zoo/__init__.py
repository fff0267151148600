"""Keras 3 models from a data set to a SavedModel in TensorFlow Serving's layout."""

__version__ = "0.1.0"
