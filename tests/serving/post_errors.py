"""What a POST that is refused answers."""

import json
from typing import Any

import httpx


def check_post_error(rest: httpx.Client, path: str, document: Any, status: int, text: str) -> None:
    """The body and status of `document` sent to a path of models."""
    response = rest.post(f"/v1/models/{path}", content=json.dumps(document))
    assert response.json() == {"error": text}
    assert response.status_code == status
