"""The client's other calls on our own server: examples, and a change of what is served."""

import pytest
from example_models import write_half_plus_two, write_native

from serving import ClassScore, Client, ModelConfig
from serving.errors import InvalidInputError, NotFoundError, RequestError


@pytest.fixture(scope="module")
def served(tmp_path_factory, publish):
    """A client of a server of its own, for what it serves is changed here; and its root."""
    from serving.options import ServerOptions
    from serving.server import Server

    root = tmp_path_factory.mktemp("examples")
    for name, write in (("half_plus_two", write_half_plus_two), ("native", write_native)):
        (root / name).mkdir()
        write(root / name / "1")
    publish("double", root / "native" / "2")
    (root / "models.config").write_text(
        'model_config_list { config { name: "half_plus_two" base_path: "/models/half_plus_two" } }'
    )
    server = Server(root, ServerOptions(port=0, poll_seconds=0))
    server.start()
    with Client(f"127.0.0.1:{server.port}") as client:
        yield client, root
    server.stop(5)


def test_classify(served):
    client, _ = served
    (classes,) = client.classify("half_plus_two", [{"x": 2.0}], signature="classify")
    assert [one.score for one in classes] == [3.0, 4.0, 5.0]
    assert all(isinstance(one, ClassScore) and one.label for one in classes)


def test_regress(served):
    client, _ = served
    assert client.regress("half_plus_two", [{"x": 2.0}, {"x": -4.0}], signature="regress").tolist() == [3.0, 0.0]


def test_features_of_all_examples(served):
    client, _ = served
    assert client.regress("half_plus_two", [{}], context={"x": 2.0}, signature="regress").tolist() == [3.0]


def test_multi_inference(served):
    client, _ = served
    answer = client.multi_inference("half_plus_two", [{"x": 2.0}], classify=["classify"], regress=["regress"])
    assert [one.score for one in answer.classifications["classify"][0]] == [3.0, 4.0, 5.0]
    assert answer.regressions["regress"].tolist() == [3.0]


def test_an_example_that_does_not_fit(served):
    client, _ = served
    with pytest.raises(InvalidInputError):
        client.regress("half_plus_two", [{"x": "text"}], signature="regress")


def test_reload(served):
    client, root = served
    with pytest.raises(NotFoundError):
        client.metadata("native")
    here = [ModelConfig(name=name, base_path=root / name) for name in ("half_plus_two", "native")]
    client.reload([here[0], ModelConfig(name="native", base_path=root / "native", versions="all", labels={"old": 1})])
    assert [(one.version, one.state) for one in client.status("native")] == [(2, "AVAILABLE"), (1, "AVAILABLE")]
    assert client.metadata("native", label="old").version == 1
    client.reload(here)
    assert client.metadata("native").version == 2
    with pytest.raises(RequestError):
        client.predict("native", version=1, x=[1.0])
    with pytest.raises(InvalidInputError, match="relative"):
        client.reload([ModelConfig(name="native", base_path="relative")])
    assert client.predict("native", x=[1.0])["y"].tolist() == [2.0]
