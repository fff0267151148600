"""Text files with gaps: nginx's configuration and the instructions beside the manifests."""

from __future__ import annotations

import functools
import re
from typing import Any

import jinja2

__all__ = ["render"]


def render(name: str, **values: Any) -> str:
    """The text of a template; a gap without a value is an error."""
    text = _environment().get_template(name).render(**values)
    return re.sub(r"\n{3,}", "\n\n", text)  # gaps that stayed empty


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("serving.deploy", "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # none of them is HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
