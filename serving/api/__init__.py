"""TensorFlow Serving's calls, message in and message out, the same for every transport."""
