"""A model reads its own assets alone; damaged, deep and large files neither crash nor hold up the scan."""

import itertools
import os
import pathlib
import shutil
import time

import grpc
import pytest
from scan_refusals import refusal

from serving.errors import ModelLoadError
from serving.security.graph_scan import scan


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
