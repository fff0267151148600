"""`AsyncClient` where it is not simply `Client`: tasks, cancellation, closing; and the same answers."""

import asyncio
import inspect

import numpy as np
import pytest

from serving import AsyncClient, Client
from serving.errors import InvalidInputError, NotFoundError, UsageError

from .conftest import slow_echo
from .test_client_many import stuck


def test_the_answers_are_those_of_the_client(connect, address, images, expected):
    client = connect(address)
    answers = client.predict("conv", version=1, image=images)
    want = expected("conv", image=images)
    np.testing.assert_allclose(answers["probabilities"], want["probabilities"], rtol=1e-6)
    assert answers["label"].tolist() == want["label"].tolist()
    assert client.metadata("conv", label="stable").version == 1
    assert [(one.version, one.state) for one in client.status("conv")] == [(2, "AVAILABLE"), (1, "AVAILABLE")]
    with pytest.raises(NotFoundError, match="serving status"):
        client.predict("nosuch", image=1)
    with pytest.raises(InvalidInputError, match="astype"):
        client.predict("conv", image=images / 255)


def test_the_methods_are_those_of_the_client():
    def public(kind):
        return {
            name: inspect.signature(member).parameters
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert public(AsyncClient) == public(Client)
    assert {"predict", "predict_many", "classify", "regress", "multi_inference"} <= public(Client).keys()


def test_tasks_share_a_client(scripted):
    scripted.scripts["Predict"] = [slow_echo]

    async def ask() -> list[int]:
        async with AsyncClient(scripted.address) as client:
            answers = await asyncio.gather(*(client.predict("m", x=[index]) for index in range(20)))
        return [int(answer["x"][0]) for answer in answers]

    assert asyncio.run(ask()) == list(range(20))
    assert scripted.most_running > 1


def test_a_cancelled_task_cancels_its_request(scripted):
    scripted.scripts["Predict"] = [stuck]

    async def ask() -> None:
        async with AsyncClient(scripted.address) as client:
            await asyncio.wait_for(client.predict("m", x=[1.0], timeout_s=30), 0.2)

    with pytest.raises(TimeoutError):
        asyncio.run(ask())


def test_a_closed_client_says_so(connect, scripted):
    client = connect(scripted.address)
    client.close()
    with pytest.raises(UsageError, match="closed"):
        client.status("m")
