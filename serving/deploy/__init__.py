"""Manifests that run a root of models on the stock `tensorflow/serving` image; no TensorFlow, no network."""
