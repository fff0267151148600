"""A server with TensorFlow Serving's API and a client for it."""

__version__ = "0.1.0"
