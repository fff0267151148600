"""Asks a host, quickly, whether it would answer."""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

from zoo.errors import DataUnavailableError

__all__ = ["check_reachable"]

_TIMEOUT_S = 6.0
_answered: set[str] = set()


def check_reachable(url: str) -> None:
    """Raises `DataUnavailableError` within 6 s if nothing can be had from `url`; proxies are those of the environment.

    A host that has answered is not asked again by this process. Urls of other kinds than http(s) are not checked. A
    thread asks, since the look-up of a name has no timeout.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.netloc in _answered:
        return
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(_ask(url)), daemon=True)
    thread.start()
    thread.join(_TIMEOUT_S)
    trouble = found[0] if found else f"no answer within {_TIMEOUT_S:.0f} s"
    if trouble:
        raise DataUnavailableError(f"The host {parts.netloc} cannot be reached for {url}: {trouble}.")
    _answered.add(parts.netloc)


def _ask(url: str) -> str:
    """Returns what is wrong with the answer to a request for `url`, of which only the head is read."""
    import requests

    try:
        with requests.get(url, stream=True, timeout=_TIMEOUT_S / 2) as response:
            answered = response.status_code < 400
            return "" if answered else f"HTTP status {response.status_code}"
    except requests.exceptions.ProxyError as error:
        return f"the proxy refused ({_reason(error)})"
    except requests.exceptions.Timeout:
        return f"no answer within {_TIMEOUT_S / 2:.0f} s"
    except requests.exceptions.RequestException as error:
        return _reason(error)


def _reason(error: BaseException) -> str:
    """Returns the last part of a chain of errors, which names the trouble."""
    return str(error).rsplit("Caused by ", 1)[-1].strip("() ")
