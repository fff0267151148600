"""The straight line, for real: `zoo quickstart` as a process, its models served again, the published stub asking."""

# Generated messages have no stubs.
# pyright: reportAttributeAccessIssue=false
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zoo.cli.server_process import running_server


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart") / "q"
    command = [sys.executable, "-c", "from zoo.cli import main; main()", "quickstart", "--dir", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads(done.stdout), done.stderr


def test_table(finished):
    _, document, _ = finished
    rows = {(row["name"], row["version"]): row for row in document["models"]}
    assert set(rows) == {("digits", 1), ("digits", 2), ("digits_keras", 1)}
    dense, packed, keras = rows["digits", 1], rows["digits", 2], rows["digits_keras", 1]
    assert dense["accuracy"] == keras["accuracy"] > 0.95
    assert packed["accuracy"] > dense["accuracy"] - 0.04
    assert keras["bytes"] > 1.5 * dense["bytes"] > 4 * packed["bytes"]
    assert all(0 < row["p50_ms"] < 100 for row in rows.values())


def test_every_step_is_shown_as_a_command(finished):
    _, _, messages = finished
    for command in (
        "zoo train digits_cnn",
        "zoo compress",
        "zoo export",
        "serving serve",
        "serving predict",
        "zoo report",
    ):
        assert f"$ {command}" in messages


def test_report_has_its_pictures(finished):
    folder, _, _ = finished
    html = (folder / "report.html").read_text()
    assert html.count("<svg") == 6  # curves, confusion and examples of both runs
    for title in ("Served models", "Training", "Confusion on the test split", "Test images and their answers"):
        assert title in html


def test_published_stub_gets_the_same_answers_from_both_versions(finished):
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    folder, _, _ = finished
    images = np.load(folder / "digits_1_test.npy")
    assert images.dtype == np.uint8
    with (
        running_server(folder / "models", folder / "again.log") as ready,
        grpc.insecure_channel(f"localhost:{ready['port']}") as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for version in (1, 2):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "digits"
            request.model_spec.version.value = version
            request.inputs["image"].CopyFrom(tf.make_tensor_proto(images))
            outputs = stub.Predict(request, timeout=30).outputs
            with np.load(folder / f"digits_{version}_answers.npz") as answers:
                probabilities = answers["probabilities"]
            np.testing.assert_allclose(tf.make_ndarray(outputs["probabilities"]), probabilities, atol=1e-6)
            labels = [label.decode() for label in tf.make_ndarray(outputs["label"])]
            assert labels == [str(index) for index in tf.make_ndarray(outputs["class_id"])]
        # what would end a stock server's process: a wrong rank into a convolution
        bad = predict_pb2.PredictRequest()
        bad.model_spec.name = "digits"
        bad.inputs["image"].CopyFrom(tf.make_tensor_proto(images[0]))
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(bad, timeout=30)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert stub.Predict(request, timeout=30).outputs


def test_quickstart_refuses_a_directory_in_use(finished, capsys):
    from zoo.cli import main

    folder, _, _ = finished
    before = sorted(Path(folder).iterdir())
    with pytest.raises(SystemExit) as done:
        main(["quickstart", "--dir", str(folder)])
    assert done.value.code == 2
    assert "not empty" in capsys.readouterr().err
    assert sorted(Path(folder).iterdir()) == before
