"""Clients of TensorFlow Serving's API without TensorFlow."""
