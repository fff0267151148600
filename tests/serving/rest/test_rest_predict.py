"""The API over HTTP: formats, versions, metadata, status, classify and regress, against TensorFlow's own answers."""

import base64
import json

import numpy as np
import pytest

from serving.rest.paths import ModelPath, parse_path


def ask(rest, path: str, document) -> dict:
    response = rest.post(f"/v1/models/{path}", json=document)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


@pytest.mark.parametrize(
    ("path", "source"),
    [("conv", "conv_b"), ("conv/versions/1", "conv"), ("conv/versions/2", "conv_b"), ("conv/labels/stable", "conv")],
    ids=["latest", "version 1", "version 2", "label"],
)
def test_rows_are_answered_as_tensorflow_answers(rest, expected, images, path, source):
    rows = ask(rest, f"{path}:predict", {"instances": images.tolist()})["predictions"]
    want = expected(source, image=images)
    got = np.array([row["probabilities"] for row in rows], np.float32)
    np.testing.assert_allclose(got, want["probabilities"], rtol=1e-6)
    assert [row["class_id"] for row in rows] == want["class_id"].tolist()
    assert [row["label"].encode() for row in rows] == want["label"].tolist()


def test_columns_are_answered_in_columns(rest, expected, images):
    outputs = ask(rest, "conv:predict", {"inputs": {"image": images.tolist()}})["outputs"]
    want = expected("conv_b", image=images)
    np.testing.assert_allclose(np.array(outputs["probabilities"], np.float32), want["probabilities"], rtol=1e-6)
    assert outputs["class_id"] == want["class_id"].tolist()


def test_the_name_of_an_only_input_may_be_given_or_left_out(rest):
    for document in (
        {"instances": [1, 2.5]},
        {"instances": [{"x": 1}, {"x": 2.5}]},
    ):
        assert ask(rest, "double:predict", document) == {"predictions": [2.0, 5.0]}
    for inputs in ([1, 2.5], {"x": [1, 2.5]}, {"x": [1, 2.5], "unknown": 3}):
        assert ask(rest, "double:predict", {"inputs": inputs}) == {"outputs": [2.0, 5.0]}


def test_two_inputs_and_open_dimensions(rest, expected):
    frames = np.random.default_rng(0).normal(size=(3, 7, 12)).astype(np.float32)
    mask = np.arange(7) < np.array([[7], [3], [1]])
    want = expected("sequence", frames=frames, padding_mask=mask)["mean"]
    columns = {"frames": frames.tolist(), "padding_mask": mask.tolist()}
    rows = [{"frames": one.tolist(), "padding_mask": kept.tolist()} for one, kept in zip(frames, mask, strict=True)]
    for document, key in (({"inputs": columns}, "outputs"), ({"instances": rows}, "predictions")):
        got = ask(rest, "sequence:predict", document)[key]
        np.testing.assert_allclose(np.array(got, np.float32), want, rtol=1e-5)


def test_strings_and_scalars(rest):
    for given, answered in (("hé", "hé"), ({"b64": base64.b64encode(b"\xff").decode()}, {"b64": "/w=="})):
        document = {"signature_name": "echo", "inputs": given}
        assert ask(rest, "double:predict", document) == {"outputs": answered}
    document = {"signature_name": "lengths", "instances": [["a", {"b64": "YWI="}]]}
    assert ask(rest, "double:predict", document) == {"predictions": [[1, 2]]}


def test_several_outputs_of_other_shapes_fit_columns_alone(rest):
    document = {"signature_name": "half", "inputs": [1, 2]}
    assert ask(rest, "double:predict", document) == {"outputs": {"half": [1.0, 2.0], "largest": 2.0}}


def test_no_numbers_go_in_and_out(rest):
    response = rest.post("/v1/models/double:predict", content=b'{"instances": [-Infinity, 1]}')
    assert response.text == '{"predictions": [-Infinity, 2.0]}'


def test_classify(rest):
    document = {"signature_name": "classify", "examples": [{"x": 2.0}, {"x": [4.0], "name": "n"}]}
    assert ask(rest, "examples:classify", document) == {
        "results": [
            [["small", 3.0], ["große", 4.0], ["huge", 5.0]],
            [["small", 4.0], ["große", 5.0], ["huge", 6.0]],
        ]
    }


def test_regress_with_a_context(rest):
    document = {"signature_name": "regress", "context": {"x": 8.0}, "examples": [{}, {"x": 2.0}]}
    assert ask(rest, "examples/versions/1:regress", document) == {"results": [6.0, 3.0]}


def test_features_of_bytes(rest):
    examples = [{"x": 1.0, "name": {"b64": "YQ=="}}, {"x": 1.0, "name": ["b"]}]
    got = ask(rest, "examples:classify", {"signature_name": "classes", "examples": examples})["results"]
    assert [row[0][0] for row in got] == ["a", "b"]


def test_metadata_is_what_grpc_says(rest, rest_server):
    from serving import Client

    document = rest.get("/v1/models/conv/labels/stable/metadata").json()
    assert document["model_spec"] == {"name": "conv", "signature_name": "", "version": "1"}
    image = document["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["image"]
    assert image["dtype"] == "DT_UINT8"
    assert [dim["size"] for dim in image["tensor_shape"]["dim"]] == ["-1", "28", "28", "1"]
    with Client(f"127.0.0.1:{rest_server.port}") as client:
        signatures = client.metadata("conv").signatures
    assert set(document["metadata"]["signature_def"]["signature_def"]) >= set(signatures)


def test_status(rest):
    ok = {"error_code": "OK", "error_message": ""}
    versions = [{"version": version, "state": "AVAILABLE", "status": ok} for version in ("2", "1")]
    assert rest.get("/v1/models/conv").json() == {"model_version_status": versions}
    assert rest.get("/v1/models/conv/versions/1").json() == {"model_version_status": versions[1:]}
    assert rest.get("/v1/models/conv/labels/stable").json() == {"model_version_status": versions[1:]}
    (broken,) = rest.get("/v1/models/broken").json()["model_version_status"]
    assert broken["state"] == "END"
    assert broken["status"]["error_code"] != "OK"
    assert "3" in broken["status"]["error_message"]


def test_models_are_listed_with_their_versions(rest):
    models = {one["name"]: one["model_version_status"] for one in rest.get("/v1/models").json()["models"]}
    assert set(models) == {"broken", "conv", "double", "examples", "sequence"}
    assert [one["version"] for one in models["conv"]] == ["2", "1"]
    assert models["broken"][0]["state"] == "END"


@pytest.mark.parametrize("path", ["/V1/Models/double:predict", "/v1/models/d%6Fuble:predict"], ids=["case", "encoded"])
def test_paths_are_read_as_tensorflow_serving_reads_them(rest, path):
    assert rest.post(path, json={"instances": [1]}).json() == {"predictions": [2.0]}


def test_a_path_is_parsed_before_it_is_decoded():
    assert parse_path("POST", "/v1/models/a%2F..%3Ab/labels/x%20y:classify") == ModelPath(
        name="a/..:b", version=None, label="x y", action="classify"
    )


def test_a_body_in_gzip(rest):
    import gzip

    content = gzip.compress(json.dumps({"instances": [1]}).encode())
    response = rest.post("/v1/models/double:predict", content=content, headers={"content-encoding": "gzip"})
    assert response.json() == {"predictions": [2.0]}
