"""Requests of the page's forms: sent with the button, read where the page shows them."""

import json
from typing import Any


def sent(page: Any) -> dict[str, Any]:
    """The body of the request that the page shows."""
    return json.loads(page.wait("document.querySelector('#request')?.textContent").partition("\n\n")[2])


def ask(page: Any) -> str:
    page.run("document.querySelector('#answer')?.replaceChildren()")
    page.click("#try button.main")
    return page.text("#answer")
