"""SavedModels that do what a served model must not, written with `tf.Module`, and the means to alter a written one."""

import pathlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

TEXT = tf.TensorSpec([], tf.string, name="x")


class Hostile(tf.Module):
    """Calls `act` on a string, where `where` says."""

    def __init__(self, act: Callable[[Any], Any]):
        super().__init__()
        self.act = act
        self.state = tf.Variable(tf.constant(1.0))

    @tf.function(input_signature=[TEXT])
    def signature(self, x):
        return {"y": self.act(x), "state": self.state + 1.0}

    @tf.function(input_signature=[TEXT])
    def nested(self, x):
        inner = tf.function(self.act)
        return {"y": tf.function(lambda value: inner(value))(x)}

    @tf.function(input_signature=[TEXT])
    def loop(self, x):
        body = lambda turn, value: [turn + 1, tf.ensure_shape(self.act(value), [])]  # noqa: E731
        return {"y": tf.while_loop(lambda turn, _: turn < 2, body, [tf.constant(0), x])[1]}

    @tf.function(input_signature=[TEXT])
    def branch(self, x):
        return {"y": tf.cond(tf.strings.length(x) > 99, lambda: self.act(x), lambda: x)}

    @tf.function(input_signature=[TEXT])
    def harmless(self, x):
        return {"y": tf.strings.lower(x)}


def write_file(x: Any) -> Any:
    with tf.control_dependencies([tf.io.write_file("/tmp/hostile", x)]):
        return tf.identity(x)


def print_to_file(x: Any) -> Any:
    with tf.control_dependencies([tf.print(x, output_stream="file:///tmp/hostile")]):
        return tf.identity(x)


def decode_by_file(x: Any) -> Any:
    return decode_proto(x, "/etc/passwd")


def decode_proto(x: Any, descriptors: str) -> Any:
    """The field `type_url` of a serialised `google.protobuf.Any`."""
    options = {"message_type": "google.protobuf.Any", "field_names": ["type_url"], "output_types": [tf.string]}
    return tf.raw_ops.DecodeProtoV2(bytes=x, descriptor_source=descriptors, **options).values[0]


def read_lines(x: Any) -> Any:
    return tf.data.TextLineDataset(x).reduce(tf.constant(""), lambda before, line: before + line)


def restore(x: Any) -> Any:
    return tf.as_string(
        tf.raw_ops.RestoreV2(prefix=x, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0]
    )


def save(x: Any) -> Any:
    written = tf.raw_ops.SaveV2(prefix=x, tensor_names=["a"], shape_and_slices=[""], tensors=[tf.constant(1.0)])
    with tf.control_dependencies([written]):
        return tf.identity(x)


def table_from_file(x: Any) -> Any:
    table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
    filled = tf.raw_ops.InitializeTableFromTextFileV2(
        table_handle=table, filename=x, key_index=-2, value_index=-1, vocab_size=-1, delimiter="\t", offset=0
    )
    with tf.control_dependencies([filled]):
        return tf.raw_ops.LookupTableExportV2(table_handle=table, Tkeys=tf.string, Tvalues=tf.int64)[0]


ACTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "read_file": (tf.io.read_file, "ReadFile"),
    "py_function": (lambda x: tf.py_function(lambda value: value, [x], tf.string), "EagerPyFunc"),
    "numpy_function": (lambda x: tf.numpy_function(lambda value: value, [x], tf.string), "PyFunc"),
    "write_file": (write_file, "WriteFile"),
    "matching_files": (lambda x: tf.io.matching_files(x)[0], "MatchingFiles"),
    "print to a file": (print_to_file, "PrintV2"),
    "decode by a file": (decode_by_file, "DecodeProtoV2"),
    "lines of a file": (read_lines, "TextLineDataset"),
    "restore": (restore, "RestoreV2"),
    "save": (save, "SaveV2"),
    "table from a file": (table_from_file, "InitializeTableFromTextFileV2"),
}


def write_hostile(path: pathlib.Path, act: Callable[[Any], Any], where: str) -> pathlib.Path:
    """A SavedModel whose function `where` calls `act`."""
    module = Hostile(act)
    for name in ("signature", "nested", "loop", "branch", "harmless"):
        if name not in (where, "harmless"):
            setattr(module, name, None)  # a tf.function of the module is saved with it, called or not
    tf.saved_model.save(module, str(path), signatures={"serving_default": getattr(module, where)})
    return path


class Vocabulary(tf.Module):
    """A table made of an asset, and one made of constants."""

    def __init__(self, file: pathlib.Path):
        super().__init__()
        lines = tf.lookup.TextFileInitializer(
            str(file), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        )
        self.words = tf.lookup.StaticHashTable(lines, -1)
        self.numbers = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([0, 1], ["no", "yes"]), "?")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
    def serve(self, x):
        return {"id": self.words.lookup(x), "answer": self.numbers.lookup(tf.cast(self.words.lookup(x), tf.int32))}


def write_vocabulary(path: pathlib.Path, file: pathlib.Path) -> None:
    module = Vocabulary(file)
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})


class Everyday(tf.Module):
    """Operations that exported preprocessing uses."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def parse(self, examples):
        parsed = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([2], tf.float32)})
        tf.print("parsed")
        return {"x": parsed["x"]}

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="content")])
    def jpeg(self, content):
        return {"image": tf.image.resize(tf.io.decode_jpeg(content, 3), [8, 8])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def words(self, text):
        parts = tf.strings.split(tf.strings.regex_replace(tf.strings.lower(text), "[^a-z ]", "")).to_tensor("")
        return {"hash": tf.strings.to_hash_bucket_fast(parts, 100)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="wave")])
    def spectrum(self, wave):
        return {"spectrum": tf.abs(tf.signal.stft(wave, 256, 128))}


def write_everyday(path: pathlib.Path) -> None:
    module = Everyday()
    names = ("parse", "jpeg", "words", "spectrum")
    tf.saved_model.save(module, str(path), signatures={name: getattr(module, name) for name in names})


def read(path: pathlib.Path) -> Any:
    message: Any = saved_model_pb2.SavedModel()
    message.ParseFromString((path / "saved_model.pb").read_bytes())
    return message


def write(path: pathlib.Path, message: Any) -> None:
    path.mkdir(exist_ok=True)
    (path / "saved_model.pb").write_bytes(message.SerializeToString())
