"""The server that others are measured against: what a tutorial writes with grpcio and TensorFlow.

A thread for each of eight requests, the published stubs, `tensorflow.make_ndarray`, the loaded model's signature and
`tensorflow.make_tensor_proto`; TensorFlow's own thread counts. No checks. Started as a program of its own:
`python -m serving.bench.naive VERSION_DIRECTORY` prints its port.
"""

from __future__ import annotations

import concurrent.futures
import os
import sys
from typing import Any

__all__ = ["serve"]

WORKERS = 8


def serve(path: str) -> None:
    """Serve the SavedModel in `path` on a free port of this machine, until killed."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    loaded: Any = tf.saved_model.load(path)

    class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
            signature = loaded.signatures[request.model_spec.signature_name or "serving_default"]
            inputs = {key: tf.constant(tf.make_ndarray(proto)) for key, proto in request.inputs.items()}
            response = predict_pb2.PredictResponse()  # pyright: ignore[reportAttributeAccessIssue]
            for key, value in signature(**inputs).items():
                response.outputs[key].CopyFrom(tf.make_tensor_proto(value.numpy()))
            return response

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(WORKERS))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    serve(sys.argv[1])
