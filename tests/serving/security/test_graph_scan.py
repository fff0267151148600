"""Hostile graphs are refused wherever they hide what they do; what exporters write passes."""

import itertools
import os
import pathlib
import shutil
import time

import grpc
import pytest

from serving.errors import ModelLoadError
from serving.security.graph_ops import allowed_ops
from serving.security.graph_scan import scan


@pytest.fixture(scope="module")
def hostile():
    return pytest.importorskip("hostile_models")


def refusal(path: pathlib.Path, allowed: frozenset[str] = frozenset()) -> str:
    with pytest.raises(ModelLoadError) as caught:
        scan(path, allowed_ops=allowed)
    assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
    return str(caught.value)


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


@pytest.fixture
def harmless(tmp_path, hostile):
    return hostile.write_hostile(tmp_path / "1", lambda x: x, "harmless")


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


def altered_vocabulary(vocabulary_model, tmp_path, hostile, alter) -> pathlib.Path:
    path = tmp_path / "1"
    shutil.copytree(vocabulary_model, path)
    message = hostile.read(path)
    alter(message.meta_graphs[0], path)
    hostile.write(path, message)
    return path


def asset_outside(graph, path):
    graph.asset_file_def[0].filename = "../../../etc/passwd"


def asset_absolute(graph, path):
    graph.asset_file_def[0].filename = "/etc/passwd"


def asset_linked(graph, path):
    (path / "assets" / "vocabulary.txt").unlink()
    (path / "assets" / "vocabulary.txt").symlink_to("/etc/passwd")


def asset_named_twice(graph, path):
    graph.asset_file_def.add().CopyFrom(graph.asset_file_def[0])
    graph.asset_file_def[1].filename = "/etc/passwd"


def asset_not_fed(graph, path):
    """Listed in the older field, which the loader ignores where the newer one is used."""
    packed = graph.collection_def["saved_model_assets"].any_list.value.add()
    packed.Pack(graph.asset_file_def[0])
    graph.asset_file_def[0].tensor_info.name = "saver_filename:0"


def constant_file(graph, path):
    (node,) = (node for node in graph.graph_def.node if node.op == "ReadVariableOp" and node.name == "ReadVariableOp")
    node.op = "Const"
    del node.input[:]


def assigned_twice(graph, path):
    (first,) = (
        node
        for node in graph.graph_def.node
        if node.op == "AssignVariableOp" and "asset_path_initializer" in node.input[1]
    )
    graph.graph_def.node.add(name="second", op="AssignVariableOp", input=[first.input[0], "Const"])


def handle_in_a_function(graph, path):
    (read,) = (node for node in graph.graph_def.node if node.op == "ReadVariableOp" and node.name == "ReadVariableOp")
    (handle,) = (node for node in graph.graph_def.node if node.name == read.input[0])
    copied = graph.graph_def.library.function[0].node_def.add()
    copied.CopyFrom(handle)


def second_output_of_the_asset(graph, path):
    """The loader feeds `x:0`; `x:1` of the same node is the graph's own."""
    (assign,) = (
        node
        for node in graph.graph_def.node
        if node.op == "AssignVariableOp" and "asset_path_initializer" in node.input[1]
    )
    assign.input[1] = "asset_path_initializer:1"


def initialised_by_a_request(graph, path):
    (init,) = (
        node
        for node in graph.graph_def.node
        if node.op == "StatefulPartitionedCall" and node.input and node.input[0] == "ReadVariableOp"
    )
    graph.signature_def["again"].outputs["y"].name = f"{init.name}:0"
    graph.signature_def["again"].inputs["file"].name = "ReadVariableOp:0"


def filled_when_restoring(graph, path):
    """The loader feeds no assets then, so the placeholder could be a constant."""
    init = next(node for node in graph.graph_def.node if node.input and node.input[0] == "ReadVariableOp")
    restore = next(node for node in graph.graph_def.node if node.name == graph.saver_def.restore_op_name)
    restore.input.append(f"^{init.name}")


ALTERATIONS = (
    filled_when_restoring,
    asset_outside,
    asset_absolute,
    asset_linked,
    asset_named_twice,
    asset_not_fed,
    constant_file,
    assigned_twice,
    handle_in_a_function,
    second_output_of_the_asset,
    initialised_by_a_request,
)


@pytest.mark.parametrize("alter", ALTERATIONS, ids=lambda alter: alter.__name__)
def test_a_table_is_made_of_the_models_own_asset_alone(vocabulary_model, tmp_path, hostile, alter):
    path = altered_vocabulary(vocabulary_model, tmp_path, hostile, alter)
    assert "InitializeTableFromTextFileV2" in refusal(path)


def test_tables_of_assets_and_constants_pass(vocabulary_model):
    scan(vocabulary_model)


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


@pytest.mark.parametrize("as_asset", [True, False], ids=["asset", "any file"])
def test_weights_are_read_from_an_asset_alone(harmless, hostile, as_asset):
    """As a large packed model of the zoo does it, when it is loaded."""
    message = hostile.read(harmless)
    graph = message.meta_graphs[0]
    graph.graph_def.node.add(name="path", op="Const")
    graph.graph_def.node.add(name="read", op="ReadFile", input=["path"])
    next(node for node in graph.graph_def.node if node.name == "NoOp").input.append("^read")
    if as_asset:
        graph.asset_file_def.add(filename="weights").tensor_info.name = "path:0"
    hostile.write(harmless, message)
    if as_asset:
        scan(harmless)
    else:
        assert "ReadFile (node 'read') reads a file that is not one of the SavedModel's assets" in refusal(harmless)


@pytest.mark.parametrize("form", ["plain", "packed"])
@pytest.mark.parametrize("signatures", [(), ("classify",)], ids=["predict", "classify"])
def test_the_zoos_exports_pass(tmp_path, form, signatures):
    import keras

    import zoo

    image = keras.Input((6, 6, 1), name="image")
    hidden = keras.layers.Flatten()(keras.layers.Conv2D(8, 3, activation="relu")(image))
    model = keras.Model(image, {"logits": keras.layers.Dense(3)(hidden)})
    scan(zoo.export(model, tmp_path, name="m", form=form, signatures=signatures).path)


def test_the_text_form_is_scanned_where_there_is_no_other(tmp_path, hostile):
    from google.protobuf import text_format

    path = hostile.write_hostile(tmp_path / "1", hostile.write_file, "signature")
    (path / "saved_model.pbtxt").write_text(text_format.MessageToString(hostile.read(path)))
    (path / "saved_model.pb").unlink()
    assert "WriteFile" in refusal(path)


@pytest.mark.parametrize("form", ["saved_model.pb", "saved_model.pbtxt", None])
def test_what_is_no_saved_model_cannot_be_loaded(tmp_path, form):
    if form:
        (tmp_path / form).write_bytes(b"\xff\xfe not a model")
    with pytest.raises(ModelLoadError) as caught:
        scan(tmp_path)
    assert caught.value.code is grpc.StatusCode.DATA_LOSS


def test_a_pipe_in_the_place_of_the_file_is_not_waited_for(tmp_path):
    """And does not turn the scan to the other file, which TensorFlow would not read."""
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "saved_model.pb")
    (tmp_path / "pipe" / "saved_model.pbtxt").write_text("")
    with pytest.raises(ModelLoadError, match="neither"):
        scan(tmp_path / "pipe")


def test_a_truncated_or_damaged_file_never_crashes_the_scan(tmp_path, vocabulary_model, hostile):
    content = (vocabulary_model / "saved_model.pb").read_bytes()
    for position in range(0, len(content), max(1, len(content) // 150)):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        for broken in (content[:position], bytes(damaged)):
            (tmp_path / "saved_model.pb").write_bytes(broken)
            try:
                scan(tmp_path)
            except ModelLoadError:
                continue


def test_deep_chains_and_cycles_end(tmp_path, vocabulary_model, hostile):
    def chain(graph, path):
        (init,) = (node for node in graph.graph_def.node if node.input and node.input[0] == "ReadVariableOp")
        init.input[0] = "chain0"
        for i in range(5000):
            graph.graph_def.node.add(name=f"chain{i}", op="Identity", input=[f"chain{i + 1}"])
        graph.graph_def.node.add(name="chain5000", op="Identity", input=["ReadVariableOp"])

    path = altered_vocabulary(vocabulary_model, tmp_path, hostile, chain)
    assert "InitializeTableFromTextFileV2" in refusal(path)


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


def test_a_graph_of_ten_megabytes_is_scanned_in_a_tenth_of_a_second(tmp_path, hostile, harmless):
    message = hostile.read(harmless)
    graph = message.meta_graphs[0].graph_def
    for i in range(8):
        big = graph.node.add(name=f"big{i}", op="Const")
        big.attr["value"].tensor.tensor_content = bytes(1 << 20)
    for i in range(15_000):
        node = graph.node.add(name=f"model/block/layer/node_{i}", op="AddV2", input=["a_long_name/of/a/node"] * 2)
        node.attr["T"].type = 1
    hostile.write(tmp_path / "1", message)
    assert (tmp_path / "1" / "saved_model.pb").stat().st_size > 9_500_000
    times = []
    for _ in itertools.repeat(None, 3):
        started = time.thread_time()
        scan(tmp_path / "1")
        times.append(time.thread_time() - started)
    assert min(times) < 0.2, times  # 0.02 s on an idle machine
