"""`model.tflite`: what it answers, by which names, and how it fails."""

import logging
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import litert_files
import numpy as np
import pytest
from tensorflow.core.protobuf import meta_graph_pb2

from serving.engines.litert import LiteRTPredictor
from serving.engines.litert_pool import Worker
from serving.engines.litert_runtime import has_package, new_interpreter
from serving.engines.tensorflow import TensorFlowPredictor
from serving.errors import InvalidInputError, ModelLoadError, RequestError

KEY = "serving_default"


@pytest.fixture
def load(lite_models: pathlib.Path) -> Iterator[Callable[..., LiteRTPredictor]]:
    """Load a version directory by its name or path; closed after the test."""
    opened = []

    def open_version(path: str | pathlib.Path, **options: Any) -> LiteRTPredictor:
        opened.append(LiteRTPredictor(lite_models / path, verified=True, **options))
        return opened[-1]

    yield open_version
    for predictor in opened:
        predictor.close()


def pictures(rows: int, seed: int = 0) -> list[np.ndarray]:
    return [np.random.default_rng(seed).random((rows, 12, 12, 1), dtype=np.float32)]


def words(tokens: list, mask: list) -> list[np.ndarray]:
    """In the order of the signature's names."""
    return [np.array(mask, bool), np.array(tokens, np.int32)]


def resaved(lite_models: pathlib.Path, tmp_path: pathlib.Path, content: bytes) -> pathlib.Path:
    """`images` with metadata."""
    return litert_files.changed(
        lite_models / "images", tmp_path / "1", lambda model: litert_files.add_metadata(model, content)
    )


def definition(*, image: str, probabilities: str) -> bytes:
    document: Any = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    document.inputs["picture"].name, document.inputs["picture"].dtype = image, 1
    document.outputs["scores"].name, document.outputs["scores"].dtype = probabilities, 1
    return document.SerializeToString()


def tensor_names(predictor: LiteRTPredictor) -> dict[str, str]:
    shown: Any = predictor.signature_defs[KEY]
    (image,), (probabilities,) = shown.inputs.values(), shown.outputs.values()
    return {"image": image.name, "probabilities": probabilities.name}


def test_float32_answers_are_those_of_the_saved_model(load, lite_models):
    lite, plain = load("images"), TensorFlowPredictor(lite_models / "images")
    assert lite.signatures[KEY] == plain.signatures[KEY]
    for rows in (1, 5, 2, 1):
        (got,), (want,) = lite.run(KEY, pictures(rows)).values(), plain.run(KEY, pictures(rows)).values()
        assert got.shape == (rows, 3)
        np.testing.assert_allclose(got, want, atol=1e-6)
    plain.close()


def test_answers_outlive_the_next_call(load):
    predictor = load("images")
    (first,) = predictor.run(KEY, pictures(2, seed=1)).values()
    kept = first.copy()
    (second,) = predictor.run(KEY, pictures(2, seed=2)).values()
    np.testing.assert_array_equal(first, kept)
    assert (second != kept).any()


def test_signatures_of_one_file_take_turns_at_any_size(load):
    predictor = load("two", num_interpreters=1)
    assert predictor.signatures["embed"].inputs["tokens"].shape == (None, None)
    wide = np.eye(1024, dtype=np.float32)
    rows = predictor.run("dense", [wide])["y"]
    for count in (3, 1, 3):
        np.testing.assert_allclose(predictor.run("dense", [wide[:count]])["y"], rows[:count], atol=1e-6)
        total = predictor.run("embed", words([[1, 2, 0]] * count, [[1, 1, 0]] * count))["total"]
        np.testing.assert_array_equal(total, [[9, 11, 13]] * count)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("b", np.array([True, False])),
        ("f16", np.array([1.5, -np.inf], np.float16)),
        ("f64", np.array([1e300, 0.1])),
        ("i64", np.array([2**62, -1])),
        ("s", np.array([b"a\0b\0", b"\xff"], object)),
        ("u8", np.array([255, 0], np.uint8)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_type_goes_in_and_out(load, name, array):
    predictor = load("types")
    signature = predictor.signatures["types"]
    assert signature.inputs[name].dtype.numpy == array.dtype
    inputs = [array if key == name else np.zeros(2, spec.dtype.numpy) for key, spec in signature.inputs.items()]
    inputs[list(signature.inputs).index("s")] = array if name == "s" else np.array([b"", b""], object)
    got = predictor.run("types", inputs)[f"{name}_out"]
    assert got.dtype == array.dtype
    assert got.tolist() == [array.tolist()]


@pytest.mark.parametrize("text", [b"ab\0", b"", b"\xff\0a"], ids=["trailing NUL", "empty", "no UTF-8"])
def test_a_scalar_string_is_its_text_and_not_its_address(load, text):
    got = load("types").run("echo", [np.array(text, object)])
    assert got["row"].tolist() == [text]
    assert got["scalar"].shape == ()
    assert got["scalar"].item() == text


def test_a_request_does_not_begin_where_another_ended(load, lite_models):
    x = np.ones((1, 2, 1), np.float32)
    predictor = load("recurrent")
    answers = [predictor.run(KEY, [x])["y"].ravel().tolist() for _ in range(2)]
    assert answers == [[1, 2], [1, 2]]
    left_alone = Worker(new_interpreter((lite_models / "recurrent" / "model.tflite").read_bytes()), keeps_state=False)
    call = predictor._calls[KEY]
    assert [left_alone.run(call, [x])["y"].ravel().tolist() for _ in range(2)] == [[1, 2], [3, 4]]


def test_many_threads_each_get_their_own_answer(load):
    predictor = load("images", num_interpreters=3)
    batches = [pictures(1 + index % 4, seed=index) for index in range(8)]
    want = [predictor.run(KEY, batch) for batch in batches]
    wrong = []

    def ask(index: int) -> None:
        for _ in range(50):
            got = predictor.run(KEY, batches[index])
            if any((got[name] != want[index][name]).any() for name in got):
                wrong.append(index)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("inputs", "kind", "code", "text"),
    [
        (
            words([[1, 2, 3]], [[1, 1, 1, 1]]),
            InvalidInputError,
            grpc.StatusCode.INVALID_ARGUMENT,
            r"do not fit .* padding_mask \[1, 4\], tokens \[1, 3\]",
        ),
        (words([[99]], [[1]]), RequestError, grpc.StatusCode.INTERNAL, "^Failed to run interpreter. LiteRT: gather"),
    ],
    ids=["shapes of two inputs", "value out of range"],
)
def test_a_failed_request_leaves_nothing_behind(load, inputs, kind, code, text):
    predictor = load("two", num_interpreters=1)
    for _ in range(2):
        with pytest.raises(kind, match=text) as caught:
            predictor.run("embed", inputs)
        assert caught.value.code is code
        assert caught.value.details.count("Node number") == 1  # nothing of the error before
        assert predictor.run("embed", words([[1]], [[1]]))["total"].tolist() == [[3, 4, 5]]


def test_sizes_that_do_not_fit_the_graph_are_refused_and_others_are_not(load):
    predictor = load("types")  # whose `triples` does not fit at the sizes of 1 that stand in the file
    for length in (6, 2, 3):
        x = np.ones((2, length), np.float32)
        if length == 2:
            with pytest.raises(InvalidInputError, match=r"do not fit the model.* x \[2, 2\]"):
                predictor.run("triples", [x])
        else:
            assert predictor.run("triples", [x])["triples"].shape == (2 * length / 3, 3)


def test_a_window_over_any_length_needs_a_library_that_checks_it(load):
    if not has_package():
        with pytest.raises(ModelLoadError, match="convolutions over inputs of any size.* Install `ai-edge-litert`"):
            load("windows")
        return
    predictor = load("windows")
    for length in (8, 2, 5):
        frames = np.ones((2, length, 3), np.float32)
        if length == 2:
            with pytest.raises(InvalidInputError, match=r"do not fit the model.* frames \[2, 2, 3\]"):
                predictor.run("windows", [frames])
        else:
            assert predictor.run("windows", [frames])["features"].shape == (2, length - 4, 2)


def test_a_window_that_is_padded_or_of_one_frame_takes_any_length(load):
    predictor = load("padded")
    for length in (8, 1, 3):
        frames = np.ones((2, length, 3), np.float32)
        assert predictor.run("padded", [frames])["features"].shape == (2, length, 2)


def test_an_empty_input_is_refused_before_it_reaches_a_kernel(load):
    mask, tokens = np.ones((2, 0), bool), np.ones((2, 0), np.int32)
    with pytest.raises(InvalidInputError, match="`padding_mask` is empty, which LiteRT cannot take"):
        load("two").run("embed", [mask, tokens])


def test_names_come_from_the_converter_and_the_other_servers_are_logged(load, caplog):
    with caplog.at_level(logging.WARNING, logger="serving"):
        predictor = load("images")
    shown: Any = predictor.signature_defs[KEY]
    assert isinstance(shown, meta_graph_pb2.SignatureDef)
    assert shown.method_name == "tensorflow/serving/predict"
    assert list(shown.inputs) == list(predictor.signatures[KEY].inputs) == ["image"]
    assert shown.inputs["image"].dtype == 1
    assert [dim.size for dim in shown.inputs["image"].tensor_shape.dim] == [-1, 12, 12, 1]
    assert "event=names_differ" in caplog.text
    assert "serving_default_image to StatefulPartitionedCall" in caplog.text


def test_a_scalar_is_shown_with_a_known_rank(load):
    shown: Any = load("types").signature_defs["echo"].inputs["text"]
    assert shown.HasField("tensor_shape")
    assert not shown.tensor_shape.dim


def test_without_signatures_names_come_from_the_tensors(load, lite_models, tmp_path):
    path = litert_files.changed(lite_models / "images", tmp_path / "1", litert_files.drop_signatures)
    predictor = load(path)
    signature = predictor.signatures[KEY]
    assert list(signature.inputs) == ["serving_default_image"]
    (got,), (want,) = predictor.run(KEY, pictures(2)).values(), load("images").run(KEY, pictures(2)).values()
    np.testing.assert_array_equal(got, want)


def test_tensors_that_only_the_number_after_the_colon_tells_apart(load, lite_models, tmp_path):
    def change(model: Any) -> None:
        litert_files.drop_signatures(model)
        graph = model.subgraphs[0]
        for number, index in enumerate(graph.outputs):
            graph.tensors[index].name = f"call:{number}"

    predictor = load(litert_files.changed(lite_models / "types", tmp_path / "1", change))
    outputs = predictor.signatures[KEY].outputs
    assert len(outputs) == len(predictor._calls[KEY].outputs) > 1
    assert "call:0" in outputs


@pytest.mark.parametrize("suffix", ["", ":7"], ids=["whole name", "with a number of TensorFlow's"])
def test_metadata_gives_the_names(load, lite_models, tmp_path, caplog, suffix):
    def name_tensors(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].name, graph.tensors[graph.outputs[0]].name = "in", "out"
        described = definition(image=f"in{suffix}", probabilities=f"out{suffix}")
        litert_files.add_metadata(model, litert_files.flexbuffer({KEY: described, "again": described}))

    with caplog.at_level(logging.WARNING, logger="serving"):
        predictor = load(litert_files.changed(lite_models / "images", tmp_path / "1", name_tensors))
    assert set(predictor.signatures) == set(predictor.signature_defs) == {KEY, "again"}
    assert list(predictor.signatures[KEY].inputs) == ["picture"]
    assert tensor_names(predictor) == {"image": f"in{suffix}", "probabilities": f"out{suffix}"}
    for rows in (1, 2):  # two signatures, one graph
        for key in (KEY, "again"):
            assert predictor.run(key, pictures(rows))["scores"].shape == (rows, 3)
    assert "names_differ" not in caplog.text


BAD_METADATA = {
    "garbage": (b"\xff" * 40, "its metadata `signature_defs_metadata` cannot be read"),
    "empty": (b"", "its metadata `signature_defs_metadata` cannot be read"),
    "no SignatureDef": (litert_files.flexbuffer({KEY: b"\xff\xff"}), "SignatureDef `serving_default` .* parsed"),
    "another tensor": (
        litert_files.flexbuffer({KEY: definition(image="nosuch:0", probabilities="x")}),
        "gives `picture` the tensor `nosuch:0`; the graph has serving_default_image:0",
    ),
}


@pytest.mark.parametrize(("content", "text"), BAD_METADATA.values(), ids=BAD_METADATA)
def test_bad_metadata_does_not_load(load, lite_models, tmp_path, content, text):
    with pytest.raises(ModelLoadError, match=text):
        load(resaved(lite_models, tmp_path, content))
