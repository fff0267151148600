"""What the packed form costs for a model of fresh weights: bytes and latency of any family; no data, no training."""

from __future__ import annotations

import tempfile
from pathlib import Path

from zoo.benchmarks.rows import Packed, packed_row
from zoo.config import Experiment

__all__ = ["measure_fresh"]


def measure_fresh(experiment: Experiment) -> Packed:
    """Returns a row for an experiment's model as `build` makes it, exported without features and task in each form.

    Fresh weights are the dearest to write: those of a training crowd around zero and take fewer bits.
    """
    from zoo.benchmarks.artifact import FLOAT_BYTES, is_bit_exact
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
        *measured, keras_export = measure([root / name for name in ("plain", "packed", "int8", "keras")])
        return packed_row(
            experiment.name,
            measured,
            float_bytes=FLOAT_BYTES * model.count_params(),
            keras_export_bytes=keras_export.bytes,
            is_bit_exact=is_bit_exact(model, root / "packed"),
        )
