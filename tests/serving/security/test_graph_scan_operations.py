"""Operations that leave the process are refused wherever a graph hides them; what exporters write passes."""

import pytest
from scan_refusals import refusal

from serving.security.graph_ops import allowed_ops
from serving.security.graph_scan import scan


@pytest.mark.parametrize(
    "act",
    [
        "read_file",
        "py_function",
        "numpy_function",
        "write_file",
        "matching_files",
        "print to a file",
        "decode by a file",
        "lines of a file",
        "restore",
        "save",
        "table from a file",
    ],
)
def test_an_operation_that_leaves_the_process_is_refused(tmp_path, hostile, act):
    call, op = hostile.ACTS[act]
    path = hostile.write_hostile(tmp_path / "1", call, "signature")
    message = refusal(path)
    assert f"{op} (node " in message
    assert f"--allow-op {op}" in message
    scan(path, allowed_ops=frozenset({op, "ReduceDataset", "TensorSliceDataset", "FlatMapDataset"}))


@pytest.mark.parametrize("where", ["nested", "loop", "branch"])
def test_it_is_found_in_functions_of_functions(tmp_path, hostile, where):
    path = hostile.write_hostile(tmp_path / "1", hostile.write_file, where)
    assert "WriteFile (node " in refusal(path)
    assert "of function" in refusal(path)


def test_it_is_found_in_the_initialisation_alone(harmless, hostile):
    message = hostile.read(harmless)
    graph = message.meta_graphs[0].graph_def
    name, content = graph.node.add(name="evil/name", op="Const"), graph.node.add(name="evil/content", op="Const")
    for constant in (name, content):
        constant.attr["dtype"].type = 7
        constant.attr["value"].tensor.dtype = 7
        constant.attr["value"].tensor.string_val.append(b"/tmp/hostile")
    graph.node.add(name="evil/write", op="WriteFile", input=["evil/name", "evil/content"])
    (init,) = (node for node in graph.node if node.op == "NoOp")
    init.input.append("^evil/write")
    hostile.write(harmless, message)
    assert "WriteFile (node 'evil/write')" in refusal(harmless)


def test_it_is_found_in_a_second_meta_graph(tmp_path, harmless, hostile):
    other = hostile.write_hostile(tmp_path / "other", hostile.write_file, "signature")
    message = hostile.read(harmless)
    message.meta_graphs.extend(hostile.read(other).meta_graphs)
    message.meta_graphs[1].meta_info_def.tags[:] = ["other"]
    hostile.write(harmless, message)
    assert "WriteFile" in refusal(harmless)


def test_it_is_found_in_a_function_that_nothing_calls(harmless, hostile):
    message = hostile.read(harmless)
    function = message.meta_graphs[0].graph_def.library.function.add()
    function.signature.name = "unused"
    function.node_def.add(name="read", op="ReadFile")
    hostile.write(harmless, message)
    assert "ReadFile (node 'read' of function 'unused')" in refusal(harmless)


def test_a_function_named_in_an_attribute_of_a_functions_attribute_is_looked_up(harmless, hostile):
    message = hostile.read(harmless)
    node = message.meta_graphs[0].graph_def.node.add(name="call", op="PartitionedCall")
    outer = node.attr["f"].func
    outer.name = message.meta_graphs[0].graph_def.library.function[0].signature.name
    outer.attr["inner"].list.func.add(name="ReadFile")
    hostile.write(harmless, message)
    assert "ReadFile (node 'call')" in refusal(harmless)


def test_an_unknown_operation_is_refused(harmless, hostile):
    message = hostile.read(harmless)
    message.meta_graphs[0].graph_def.node.add(name="new", op="OpOfTomorrow")
    hostile.write(harmless, message)
    assert "OpOfTomorrow (node 'new') is not on the list of operations known to be harmless" in refusal(harmless)
    scan(harmless, allowed_ops=frozenset({"OpOfTomorrow"}))


def restored(message, hostile):
    """The function that restores, and its RestoreV2."""
    for function in message.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if node.op == "RestoreV2":
                return function, node
    raise LookupError("RestoreV2")


def test_variables_are_restored_from_the_file_of_the_loader_alone(harmless, hostile):
    message = hostile.read(harmless)
    function, node = restored(message, hostile)
    constant = function.node_def.add(name="elsewhere", op="Const")
    constant.attr["dtype"].type = 7
    node.input[0] = "elsewhere:output:0"
    hostile.write(harmless, message)
    assert "RestoreV2" in refusal(harmless)
    assert "a file other than the SavedModel's variables" in refusal(harmless)


def test_no_signature_reaches_what_restores(harmless, hostile):
    message = hostile.read(harmless)
    graph = message.meta_graphs[0]
    graph.signature_def["load"].outputs["y"].name = f"{graph.saver_def.restore_op_name}:0"
    graph.signature_def["load"].inputs["file"].name = graph.saver_def.filename_tensor_name
    hostile.write(harmless, message)
    assert "RestoreV2" in refusal(harmless)
    assert "can be reached by a request" in refusal(harmless)


@pytest.mark.parametrize("run_by", ["init", "restore"])
def test_loading_saves_nothing(harmless, hostile, run_by):
    message = hostile.read(harmless)
    graph = message.meta_graphs[0]
    save = graph.saver_def.save_tensor_name.partition(":")[0]
    target = graph.saver_def.restore_op_name if run_by == "restore" else "NoOp"
    next(node for node in graph.graph_def.node if node.name == target).input.append(f"^{save}")
    hostile.write(harmless, message)
    assert "SaveV2" in refusal(harmless)
    assert "writes files when the model is loaded" in refusal(harmless)


def test_the_initialisation_restores_nothing(harmless, hostile):
    """The loader feeds the file's name when it restores, and not in the initialisation."""
    message = hostile.read(harmless)
    graph = message.meta_graphs[0]
    restore = graph.saver_def.restore_op_name
    next(node for node in graph.graph_def.node if node.name == "NoOp").input.append(f"^{restore}")
    hostile.write(harmless, message)
    assert "where the graph itself, and not the loader, names it" in refusal(harmless)


def test_a_function_that_may_stand_in_for_another_is_reached_where_that_is(harmless, hostile):
    """TensorFlow swaps functions that say they implement the same, by the device they prefer."""
    message = hostile.read(harmless)
    library = message.meta_graphs[0].graph_def.library.function
    served = next(function for function in library if "signature_wrapper" in function.signature.name)
    other = library.add()
    other.CopyFrom(restored(message, hostile)[0])
    other.signature.name = "other"
    hostile.write(harmless, message)
    scan(harmless)  # nothing calls it
    for function in (served, other):
        function.attr["api_implements"].s = b"the same"
    hostile.write(harmless, message)
    assert "RestoreV2 (node 'RestoreV2' of function 'other') touches files and can be reached" in refusal(harmless)


def test_everyday_preprocessing_passes(tmp_path, hostile):
    hostile.write_everyday(tmp_path / "1")
    scan(tmp_path / "1")


@pytest.mark.parametrize("descriptors", [b"local://", b"bytes://\n\x00"], ids=["TensorFlow's", "its own"])
def test_messages_are_decoded_by_what_the_graph_holds(tmp_path, hostile, descriptors):
    hostile.write_hostile(tmp_path / "1", lambda x: hostile.decode_proto(x, "local://"), "signature")
    message = hostile.read(tmp_path / "1")
    for function in message.meta_graphs[0].graph_def.library.function:
        for node in (node for node in function.node_def if node.op == "DecodeProtoV2"):
            node.attr["descriptor_source"].s = descriptors
    hostile.write(tmp_path / "1", message)
    scan(tmp_path / "1")


@pytest.mark.parametrize("name", ["conv", "sequence", "any_rank", "double"])
def test_what_the_server_is_tested_with_passes(saved_models, name):
    scan(saved_models / name)


def test_keras_exports_pass(tmp_path, vocabulary_model):
    import keras

    vocabulary = str(vocabulary_model / "assets" / "vocabulary.txt")
    text = keras.Input((1,), dtype="string")
    embedded = keras.layers.Embedding(10, 4)(keras.layers.StringLookup(vocabulary=vocabulary)(text))
    answer = keras.layers.Dense(2)(keras.layers.LSTM(3)(embedded))
    keras.Model(text, answer).export(str(tmp_path / "1"), verbose=False)
    scan(tmp_path / "1")


@pytest.mark.parametrize("form", ["plain", "packed"])
@pytest.mark.parametrize("signatures", [(), ("classify",)], ids=["predict", "classify"])
def test_the_zoos_exports_pass(tmp_path, form, signatures):
    import keras

    import zoo

    image = keras.Input((6, 6, 1), name="image")
    hidden = keras.layers.Flatten()(keras.layers.Conv2D(8, 3, activation="relu")(image))
    model = keras.Model(image, {"logits": keras.layers.Dense(3)(hidden)})
    scan(zoo.export(model, tmp_path, name="m", form=form, signatures=signatures).path)


def test_tensorflow_itself_refuses_a_function_named_as_an_operation():
    """The scan takes a node of such a name for a call of the function, whose body it has looked at."""
    import tensorflow as tf
    from tensorflow.core.framework import graph_pb2

    graph = graph_pb2.GraphDef()  # pyright: ignore[reportAttributeAccessIssue]
    function = graph.library.function.add()
    function.signature.name = "ReadFile"
    with tf.Graph().as_default(), pytest.raises(ValueError, match="an op with the same name already exists"):
        tf.import_graph_def(graph)


def test_every_listed_operation_exists_and_none_is_known_to_be_harmful():
    from tensorflow.python.framework import op_def_registry

    missing = [op for op in allowed_ops() if op_def_registry.get(op) is None]
    assert missing == []
    assert not allowed_ops() & {"ReadFile", "WriteFile", "PyFunc", "EagerPyFunc", "RestoreV2", "SaveV2", "Abort"}
    assert not allowed_ops() & {"ImmutableConst", "XlaCallModule", "RpcCall", "CollectiveReduce", "TextLineDataset"}
