"""LiteRT models: custom operations are refused by name, damaged files are told apart."""

import struct

import grpc
import pytest

from serving.errors import ModelLoadError
from serving.security.tflite_scan import custom_ops, scan_tflite


@pytest.fixture(scope="module")
def convert(tmp_path_factory):
    """Write a function of a string as a LiteRT model that may use TensorFlow's operations."""
    import tensorflow as tf

    def write(name: str, function):
        module = tf.Module()
        traced = tf.function(function, input_signature=[tf.TensorSpec([4], tf.string)])
        concrete = traced.get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
        path = tmp_path_factory.mktemp(name) / "model.tflite"
        path.write_bytes(converter.convert())
        return path

    return write


@pytest.fixture(scope="module")
def reads(convert):
    import tensorflow as tf

    return convert("reads", lambda x: tf.io.read_file(x[0]))


@pytest.fixture(scope="module")
def lowers(convert):
    import tensorflow as tf

    return convert("lowers", tf.strings.lower)


def test_a_tensorflow_operation_on_files_is_refused(reads):
    with pytest.raises(ModelLoadError, match="FlexReadFile reads or writes files") as caught:
        scan_tflite(reads)
    assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
    assert "--allow-op FlexReadFile" in str(caught.value)
    scan_tflite(reads, allowed_ops=frozenset({"FlexReadFile"}))


def test_a_tensorflow_operation_that_computes_passes(lowers):
    assert list(custom_ops(lowers.read_bytes())) == ["FlexStringLower"]
    scan_tflite(lowers)


def test_another_custom_operation_is_refused(reads, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(reads.read_bytes().replace(b"FlexReadFile", b"SomebodysOwn"))
    with pytest.raises(ModelLoadError, match="SomebodysOwn is not on the list"):
        scan_tflite(path)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x00" * 100, b"\xff\xff\xff\xffTFL3" + b"\xff" * 50], ids=len)
def test_another_file_cannot_be_loaded(tmp_path, content):
    (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(ModelLoadError, match="is no LiteRT model") as caught:
        scan_tflite(tmp_path / "model.tflite")
    assert caught.value.code is grpc.StatusCode.DATA_LOSS


def test_a_list_of_fields_before_the_file_is_damage(tmp_path):
    """Python would count such an offset from the file's end."""
    (tmp_path / "model.tflite").write_bytes(struct.pack("<I4si", 8, b"TFL3", 100) + bytes(200))
    with pytest.raises(ModelLoadError, match="lies before its beginning"):
        scan_tflite(tmp_path / "model.tflite")


@pytest.mark.parametrize("claim", ["name", "count"])
def test_a_length_beyond_the_file_is_damage(reads, tmp_path, claim):
    content = reads.read_bytes()
    name = content.index(b"FlexReadFile") - 4
    place = name if claim == "name" else _operator_codes(content)
    (tmp_path / "model.tflite").write_bytes(content[:place] + struct.pack("<I", 2**32 - 1) + content[place + 4 :])
    with pytest.raises(ModelLoadError, match="is no LiteRT model"):
        scan_tflite(tmp_path / "model.tflite")


def _operator_codes(content: bytes) -> int:
    """Where the vector of operator codes begins."""
    (root,) = struct.unpack_from("<I", content)
    fields = root - struct.unpack_from("<i", content, root)[0]
    field = root + struct.unpack_from("<H", content, fields + 6)[0]
    return field + struct.unpack_from("<I", content, field)[0]


def test_a_missing_file_cannot_be_loaded(tmp_path):
    with pytest.raises(ModelLoadError, match="is missing"):
        scan_tflite(tmp_path / "model.tflite")


def test_a_damaged_file_never_crashes_the_scan(reads, tmp_path):
    content, path, refused = reads.read_bytes(), tmp_path / "model.tflite", 0
    for position in range(0, len(content), 2):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        for broken in (content[:position], bytes(damaged)):
            path.write_bytes(broken)
            try:
                scan_tflite(path)
            except ModelLoadError:
                refused += 1
    assert refused > len(content) // 2
