"""TensorFlow Serving's gRPC services on a repository."""
