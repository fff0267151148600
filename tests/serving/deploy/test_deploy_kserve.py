"""The KServe manifests, by the fields that its documentation asks for; its schemas are in no package."""

from typing import Any

import pytest

from serving.deploy.kserve import service_name
from serving.errors import UsageError


def services(files: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        document
        for name, found in files.items()
        if name.endswith(".yaml")
        for document in found
        if document["kind"] == "InferenceService"
    ]


def test_the_runtime_has_what_kserve_needs(written):
    (runtime,) = written("kserve")["runtime.yaml"]
    assert (runtime["apiVersion"], runtime["kind"]) == ("serving.kserve.io/v1alpha1", "ServingRuntime")
    (found,) = runtime["spec"]["containers"]
    assert found["name"] == "kserve-container"  # the one that it fills in
    assert found["image"] == "tensorflow/serving:2.21.0"
    assert "--rest_api_port=8080" in found["args"]
    assert found["ports"][0]["containerPort"] == 8080
    assert "--model_base_path=/mnt/models" in found["args"]  # where the storage is mounted
    assert found["securityContext"]["readOnlyRootFilesystem"] is True


def test_each_model_has_a_service_of_the_runtime(written, make_root):
    files = written("kserve", root=make_root({"digits": {1: "2.21.0"}, "Sound_v1.5": {3: "2.21.0"}}))
    (runtime,) = files["runtime.yaml"]
    (claim,) = files["models/claim.yaml"]
    found = {service["metadata"]["name"]: service for service in services(files)}
    assert set(found) == {"digits", "sound-v1-5"}
    for service in found.values():
        assert service["apiVersion"] == "serving.kserve.io/v1beta1"
        assert service["metadata"]["namespace"] == runtime["metadata"]["namespace"]
        model = service["spec"]["predictor"]["model"]
        assert model["runtime"] == runtime["metadata"]["name"]
        formats = [(known["name"], known["version"]) for known in runtime["spec"]["supportedModelFormats"]]
        assert (model["modelFormat"]["name"], model["modelFormat"]["version"]) in formats
        assert model["storageUri"].startswith(f"pvc://{claim['metadata']['name']}/")
        assert service["spec"]["predictor"]["minReplicas"] <= service["spec"]["predictor"]["maxReplicas"]
    sound = found["sound-v1-5"]["spec"]["predictor"]["model"]
    assert sound["args"] == ["--model_name=Sound_v1.5"]
    assert sound["storageUri"].endswith("/Sound_v1.5")
    assert sound["readinessProbe"]["httpGet"]["path"] == "/v1/models/Sound_v1.5"
    assert "/v1/models/Sound_v1.5:predict" in files["README.md"]


@pytest.mark.parametrize(
    ("model", "name"),
    [("conv2d", "conv2d"), ("A_b", "a-b"), ("2d", "m-2d"), ("x" * 60, "x" * 40), ("a-.", "a")],
    ids=str,
)
def test_names_become_dns_labels(model, name):
    assert service_name(model) == name


def test_names_that_meet_are_refused(written, make_root):
    with pytest.raises(UsageError, match="Two models would be named a-b"):
        written("kserve", root=make_root({"a.b": {1: "2.21.0"}, "a_b": {1: "2.21.0"}}))


def test_what_kserve_cannot_do_is_warned_of(run, make_root, tmp_path):
    labels = 'model_version_policy { all {} } version_labels { key: "stable" value: 1 }'
    config = f'model_config_list {{ config {{ name: "digits" base_path: "/x" {labels} }} }}'
    root = make_root({"digits": {1: "2.21.0", 2: "2.21.0"}}, config)
    status, _, error = run("kserve", root, "--out", tmp_path / "out")
    assert status == 0
    assert "serves the newest version alone, 2, not 1" in error
    assert "no labels: stable" in error
