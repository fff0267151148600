"""What is not asked of one model: probes, metrics, the list of models, and the numbers that the web page draws.

The probes need no token and name no model. The others need the right `metadata`, and show the models that the caller
has it on; metrics, which cannot be parted, need it on every model. On a server without tokens all is open.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import grpc

from serving.api.service import Origin, Service
from serving.errors import RequestError
from serving.metrics import CONTENT_TYPE
from serving.security.access import Caller, Right
from serving.security.gate import Call

__all__ = ["CONTENT_TYPE", "Readiness", "list_models", "metrics_text", "ready_report", "request_totals"]

EVERY_MODEL = "*"  # as rules of tokens write it; no model's name


@dataclasses.dataclass(slots=True)
class Readiness:
    """Whether new requests are wanted here."""

    draining: bool = False


def ready_report(service: Service, readiness: Readiness) -> tuple[dict[str, Any], bool]:
    """How many models are wanted and how many can answer; and whether the server is ready.

    It is from its first complete look at the disk, which comes before it listens, until it drains. A model that cannot
    be loaded does not make it unready: the others would be lost with it. Ask for the model's own state instead.
    """
    wanted = service.repository.model_names()
    served = service.repository.served()
    ready = not readiness.draining
    return {"ready": ready, "models": len(wanted), "available": sum(name in served for name in wanted)}, ready


def list_models(service: Service, caller: Caller, origin: Origin) -> dict[str, Any]:
    """The models that the caller may see, with their versions as GetModelStatus has them.

    Raises:
        RequestError: the caller may see none.
    """
    with _admitted(service, caller, origin, "ListModels"):
        repository = service.repository
        names = {*repository.model_names(), *repository.served()}
        return {
            "models": [
                {"name": name, "model_version_status": [_version(status) for status in repository.status(name)]}
                for name in sorted(names)
                if caller.may(Right.METADATA, name)
            ]
        }


def _version(status: Any) -> dict[str, Any]:
    return {
        "version": str(status.version),
        "state": status.state.name,
        "status": {"error_code": status.code.name, "error_message": status.message},
    }


def request_totals(service: Service, caller: Caller, origin: Origin) -> dict[str, Any]:
    """Counts and latencies since the start, as `Metrics.totals` has them, with the server's time in seconds.

    Raises:
        RequestError: the caller may see no model.
    """
    with _admitted(service, caller, origin, "RequestTotals"):
        totals = [line for line in service.metrics.totals() if line["model"] and _may_see(caller, line["model"])]
        return {"time_s": time.monotonic(), "totals": totals}


def metrics_text(service: Service, caller: Caller, origin: Origin) -> bytes:
    """The metrics in Prometheus's text format.

    Raises:
        RequestError: PERMISSION_DENIED unless the caller may see every model.
    """
    names = (EVERY_MODEL, *service.repository.model_names())
    if not all(_may_see(caller, name) for name in names):
        raise RequestError(
            grpc.StatusCode.PERMISSION_DENIED,
            f"Caller {caller.name!r} lacks the right 'metadata' on every model ('*:metadata'), which the metrics need. "
            f"Ask whoever runs this server for a token with it.",
        )
    with _admitted(service, caller, origin, "Metrics"):
        return service.metrics.text()


def _may_see(caller: Caller, model: str) -> bool:
    return caller.may(Right.METADATA, model)


def _admitted(service: Service, caller: Caller, origin: Origin, method: str) -> Any:
    """Checked, limited and logged like a call of the API."""
    call = Call(transport=origin.transport, method=method, right=Right.METADATA, model="", peer=origin.peer)
    return service.gate.admit(caller, call)
