"""What the packed form costs for a model of fresh weights: bytes and latency of any family; no data, no training."""

from __future__ import annotations

import tempfile
from pathlib import Path

from zoo.benchmarks.rows import Fresh
from zoo.config import Experiment

__all__ = ["measure_fresh"]


def measure_fresh(experiment: Experiment) -> Fresh:
    """Returns a row for an experiment's model as `build` makes it, exported without features and task in each form.

    Fresh weights are the dearest to write: those of a training crowd around zero and take fewer bits.
    """
    from zoo.benchmarks.artifact import is_bit_exact
    from zoo.compression.quantize import quantize
    from zoo.exporting.measure import measure
    from zoo.exporting.packing.saved_model import write_packed
    from zoo.exporting.plain import write_plain
    from zoo.exporting.servable import Servable
    from zoo.exporting.signature import specs_of_model

    model = experiment.model.build()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        specs, rounded = specs_of_model(model), quantize(model, "int8")
        write_plain(Servable(model, specs), root / "plain")
        write_packed(Servable(model, specs), root / "packed")
        write_packed(Servable(rounded, specs), root / "int8")
        model.export(str(root / "keras"), verbose=False)
        plain, packed, int8, keras_export = measure([root / name for name in ("plain", "packed", "int8", "keras")])
        exact = is_bit_exact(model, root / "packed")
    float_bytes = 4 * model.count_params()
    return Fresh(
        config=experiment.name,
        float_bytes=float_bytes,
        keras_export_bytes=keras_export.bytes,
        packed_bytes=packed.bytes,
        packed_of_export=round(packed.bytes / keras_export.bytes, 3),
        is_bit_exact=exact,
        int8_bytes=int8.bytes,
        int8_of_float=round(int8.bytes / float_bytes, 3),
        int8_p50_ratio_1=round(int8.p50_ms_1 / plain.p50_ms_1, 3),
        int8_p50_ratio_32=round(int8.p50_ms_32 / plain.p50_ms_32, 3),
    )
