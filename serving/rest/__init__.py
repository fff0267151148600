"""TensorFlow Serving's REST API, probes, metrics and the web page, over `serving.api`."""
