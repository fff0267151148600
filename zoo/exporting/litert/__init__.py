"""The form `litert`: `model.tflite`, made and tried in a process of its own, named as TensorFlow Serving reads it."""
