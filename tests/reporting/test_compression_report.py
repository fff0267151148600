"""What a report tells of a compressed run: each weight, and each exported form beside the original."""

import json

import descriptors
import numpy as np
import pytest

from zoo.errors import ExportError
from zoo.exporting.measure import Measured
from zoo.exporting.measure_engines import engine_of
from zoo.exporting.verify import random_examples
from zoo.exporting.weight_table import LayerRow, WeightRow, by_layer
from zoo.reporting import plots
from zoo.reporting.compression import BASELINE, CompressionReport, Form, compression_report
from zoo.reporting.compression_section import compression_section
from zoo.reporting.report import write_page
from zoo.training.run_directory import RunDirectory

TINY = descriptors.MODELS["conv2d"]["dense"].experiment()
COSTS = [
    Measured(bytes=40_000, gzip_bytes=30_000, load_ms=90.4, memory_mb=3.21, p50_ms_1=1.0, p50_ms_32=4.0),
    Measured(bytes=20_000, gzip_bytes=9_000, load_ms=80, memory_mb=3, p50_ms_1=1.02, p50_ms_32=3.9),
    Measured(bytes=50_000, gzip_bytes=4_000, load_ms=99, memory_mb=2, p50_ms_1=0.9, p50_ms_32=5.2),
    Measured(bytes=8_000, gzip_bytes=7_000, load_ms=9, memory_mb=1, p50_ms_1=0.3, p50_ms_32=2),
]


def finished(path, model, metrics):
    run = RunDirectory.create(path, TINY)
    run.write_info(TINY.data.info())
    run.save_model(model)
    run.update_metrics(metrics)
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run, one compressed from it with half of the values zeros and the rest shared, and one from that in turn."""
    root = tmp_path_factory.mktemp("runs")
    model = TINY.model.build()
    scores = {"accuracy": 0.975, "cross_entropy": 0.1}
    dense = finished(root / "dense", model, {"validation": {"accuracy": 0.99}, "test": scores})
    for weight in model.weights:
        if weight.name == "kernel":
            value = np.sign(weight.numpy()).astype("float32")
            value.ravel()[::2] = 0
            weight.assign(value)
    came = {"recipe": "pruned", "from": str(dense.path)}
    small = finished(root / "small", model, {"compression": came, "validation": {"accuracy": 0.98}})
    again = {"recipe": "clustered", "from": str(small.path)}
    return {
        "dense": dense,
        "small": small,
        "again": finished(root / "again", model, {"compression": again, "test": {"accuracy": 0.96}}),
    }


def told(run, *, is_measured=True):
    report = compression_report(run, is_measured=is_measured, log=lambda text: None)
    assert report is not None
    return report


@pytest.fixture(scope="module")
def measured(runs):
    """The report of the compressed run: forms really exported, their costs made up."""

    def measure(paths):
        first, *others = (engine_of(path)(path) for path in paths)
        inputs = random_examples(first.specs(), 3)
        answers = first.call(inputs)
        assert list(answers) == ["logits"]  # what the model says, not what a task makes of it
        for other in others:
            assert [(one.name, one.dtype) for one in other.specs()] == [(one.name, one.dtype) for one in first.specs()]
            assert {n: a.shape for n, a in other.call(inputs).items()} == {n: a.shape for n, a in answers.items()}
        return COSTS[: len(paths)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.exporting.measure.measure", measure)
        return told(runs["small"])


def test_run_that_was_not_compressed_has_no_such_report(runs):
    assert compression_report(runs["dense"], is_measured=True, log=lambda text: None) is None


def test_forms_stand_beside_the_original(measured):
    assert [(form.form, form.of, form.score) for form in measured.forms] == [
        (BASELINE, "original", 0.99),
        ("plain", "compressed", 0.98),
        ("packed", "compressed", 0.98),
        ("litert, dynamic", "compressed", None),  # its answers are not the model's
    ]
    assert measured.figure == "validation accuracy"  # both have it; only one has that of the test split
    assert [form.times_smaller for form in measured.forms] == [1.0, 2.0, 0.8, 5.0]
    assert measured.packed_bytes == 50_000


def test_form_that_is_slower_says_so_beside_its_size(measured):
    _, plain, packed, _ = measured.forms
    assert plain.remark == "2.0 times smaller; 1.02 and 0.97 times the p50 at 1 and 32 rows"
    assert packed.remark == "0.8 times smaller; slower: 0.90 and 1.30 times the p50 at 1 and 32 rows"


def test_original_is_the_run_before_any_compression(runs):
    report = told(runs["again"], is_measured=False)
    assert report.original == str(runs["dense"].path)
    assert report.recipe == "clustered"
    assert report.figure == "test accuracy"


def test_weights_are_counted_without_measuring(runs):
    report = told(runs["small"], is_measured=False)
    assert report.forms == ()
    assert report.left_out == ["Figures of the exported forms: `--no-measure` was given."]
    kernels = [row for row in report.weights if row.weight == "kernel"]
    assert kernels
    assert all(row.sparsity == pytest.approx(0.5, abs=0.01) and row.distinct_values == 3 for row in kernels)
    assert sum(report.share(row) for row in report.weights) == pytest.approx(1, abs=0.01)


def test_original_that_is_gone_is_said_and_the_weights_stay(runs, tmp_path):
    came = {"recipe": "pruned", "from": str(tmp_path / "nowhere")}
    report = told(finished(tmp_path / "orphan", runs["small"].load_model(), {"compression": came}))
    assert (report.original, report.forms) == (None, ())
    assert "nowhere is no directory" in report.left_out[0]
    assert all(row.bytes_before == 4 * row.size for row in report.weights)
    assert "not there any more" in compression_section(report).text


def test_run_that_came_from_itself_is_said(runs, tmp_path):
    came = {"recipe": "pruned", "from": str(tmp_path / "circle")}
    report = told(finished(tmp_path / "circle", runs["small"].load_model(), {"compression": came}), is_measured=False)
    assert "came from itself" in report.left_out[0]


def test_failed_measuring_leaves_the_rest(runs, monkeypatch):
    def measure(paths):
        raise ExportError("Memory is measured on Linux only.")

    monkeypatch.setattr("zoo.exporting.measure.measure", measure)
    report = told(runs["small"])
    assert report.forms == ()
    assert report.left_out == ["Figures of the exported forms: Memory is measured on Linux only."]
    assert compression_section(report).details == {"Left out": report.left_out[0]}


def test_form_that_is_refused_is_said_and_the_others_stay(runs, monkeypatch):
    def write(*args):
        raise ExportError("LiteRT lacks an operation.")

    monkeypatch.setattr("zoo.exporting.litert.form.write_litert", write)
    monkeypatch.setattr("zoo.exporting.measure.measure", lambda paths: COSTS[: len(paths)])
    report = told(runs["small"])
    assert [form.form for form in report.forms] == [BASELINE, "plain", "packed"]
    assert report.left_out == ["The form litert, dynamic: LiteRT lacks an operation."]


def test_section_shows_forms_weights_and_layers(measured, tmp_path):
    section = compression_section(measured)
    first, _, packed, _ = section.rows
    assert len(section.columns) == len(first) == len(packed)
    assert packed[:4] == ["packed", "0.9800", "50,000", measured.forms[2].remark]
    assert first[-4:] == ["90 ms", "3.2 MB", "1.00 ms", "4.00 ms"]
    (weights,) = section.tables
    assert len(weights.rows) == len(measured.weights) + 2  # what is no weight, and the sum
    assert weights.rows[-1][-2:] == ["50,000", "100%"]
    assert len(section.pictures) == 1
    write_page(tmp_path / "page.html", "Page", [section])
    page = (tmp_path / "page.html").read_text()
    assert '<td class="figure">50,000</td>' in page
    assert "slower: 0.90 and 1.30 times the p50" in page


def test_shapes_tell_what_was_removed_and_what_is_new():
    rows = [
        WeightRow("conv", "kernel", (3, 4), (3, 8), 6, 5, 3, 96, 20),
        WeightRow("conv", "bias", (4,), None, 0, 4, 32, 0, 16),
        WeightRow("norm", "gamma", None, (8,), 0, 0, 0, 32, 0),
    ]
    report = CompressionReport("small", "dense", "pruned", "test accuracy", rows, (), ())
    (table,) = compression_section(report).tables
    assert [row[2] for row in table.rows] == ["[3, 4], was [3, 8]", "[4], new", "[8], gone", ""]
    assert table.rows[-1] == ["all", "", "", "", "", "", "128", "36", "100%"]
    assert [(row.layer, row.sparsity) for row in by_layer(rows)] == [("conv", 6 / 16), ("norm", 0)]


def test_document_is_json(measured):
    document = json.loads(json.dumps(measured.document()))
    assert document["forms"][2]["measured"]["p50_ms_32"] == 5.2
    assert {"layer", "weight", "sparsity", "distinct_values", "bits", "share"} <= set(document["weights"][0])


def test_only_the_largest_of_many_layers_are_drawn():
    layers = [LayerRow(f"layer{size}", 0.5, size * 100, 0 if size == 7 else size) for size in range(60)]
    sizes, zeros = plots.layers_figure(layers).axes
    assert [label.get_text() for label in sizes.get_yticklabels()] == [f"layer{size}" for size in range(20, 60)]
    assert sizes.get_title(loc="left") == "bytes, the 40 largest of 60 layers"
    assert len(zeros.patches) == 40


@pytest.mark.slow
def test_real_forms_of_a_real_run(runs):
    original, plain, packed, litert = told(runs["small"]).forms
    assert packed.measured.bytes < plain.measured.bytes < original.measured.bytes
    assert litert.measured.bytes < original.measured.bytes
    assert isinstance(packed, Form)
    assert packed.measured.p50_ms_1 > 0
