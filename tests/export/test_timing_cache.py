"""The timing cache: kept where caches belong, never believed when damaged, never in the way."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from emodict_export.export import folded_onnx
from emodict_export.plan import build_plan_with
from emodict_export.plan.tensorrt_module import Backend, load_rtx
from emodict_export.plan.timing_cache import cache_file, cache_folder, read_cache, write_cache
from emodict_train.model.checkpoint import Checkpoint


def test_the_cache_lies_in_the_users_cache_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "emodict"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for not_absolute in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", not_absolute)
        assert cache_folder() == tmp_path / "home" / ".cache" / "emodict"


def test_each_tensorrt_version_gpu_and_graph_has_a_file_of_its_own(tmp_path: Path) -> None:
    key = {
        "builder": "tensorrt",
        "version": "10.3.0",
        "compute_capabilities": ("8.7",),
        "graph_sha256": "a" * 64,
    }
    others = [{**key, "builder": "tensorrt_rtx"}, {**key, "version": "10.13.0"}]
    others += [{**key, "compute_capabilities": ("8.6",)}, {**key, "graph_sha256": "b" * 64}]
    files = {cache_file(tmp_path, **k) for k in [key, key, *others]}  # type: ignore[arg-type]
    assert len(files) == 5
    assert {file.parent for file in files} == {tmp_path}


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.timing"
    assert read_cache(path) == b""
    write_cache(path, b"times")
    assert read_cache(path) == b"times"
    assert [p.name for p in path.parent.iterdir()] == ["a.timing"]


@pytest.mark.parametrize("place", [0, 31, 32, -1])
def test_a_damaged_cache_is_ignored_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: int
) -> None:
    path = tmp_path / "a.timing"
    write_cache(path, b"times")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert read_cache(path) == b""
    assert f"{path} is damaged" in caplog.text


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_cut_off_cache_is_ignored(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.timing"
    path.write_bytes(content)
    assert read_cache(path) == b""
    assert "is damaged" in caplog.text


def test_a_folder_that_cannot_be_made_is_said_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    write_cache(tmp_path / "file" / "a.timing", b"times")
    assert "was not kept" in caplog.text
    caplog.clear()
    assert read_cache(tmp_path / "file" / "a.timing") == b""
    assert "cannot be read" in caplog.text


@pytest.fixture
def timing() -> Backend:
    """TensorRT for RTX with the timing cache of TensorRT,
    whose API it still has (and will lose).
    """
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed")
    return dataclasses.replace(load_rtx(), timing_cache=True)


@pytest.fixture
def graph(trained: Callable[..., Checkpoint]) -> onnx.ModelProto:
    return folded_onnx(trained("emodict-1", modalities=("ppg", "gsr")))


@pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")
def test_a_build_keeps_its_times_and_the_next_one_takes_them(
    timing: Backend, graph: onnx.ModelProto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    first = build_plan_with(timing, graph, ("8.6",), timing_caches=tmp_path)
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith(f"tensorrt_rtx-{timing.version}-sm8.6-")
    assert read_cache(kept)
    second = build_plan_with(timing, graph, ("8.6",), timing_caches=tmp_path)
    assert len(second.content) == len(first.content)
    assert [p.name for p in tmp_path.iterdir()] == [kept.name]
    assert caplog.text == ""


@pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")
@pytest.mark.parametrize("harm", ["damaged", "unwritable"])
def test_a_build_goes_on_without_its_cache(
    timing: Backend,
    graph: onnx.ModelProto,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    harm: str,
) -> None:
    folder = tmp_path / "caches"
    if harm == "damaged":
        build_plan_with(timing, graph, ("8.6",), timing_caches=folder)
        next(folder.iterdir()).write_bytes(bytes(100))
    else:
        folder.write_text("in the way")
    assert build_plan_with(timing, graph, ("8.6",), timing_caches=folder).content
    assert ("is damaged" if harm == "damaged" else "was not kept") in caplog.text


def test_tensorrt_for_rtx_times_nothing_and_keeps_nothing(
    graph: onnx.ModelProto, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed")
    build_plan_with(load_rtx(), graph, ("8.6",), timing_caches=tmp_path)
    assert list(tmp_path.iterdir()) == []
