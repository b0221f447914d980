# ruff: noqa: E501 - a table
"""The files that `make mutants` changes, in groups, and the tests that judge each:
the nearest and quickest first.
"""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_IMPORTERS = (
    "runtime/desk/test_import_join runtime/desk/test_importers runtime/desk/test_import_clock"
)
_TABLES = " ".join(
    f"runtime/desk/test_{name}"
    for name in (
        "import_dsi",
        "import_muse",
        "import_brainflow",
        "import_csv",
        "importers",
        "import_clock",
    )
)
_FOUND = "reliability/fuzz/test_found_recordings"
_XDF = f"runtime/desk/test_import_xdf {_FOUND} runtime/desk/test_importers"
_STREAM = (
    "runtime/features/test_extract runtime/features/test_stream "
    "runtime/features/test_fewer_channels reliability/test_limits"
)
_PLANS = (
    "runtime/engine/test_engine_tensorrt runtime/engine/test_driver export/test_tensorrt_module"
)
_ONNX = "runtime/engine/test_manifest runtime/engine/test_engine_onnx_cuda export/test_export"

# For each group its files, or folders:
# the tests of a folder are for those of its files that are not named.
GROUPS: dict[str, dict[str, str]] = {
    "features": {
        "runtime/emodict/features": f"runtime/features/test_statistics "
        f"runtime/features/test_band_power {_STREAM}",
        "runtime/emodict/features/products.py": f"runtime/features/test_products {_STREAM}",
        "runtime/emodict/features/quality.py": f"runtime/features/test_quality {_STREAM}",
        "runtime/emodict/features/resample.py": f"runtime/features/test_resample {_STREAM}",
        "runtime/emodict/features/stream.py": f"{_STREAM} runtime/predict/test_person",
        "runtime/emodict/features/extract.py": "runtime/features/test_extract "
        "runtime/features/test_fewer_channels runtime/features/test_stream",
        "runtime/emodict/features/face_kinds.py": f"runtime/face/test_face_stream "
        f"runtime/desk/test_validate {_STREAM}",
        "runtime/emodict/features/filters.py": f"runtime/features/test_filters {_STREAM}",
        "runtime/emodict/features/hog.py": "runtime/features/test_face_hog",
        "runtime/emodict_desk/by_trial.py": "runtime/features/test_extract "
        "runtime/features/test_released_recipes",
        "runtime/emodict_desk/sensors.py": "runtime/features/test_fewer_channels "
        "integration/test_fewer_sensors",
        "runtime/emodict/features/spec.py": f"runtime/features/test_spec {_STREAM}",
        "runtime/emodict/features/spec_checks.py": "runtime/features/test_spec "
        "reliability/fuzz/test_found_models",
        "runtime/emodict/features/truth.py": "runtime/features/test_truth runtime/desk/test_table",
        "runtime/emodict/features/windows.py": f"runtime/desk/test_table {_STREAM}",
    },
    "live/clock": {"runtime/emodict/live/clock.py": "live/test_clock*"},
    "live/stamps": {
        "runtime/emodict/live/stamps.py": "live/test_stamps live/test_rate_watch",
        "runtime/emodict/live/rarely.py": "live/test_rarely",
    },
    "units": {"runtime/emodict/recording/units.py": f"runtime/recording/test_units {_IMPORTERS}"},
    "importers": {
        "runtime/emodict_desk/importers": f"{_TABLES} runtime/desk/test_import_join "
        f"runtime/desk/test_import_xdf",
        "runtime/emodict_desk/importers/avro_blocks.py": f"runtime/desk/test_import_embraceplus {_FOUND}",
        "runtime/emodict_desk/importers/clock.py": f"runtime/desk/test_import_clock "
        f"{_TABLES} {_XDF}",
        "runtime/emodict_desk/importers/dmer.py": "runtime/desk/test_import_dmer "
        "runtime/desk/test_importers",
        "runtime/emodict_desk/importers/e4.py": _IMPORTERS,
        "runtime/emodict_desk/importers/edf.py": _IMPORTERS,
        "runtime/emodict_desk/importers/embraceplus.py": f"runtime/desk/test_import_embraceplus "
        f"{_FOUND} runtime/desk/test_importers",
        "runtime/emodict_desk/importers/join.py": _IMPORTERS,
        **{
            f"runtime/emodict_desk/importers/{name}.py": _TABLES
            for name in (
                "brainflow",
                "comments",
                "csv_columns",
                "dsi",
                "muse",
                "plain_csv",
                "row_clock",
                "text",
            )
        },
        "runtime/emodict_desk/importers/on_the_way.py": "integration/test_run_imports",
        "runtime/emodict_desk/importers/openbci.py": "runtime/desk/test_import_openbci",
        "runtime/emodict_desk/importers/order.py": f"runtime/desk/test_import_order "
        f"{_TABLES} {_XDF}",
        "runtime/emodict_desk/importers/places.py": "runtime/desk/test_places",
        "runtime/emodict_desk/importers/stamps.py": _XDF,
        "runtime/emodict_desk/importers/xdf_streams.py": _XDF,
        **{
            f"runtime/emodict_desk/importers/{name}.py": "runtime/desk/test_import_opensignals "
            "runtime/desk/test_importers"
            for name in (
                "opensignals",
                "opensignals_device",
                "opensignals_h5",
                "opensignals_txt",
            )
        },
        **{
            f"runtime/emodict_desk/importers/{name}.py": f"runtime/desk/test_import_{of}"
            for name, of in (
                ("acqknowledge", "acqknowledge"),
                ("dsi_header", "dsi"),
                ("emotibit", "emotibit"),
                ("mne_files", "mne"),
                ("muse_lsl", "muse_lsl"),
                ("polar", "polar"),
                ("shimmer", "shimmer"),
            )
        },
        **{
            f"runtime/emodict_desk/importers/{name}.py": "runtime/desk/test_importers "
            "runtime/desk/test_import_mne runtime/desk/test_import_acqknowledge"
            for name in ("channels", "conductance", "patient")
        },
        "runtime/emodict_desk/importers/timed.py": "runtime/desk/test_import_muse_lsl "
        "runtime/desk/test_import_shimmer runtime/desk/test_import_csv",
        "runtime/emodict_desk/importers/xdf.py": _XDF,
        "runtime/emodict_desk/importers/xdf_chunks.py": _XDF,
    },
    "engine": {
        "runtime/emodict/engine": f"runtime/engine/test_placement {_PLANS} {_ONNX} "
        f"runtime/engine/test_trust",
        "runtime/emodict/engine/cuda.py": f"runtime/engine/test_cuda_memory {_PLANS}",
        "runtime/emodict/engine/manifest.py": f"{_ONNX} export/test_graph",
        "runtime/emodict/engine/model_spec.py": f"runtime/engine/test_model_spec {_ONNX}",
        "runtime/emodict/engine/onnx.py": f"{_ONNX} export/test_graph",
        "runtime/emodict/engine/sidecar.py": f"runtime/engine/test_sidecar {_PLANS} "
        f"runtime/engine/test_trust",
        "runtime/emodict/engine/tensorrt_api.py": f"contract/test_tensorrt_names {_PLANS}",
    },
    "predict": {
        "runtime/emodict/predict/scoring.py": "runtime/predict/test_predict "
        "runtime/predict/test_person runtime/features/test_fewer_channels",
        "runtime/emodict/results/prediction.py": "runtime/results/test_prediction "
        "runtime/results/test_outputs runtime/desk/test_report",
    },
    "fold": {"export/emodict_export/fold.py": "export/test_fold export/test_export"},
    "graph": {
        "export/emodict_export/graph.py": "export/test_graph export/test_export export/test_fold"
    },
    "metrics": {"runtime/emodict/results/metrics.py": "runtime/results/test_metrics"},
    "model": {
        "train/emodict_train/model/emotion_dict.py": "train/model/test_emotion_dict "
        "train/model/test_losses train/model/test_checkpoint",
        "train/emodict_train/model/losses.py": "train/model/test_losses",
    },
}


def files_of(group: str) -> list[str]:
    """All files of a group, from the root of the repository."""
    found = {
        str(path.relative_to(REPOSITORY))
        for place in GROUPS[group]
        for path in sorted(
            (REPOSITORY / place).glob("*.py") if not place.endswith(".py") else [REPOSITORY / place]
        )
    }
    return sorted(found)


def judges_of(group: str, file: str) -> list[str]:
    """The test files that judge a file, each once."""
    places = GROUPS[group]
    words = places.get(file) or places[str(Path(file).parent)]
    found = [
        path for word in words.split() for path in sorted((REPOSITORY / "tests").glob(f"{word}.py"))
    ]
    return list(dict.fromkeys(str(path.relative_to(REPOSITORY)) for path in found))
