"""What is wrong with the path or method, in TensorFlow Serving's words; statuses for gRPC's codes; a failing server."""

import json
import logging

import grpc
import pytest
from post_errors import check_post_error

from serving.rest.responses import status_of

IMAGE = [[[[0]] * 28] * 28]

ERRORS = [
    ("unknown model", "nosuch:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(nosuch)"),
    (
        "unknown version",
        "conv/versions/99:predict",
        {"instances": IMAGE},
        404,
        "Servable not found for request: Specific(conv, 99)",
    ),
    (
        "version too large",
        "conv/versions/9223372036854775808:predict",
        {"instances": IMAGE},
        400,
        "Failed to convert version: 9223372036854775808 to numeric.",
    ),
    (
        "unknown label",
        "conv/labels/canary:predict",
        {"instances": IMAGE},
        400,
        "Unrecognized servable version label: canary",
    ),
    ("a model of no name", ":predict", {}, 400, "Malformed request: POST /v1/models/:predict"),
    ("an action that is none", "conv:train", {}, 400, "Malformed request: POST /v1/models/conv:train"),
    (
        "a path in the name",
        "..%2F..%2Fetc%2Fpasswd:predict",
        {"instances": [1]},
        404,
        "Servable not found for request: Latest(../../etc/passwd)",
    ),
    (
        "a name that is no UTF-8",
        "%FF:predict",
        {"instances": [1]},
        400,
        "Failed to decode model name:%FF",
    ),
]


@pytest.mark.parametrize(
    ("path", "document", "status", "text"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS]
)
def test_post_error(rest, path, document, status, text):
    check_post_error(rest, path, document, status, text)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v1/models/nosuch", 404, "Could not find any versions of model nosuch"),
        ("/v1/models/conv/versions/9", 404, "Could not find version 9 of model conv"),
        ("/v1/models/nosuch/metadata", 404, "Servable not found for request: Latest(nosuch)"),
        ("/v1/models/conv/labels/x/metadata", 400, "Unrecognized servable version label: x"),
        ("/v1/models/conv:predict", 400, "Malformed request: GET /v1/models/conv:predict"),
        ("/v1/models/conv/versions/one", 400, "Malformed request: GET /v1/models/conv/versions/one"),
        ("/v1/elsewhere", 400, "Malformed request: GET /v1/elsewhere"),
        ("/nowhere", 404, "Nothing is at /nowhere. The API is under /v1/models, the web page at /."),
        ("/static/../page.py", 404, None),
        ("/static/%2e%2e/page.py", 404, None),
        ("/static/..%2fpage.py", 404, None),
    ],
    ids=str,
)
def test_get_error(rest_server, path, status, text):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", rest_server.rest_port, timeout=10)
    connection.request("GET", path)  # httpx would tidy the path
    response = connection.getresponse()
    document = json.loads(response.read())
    connection.close()
    assert response.status == status
    assert text is None or document == {"error": text}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_malformed(rest, method):
    response = rest.request(method, "/v1/models/conv")
    assert response.status_code == 400
    assert response.json() == {"error": f"Malformed request: {method} /v1/models/conv"}
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("INVALID_ARGUMENT", 400),
        ("FAILED_PRECONDITION", 400),
        ("UNAUTHENTICATED", 401),
        ("PERMISSION_DENIED", 403),
        ("NOT_FOUND", 404),
        ("RESOURCE_EXHAUSTED", 429),
        ("INTERNAL", 500),
        ("UNKNOWN", 500),
        ("UNIMPLEMENTED", 501),
        ("UNAVAILABLE", 503),
        ("DEADLINE_EXCEEDED", 504),
    ],
)
def test_codes_become_statuses(code, status):
    assert status_of(grpc.StatusCode[code]) == status


def test_what_fails_in_the_server_is_told_and_logged(rest, monkeypatch, caplog):
    from serving.rest import calls

    monkeypatch.setattr(calls, "parse_object", lambda body: 1 / 0)
    with caplog.at_level(logging.ERROR, "serving"):
        response = rest.post("/v1/models/double:predict", json={})
    assert response.status_code == 500
    assert response.json() == {"error": "ZeroDivisionError in /v1/models/double:predict; see the server's log"}
    assert "event=internal_error" in caplog.text
