# pyright: reportAttributeAccessIssue=false
"""HandleReloadConfigRequest by the published stub: what it asks for is served and nothing else, or it says why not."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from published_requests import about, predict, reload
from tensorflow_serving.apis import get_model_status_pb2

Code = grpc.StatusCode
State = get_model_status_pb2.ModelVersionStatus


@pytest.fixture
def restored(conforming, models_root) -> Iterator[None]:
    """Each test begins with what `models.config` says."""
    yield
    os.utime(models_root / "models.config")
    conforming._refresh()
    assert conforming.repository.served() == {"conv": [1, 2], "double": [1], "examples": [1]}


@pytest.fixture
def ask(call, restored) -> Callable[[str, Any], Any]:
    return call


def value(ask: Callable[[str, Any], Any], name: str, **spec: Any) -> float:
    response = ask("Predict", predict(name, {"x": np.ones(1, np.float32)}, **spec))
    return tf.make_ndarray(response.outputs["y"]).item()


def refused(ask: Callable[[str, Any], Any], request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        ask("HandleReloadConfigRequest", request)
    return raised.value.code(), raised.value.details() or ""


def state(ask: Callable[[str, Any], Any], name: str) -> list[int]:
    return [one.state for one in ask("GetModelStatus", about("GetModelStatus", name)).model_version_status]


def test_what_it_lists_is_served_and_the_rest_unloaded(ask, conforming, models_root):
    request = reload(("triple", str(models_root / "triple")), ("double", str(models_root / "double")))
    assert ask("HandleReloadConfigRequest", request).status.error_code == 0
    assert conforming.repository.served() == {"double": [2], "triple": [7]}  # the policy is the latest version
    assert value(ask, "triple") == 3.0
    assert value(ask, "double") == 3.0
    with pytest.raises(grpc.RpcError, match="Servable not found for request: Latest\\(conv\\)"):
        ask("Predict", predict("conv"))
    assert state(ask, "conv") == [State.END, State.END]


def test_an_empty_list_unloads_everything(ask, conforming):
    ask("HandleReloadConfigRequest", reload())
    assert conforming.repository.served() == {}


def test_a_label_follows_the_request(ask, models_root):
    path = str(models_root / "double")
    request = reload(("double", path), labels={"best": 2})
    ask("HandleReloadConfigRequest", request)
    assert value(ask, "double", label="best") == 3.0
    request.config.model_config_list.config[0].model_version_policy.all.SetInParent()
    request.config.model_config_list.config[0].version_labels["best"] = 1
    ask("HandleReloadConfigRequest", request)
    assert value(ask, "double", label="best") == 2.0
    assert value(ask, "double") == 3.0


@pytest.mark.parametrize("name", ["nosuch", "nothing"], ids=["no directory", "no version"])
def test_a_model_without_a_version(ask, models_root, name):
    code, details = refused(ask, reload(("double", str(models_root / "double")), (name, f"{models_root}/{name}")))
    assert code is Code.UNKNOWN
    assert details.startswith(f"1 servable(s) did not become available: {name}: ")
    assert value(ask, "double") == 3.0  # what could be loaded is served


def test_a_label_of_a_version_that_is_not_available(ask, models_root):
    code, details = refused(ask, reload(("double", str(models_root / "double")), labels={"best": 9}))
    assert code is Code.FAILED_PRECONDITION
    assert details == (
        "Request to assign label to version 9 of model double, which is not currently available for inference"
    )


@pytest.mark.parametrize(
    ("request_message", "text"),
    [
        (reload(("double", "double")), "got base_path()=double"),
        (reload(("double", "../double")), "got base_path()=../double"),
        (reload(("double", "")), "got base_path()="),
        (reload(("", "/x")), "Every ModelConfig needs a name"),
        (reload(("double", "/x"), ("double", "/y")), "Illegal to list model double multiple times"),
    ],
    ids=["relative", "upwards", "no path", "no name", "name twice"],
)
def test_a_request_that_is_refused_changes_nothing(ask, conforming, request_message, text):
    before = conforming.repository.served()
    code, details = refused(ask, request_message)
    assert code is Code.INVALID_ARGUMENT
    assert text in details
    assert conforming.repository.served() == before


def test_a_models_config_written_afterwards_wins(ask, conforming, models_root):
    ask("HandleReloadConfigRequest", reload(("triple", str(models_root / "triple"))))
    conforming._refresh()
    assert conforming.repository.served() == {"triple": [7]}  # the file that was there before does not
    config = models_root / "models.config"
    text = config.read_text()
    try:
        config.write_text(f'model_config_list {{ config {{ name: "double" base_path: "{models_root / "double"}" }} }}')
        conforming._refresh()
        assert conforming.repository.served() == {"double": [2]}
    finally:
        config.write_text(text)
