"""The Kubernetes manifests: valid in every version that has the fields, and right in what they refer to."""

import functools
import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
from kubernetes_validate import utils as schemas

from serving.errors import UsageError

VERSIONS = ("1.31", "1.37")
CHOICES = {
    "default": {},
    "batching": {"batching": True, "cpus": 8, "replicas": 4},
    "mtls": {"auth": "mtls"},
    "both": {"auth": "both", "clients_from": ("web", "batch")},
    "image volume": {"models_from": "image-volume", "models_image": "example.org/models:7"},
    "init image": {"models_from": "init-image", "models_image": "example.org/models:7"},
}


@pytest.fixture(autouse=True, scope="module")
def schemas_read_once() -> Iterator[None]:
    """The package reads a megabyte of definitions anew for each document."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schemas, "schema_contents", functools.cache(schemas.schema_contents))
        yield


@pytest.fixture(params=CHOICES.values(), ids=list(CHOICES))
def files(request, written) -> dict[str, Any]:
    return written("kubernetes", **request.param)


def documents(files: dict[str, Any]) -> list[dict[str, Any]]:
    return [document for name, found in files.items() if name.endswith(".yaml") for document in found]


def one(files: dict[str, Any], kind: str, name: str | None = None) -> dict[str, Any]:
    (found,) = (
        document
        for document in documents(files)
        if document["kind"] == kind and name in (None, document["metadata"]["name"])
    )
    return found


def pod(files: dict[str, Any]) -> dict[str, Any]:
    return one(files, "Deployment")["spec"]["template"]["spec"]


def container(files: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (found for found in pod(files)["containers"] if found["name"] == name)
    return found


def flags(files: dict[str, Any]) -> dict[str, str]:
    return dict(flag.removeprefix("--").split("=", 1) for flag in container(files, "model-server")["args"])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_fits_the_schema(files, version):
    builtin = [document for document in documents(files) if document["kind"] != "PodMonitor"]
    assert {document["kind"] for document in builtin} >= {
        "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service",
        "ServiceAccount",
    }  # fmt: skip
    for document in builtin:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_schema_refuses_what_is_wrong(written):
    deployment = one(written("kubernetes"), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(deployment, VERSIONS[0], strict=True)


def test_the_image_is_that_of_the_exports(written, make_root):
    root = make_root({"a": {1: "2.19.0"}, "b": {1: "2.20.0"}})
    files = written("kubernetes", root=root)
    assert container(files, "model-server")["image"] == "tensorflow/serving:2.20.0"
    assert pod(files)["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
    own = written("kubernetes", root=root, image="example.org/own:1")
    assert container(own, "model-server")["image"] == "example.org/own:1"
    assert "nodeSelector" not in pod(own)


def test_probes_refer_to_ports_and_models_that_are_there(files):
    for found in pod(files)["containers"]:
        ports = {port["name"] for port in found["ports"]}
        probes = [probe for key, probe in found.items() if key.endswith("Probe")]
        assert len(probes) >= 2
        for probe in probes:
            assert (probe.get("httpGet") or probe["tcpSocket"])["port"] in ports
    server = container(files, "model-server")
    assert server["startupProbe"]["httpGet"]["path"] == "/v1/models/digits"
    numbers = {port["name"]: str(port["containerPort"]) for port in server["ports"]}
    assert numbers == {"grpc": flags(files)["port"], "rest": flags(files)["rest_api_port"]}


def test_selectors_meet_the_pods_and_not_the_loader(files):
    labels = one(files, "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        one(files, "Deployment")["spec"]["selector"]["matchLabels"],
        one(files, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(files, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        one(files, "PodMonitor")["spec"]["selector"]["matchLabels"],
        *(found["spec"]["selector"] for found in documents(files) if found["kind"] == "Service"),
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
    for loader in (found for found in documents(files) if found["kind"] == "Pod"):
        assert not selectors[0].items() <= loader["metadata"]["labels"].items()


def test_every_volume_is_there_and_every_file_that_is_named(files):
    spec = pod(files)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for found in [*spec["containers"], *spec.get("initContainers", [])]:
        assert {mount["name"] for mount in found["volumeMounts"]} <= set(volumes)
    used = {mount["name"] for found in spec["containers"] for mount in found["volumeMounts"]}
    assert used == set(volumes)
    server = one(files, "ConfigMap", volumes["server-config"]["configMap"]["name"])
    named = {value.rpartition("/")[2] for flag, value in flags(files).items() if flag.endswith("_file")}
    assert named == set(server["data"])
    mounts = {mount["name"]: mount["mountPath"] for mount in container(files, "model-server")["volumeMounts"]}
    folders = {value.rpartition("/")[0] for flag, value in flags(files).items() if flag.endswith("_file")}
    assert folders == {mounts["server-config"]}
    proxy = one(files, "ConfigMap", volumes["proxy-config"]["configMap"]["name"])
    assert container(files, "proxy")["command"][2].rpartition("/")[2] in proxy["data"]
    mounted = {mount["mountPath"] for mount in container(files, "proxy")["volumeMounts"]}
    included = re.findall(r'(?:include|ssl_\w+) "([^"]+)/[^"/]+";', proxy["data"]["nginx.conf"])
    assert set(included) <= mounted
    assert len(included) >= 2


def test_services_lead_to_ports_of_nginx_alone(files):
    ports = {port["name"]: port["containerPort"] for port in container(files, "proxy")["ports"]}
    services = [found for found in documents(files) if found["kind"] == "Service"]
    assert sorted(found["spec"].get("clusterIP", "") for found in services) == ["", "None"]
    for service in services:
        assert all(port["port"] == ports[port["targetPort"]] for port in service["spec"]["ports"])
    for rule in one(files, "NetworkPolicy")["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= set(ports)
    listens = re.findall(
        r"listen 0\.0\.0\.0:(\d+)", one(files, "ConfigMap", "model-server-proxy")["data"]["nginx.conf"]
    )
    assert sorted(map(int, listens)) == sorted(ports.values())


def test_only_callers_and_monitoring_get_in_and_nothing_goes_out(files):
    spec = one(files, "NetworkPolicy")["spec"]
    assert spec["egress"] == []
    callers, monitoring = spec["ingress"]
    assert [port["port"] for port in monitoring["ports"]] == ["health"]
    assert {"podSelector": {}} in callers["from"]
    assert all(rule["from"] for rule in spec["ingress"])  # an empty list would mean everybody


def test_more_namespaces_can_be_let_in(written):
    callers, _ = one(written("kubernetes", clients_from=("web",)), "NetworkPolicy")["spec"]["ingress"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "web"}}} in callers["from"]


def test_the_pods_are_restricted(files):
    """As the Pod Security Standard `restricted` asks, and with a root file system that is read only."""
    found = [*documents(files), {"spec": pod(files)}]
    specs = [document["spec"] for document in found if "containers" in document.get("spec", {})]
    for spec in specs:
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for found in [*spec["containers"], *spec.get("initContainers", [])]:
            security = found["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
            assert security["runAsUser"] > 0
            assert found["resources"]["limits"]["memory"]
        assert not any("hostPath" in volume for volume in spec["volumes"])
    assert one(files, "ServiceAccount")["metadata"]["name"] == pod(files)["serviceAccountName"]


def test_the_models_are_read_only_for_the_server(files):
    mounts = {mount["name"]: mount for mount in container(files, "model-server")["volumeMounts"]}
    assert (mounts["models"]["mountPath"], mounts["models"]["readOnly"]) == ("/models", True)
    config = one(files, "ConfigMap", "model-server-server")["data"]["models.config"]
    assert 'base_path: "/models/digits"' in config


@pytest.mark.parametrize("choice", ["default", "init image", "image volume"])
def test_where_the_models_come_from(written, choice):
    files = written("kubernetes", **CHOICES[choice])
    (volume,) = (volume for volume in pod(files)["volumes"] if volume["name"] == "models")
    mounts = {mount["name"]: mount for mount in container(files, "model-server")["volumeMounts"]}
    if choice == "default":
        claim = one(files, "PersistentVolumeClaim")
        assert volume["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"], "readOnly": True}
        loader = one(files, "Pod")["spec"]
        assert loader["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    elif choice == "init image":
        (copy,) = pod(files)["initContainers"]
        assert (copy["image"], volume["emptyDir"]) == ("example.org/models:7", {})
        assert "models" in {mount["name"] for mount in copy["volumeMounts"]}
    else:
        assert volume["image"]["reference"] == "example.org/models:7"
        assert mounts["models"]["subPath"] == "models"  # of the image, whose root would be mounted otherwise


def test_scaling_and_disruptions_leave_servers(files):
    scaler, budget = one(files, "HorizontalPodAutoscaler")["spec"], one(files, "PodDisruptionBudget")["spec"]
    assert scaler["scaleTargetRef"]["name"] == one(files, "Deployment")["metadata"]["name"]
    assert 2 <= scaler["minReplicas"] <= scaler["maxReplicas"]
    assert 1 <= budget["maxUnavailable"] < scaler["minReplicas"]
    assert "replicas" not in one(files, "Deployment")["spec"]
    assert all("cpu" in found["resources"]["requests"] for found in pod(files)["containers"])  # what it measures


def test_a_pod_ends_in_order(written):
    files = written("kubernetes", drain_s=7, timeout_s=20)
    sleeps = {
        found["name"]: int(found["lifecycle"]["preStop"]["exec"]["command"][1]) for found in pod(files)["containers"]
    }
    assert sleeps == {"proxy": 7, "model-server": 27}
    assert pod(files)["terminationGracePeriodSeconds"] > sleeps["model-server"]
    assert "worker_shutdown_timeout 20s;" in one(files, "ConfigMap", "model-server-proxy")["data"]["nginx.conf"]


def test_the_flags_are_those_measured(written):
    plain = flags(written("kubernetes", cpus=3))
    assert plain["tensorflow_intra_op_parallelism"] == "1"
    assert plain["tensorflow_inter_op_parallelism"] == "3"
    assert int(plain["grpc_max_threads"]) >= 64
    assert not {"enable_batching", "batching_parameters_file", "allow_version_labels_for_unavailable_models"} & set(
        plain
    )


def test_batching_and_labels_bring_their_flags(written, make_root):
    labels = 'version_labels { key: "stable" value: 1 }'
    root = make_root(config=f'model_config_list {{ config {{ name: "digits" base_path: "/x" {labels} }} }}')
    found = flags(written("kubernetes", root=root, batching=True, concurrency=500))
    assert found["enable_batching"] == "true"
    assert found["allow_version_labels_for_unavailable_models"] == "true"
    assert int(found["grpc_max_threads"]) >= 500


def test_a_change_of_the_front_brings_new_pods_and_one_of_the_models_does_not(written, make_root):
    def checksum(files: dict[str, Any]) -> str:
        return one(files, "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    root = make_root()
    before = checksum(written("kubernetes", root=root))
    make_root({"second": {1: "2.21.0"}})
    assert checksum(written("kubernetes", root=root)) == before
    assert checksum(written("kubernetes", root=root, timeout_s=9)) != before


def test_the_instructions_name_what_is_there(files):
    text = files["README.md"]
    assert "{{" not in text
    assert "{%" not in text
    spec = pod(files)
    for volume in spec["volumes"]:
        if "secret" in volume:
            assert f"create secret generic {volume['secret']['secretName']} " in text
    headless = one(files, "Service", "model-server-headless")
    assert f"dns:///{headless['metadata']['name']}.{headless['metadata']['namespace']}.svc.cluster.local:8443" in text
    assert f"deployment/{one(files, 'Deployment')['metadata']['name']}" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "Model_Server"}, "DNS label"),
        ({"name": "x; kubectl delete"}, "DNS label"),
        ({"namespace": "a/b"}, "DNS label"),
        ({"clients_from": ("ok", "-no")}, "DNS label"),
        ({"image": "a b"}, "must be an image"),
        ({"models_from": "image-volume"}, "needs `models_image`"),
        ({"models_image": "example.org/m:1"}, "no effect"),
        ({"max_replicas": 1}, "at least `replicas`"),
        ({"cpus": 0}, "at least 1"),
        ({"auth": "none"}, "must be one of"),
    ],
    ids=str,
)
def test_choices_are_checked(written, options, message):
    with pytest.raises(UsageError, match=message):
        written("kubernetes", **options)
