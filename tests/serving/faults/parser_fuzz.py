# pyright: reportAttributeAccessIssue=false
"""As a program, `parser_fuzz.py SEED CASES`: what passes the check before TensorFlow's parsers must not end them.

Sound messages are changed at random. Those that protobuf still reads go to every kind of parser; that one of them
refuses the bytes is fine, that the process ends is not.
"""

import random
import sys
from typing import Any

import numpy as np
import parser_models
import tensorflow as tf

from serving.engines.example_inputs import check_examples
from serving.errors import InvalidInputError

LENGTHS = (b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x08", b"\xff" * 9 + b"\x01", b"\xff\xff\xff\x7f", b"\x80")


def _features(feature: Any) -> dict[str, Any]:
    return {"x": feature(tf.float32), "n": feature(tf.int64), "s": feature(tf.string)}


def _padded(dtype: tf.DType) -> Any:
    return tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True)


def _parsers(kind: str, feature: Any) -> dict[str, Any]:
    features = _features(feature)
    made: dict[str, Any] = {
        f"many {kind}": lambda texts: tf.io.parse_example(texts, features),
        f"one {kind}": lambda texts: tf.io.parse_single_example(texts[0], features),
    }
    if kind != "padded":
        made[f"sequence {kind}"] = lambda texts: tf.io.parse_sequence_example(texts, features, features)
    return made


PARSERS = {
    **_parsers("sparse", tf.io.VarLenFeature),
    **_parsers("ragged", tf.io.RaggedFeature),
    **_parsers("padded", _padded),
}
SEQUENCES = frozenset(name for name in PARSERS if name.startswith("sequence"))


def sound(draw: random.Random, sequence: bool) -> bytes:
    made: Any = tf.train.SequenceExample() if sequence else tf.train.Example()
    features = [made.context.feature if sequence else made.features.feature]
    for name in "xns":
        lists = made.feature_lists.feature_list[name] if sequence else None
        for feature in [features[0][name], *([lists.feature.add(), lists.feature.add()] if lists else [])]:
            count = draw.choice([0, 1, 2, 5])
            if name == "x":
                feature.float_list.value.extend([0.5] * count)
            elif name == "n":
                feature.int64_list.value.extend([draw.choice([0, -1, 2**40])] * count)
            else:
                feature.bytes_list.value.extend([b"text"] * count)
    return made.SerializeToString()


def changed(draw: random.Random, content: bytes) -> bytes:
    made = bytearray(content)
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(made) + 1)
        match draw.randrange(5):
            case 0:
                made[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                made[at : at + 1] = draw.choice(LENGTHS)
            case 2:
                made[at:at] = made[max(at - draw.randrange(12), 0) : at]
            case 3:
                del made[at : at + draw.randrange(4)]
            case _:
                made += parser_models.field(draw.randrange(1, 16), bytes(made[:at]))
    return bytes(made)


def main(seed: int, cases: int) -> None:
    draw = random.Random(seed)
    calls = {
        name: tf.function(parse, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
        for name, parse in PARSERS.items()
    }
    passed = answered = 0
    for _ in range(cases):
        sequence = draw.random() < 0.4
        content = changed(draw, sound(draw, sequence))
        array = parser_models.texts(content)
        try:
            check_examples("x", array, [tf.train.SequenceExample if sequence else tf.train.Example])
        except InvalidInputError:
            continue
        passed += 1
        for name, call in calls.items():
            if (name in SEQUENCES) == sequence:
                print(name, content.hex(), file=sys.stderr)  # the last line tells what ended the process
                try:
                    call(tf.constant(np.array(array, object)))
                    answered += 1
                except (tf.errors.OpError, UnicodeDecodeError):  # the latter of a text that quotes the bytes
                    pass
    print(passed, answered)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
