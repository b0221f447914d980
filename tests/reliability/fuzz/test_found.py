"""Inputs that were once found to do harm, each made here by code: what each must come to is a sentence."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import fastavro
import h5py
import numpy as np
import onnx
import pytest
import torch
from tests import forkserver
from tests.reliability.fuzz import documents, importers, page, sessions
from tests.reliability.fuzz.oracle import FoundError, outcome
from tests.reliability.fuzz.registry import TARGETS
from tests.runtime.test_import_xdf import XdfWriter, chunk

from emodict.cli import run as cli_run
from emodict.cli import session as cli_session
from emodict.errors import EmodictError, InputError, ModelError, RecordingError, SpecError
from emodict.features.quality import without_unusable
from emodict.hdf5 import lookup3
from emodict.model_spec import model_spec_from_dict
from emodict.recording import Event, FaceVideo, Recording, Signal
from emodict.session import open_session, write_session
from emodict.spec import load_spec, spec_from_dict
from emodict.validate import validate_session


def refused(target: str, data: bytes) -> str:
    """The sentence; the oracle itself holds time, memory and files to their bounds."""
    sentence = forkserver.call(sentence_of, target, data)
    assert sentence is not None
    return str(sentence)


def sentence_of(target: str, data: bytes) -> str | None:
    refusal = TARGETS[target].check(data)
    return None if refusal is None else str(refusal)


# ---- sessions ----


def unfinished(change: int, at: bytes) -> bytes:
    """A recording that was cut off, with one byte changed behind the last of `at`."""
    content = bytearray(sessions.edited_session(b"\1"))
    content[content.rindex(at) + change] ^= 0xFF
    return bytes(content)


def test_a_cut_off_session_with_a_wrong_sum_is_refused_and_not_waited_for() -> None:
    # HDF5 would try again a hundred times, each wait twice as long: centuries. OHDR opens an object's header.
    assert "checksum" in refused("session.h5", unfinished(6, b"OHDR"))


@pytest.mark.parametrize(
    "head", [bytes(16), b"\1" + bytes(7) + b"\xf0" + b"\xff" * 7, b"\1" + bytes(7) + b"\xd0" + b"\xff" * 7]
)
def test_texts_that_lead_back_to_themselves_are_refused_and_not_followed(head: bytes) -> None:
    # An object of no size; one whose size and head are 2^64 together; one 32 bytes short of that, which leads back.
    content = bytearray(sessions.edited_session(b""))
    at = content.index(b"GCOL") + 16
    content[at : at + 16] = head
    assert "lead back to themselves" in refused("session.h5", bytes(content))


def test_texts_that_lie_over_each_other_are_refused_and_not_all_gone_through() -> None:
    # Each object's content is the head of a collection that claims the rest of the file: a walk from each to the end.
    count = 20_000
    objects = (
        struct.pack("<HHIQ", 1, 1, 0, 16) + b"GCOL\1\0\0\0" + struct.pack("<Q", 32 * (count - i) - 16)
        for i in range(count)
    )
    content = sessions.edited_session(b"") + b"".join(objects)
    assert "texts lie over each other" in refused("session.h5", content)


def test_a_cut_off_session_that_points_beyond_every_file_is_refused() -> None:
    head = bytearray(sessions.edited_session(b"\1")[:44])
    # The superblock's address of the root's header.
    head[36:44] = struct.pack("<Q", 2**63 + 8)
    whole = bytes(head) + lookup3(bytes(head)).to_bytes(4, "little") + sessions.edited_session(b"\1")[48:]
    refused("session.h5", whole)


def test_the_sum_of_hdf5_is_lookup3() -> None:
    # From the driver of lookup3.c (Jenkins, 2006); the other is what HDF5 itself wrote into a superblock.
    assert lookup3(b"Four score and seven years ago") == 0x17770551
    head = sessions.edited_session(b"\1")[:48]
    assert lookup3(head[:44]) == int.from_bytes(head[44:], "little")


def session_with(tmp_path: Path, change: Callable[[h5py.File], object]) -> Path:
    path = tmp_path / "s.h5"
    path.write_bytes(sessions.session_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def dangle(file: h5py.File) -> None:
    del file["trials"], file["signals/ppg"]
    file["trials"] = h5py.SoftLink("/nowhere")
    file["signals/ppg"] = h5py.SoftLink("/signals/ppg")


def test_links_that_lead_nowhere_and_a_start_that_is_no_text_are_findings(tmp_path: Path) -> None:
    path = session_with(tmp_path, dangle)
    with h5py.File(path, "r+") as file:
        file.attrs["start_time"] = np.array([])
    assert {finding.where for finding in validate_session(path)} >= {"/signals/ppg"}


def test_a_face_of_something_other_than_numbers_is_refused(tmp_path: Path) -> None:
    def words(file: h5py.File) -> None:
        del file["video/face/embedding"]
        file.create_dataset("video/face/embedding", shape=(6, 32), dtype=h5py.string_dtype())

    with pytest.raises(RecordingError, match="embedding holds no numbers"), open_session(session_with(tmp_path, words)):
        pass


def test_more_trials_than_any_recording_has_are_refused_unread(tmp_path: Path) -> None:
    def many(file: h5py.File) -> None:
        for name in ("start", "stop", "trial_id"):
            del file[f"trials/{name}"]
            file.create_dataset(f"trials/{name}", shape=(200_000,), dtype="f4")

    with pytest.raises(RecordingError, match=r"trials: start is too large\. Expected at most 100000"):
        open_session(session_with(tmp_path, many)).__enter__()


def test_few_samples_that_claim_days_are_refused_and_a_recording_with_long_gaps_is_not() -> None:
    def gsr(last_s: float, count: int = 8) -> Signal:
        times_s = np.append(np.arange(count - 1) / 4, last_s)
        return Signal("gsr", 4.0, "uS", ("gsr",), np.ones((count, 1)), timestamps_s=times_s)

    with pytest.raises(RecordingError, match=r"nearly all of it is missing.*2 s of samples in 480 h"):
        gsr(20 * 86400.0)
    with pytest.raises(RecordingError, match="nearly all of it is missing"):
        FaceVideo(np.array([0.0, 20 * 86400.0]), embedding=np.ones((2, 32)))
    # Three hours of samples in three days, and two seconds of them in 23 hours.
    assert gsr(3 * 86400.0, count=3 * 3600 * 4).stop_s == pytest.approx(3 * 86400.25, abs=1)
    assert gsr(23 * 3600.0).stop_s > 82_000


def test_texts_that_hdf5_cannot_hold_are_written_without_what_it_cannot(tmp_path: Path) -> None:
    gsr = Signal("gsr", 4.0, "uS", ("gsr",), np.ones((8, 1)), reference="\0")
    write_session(Recording("a\0b", "\ud800", {"gsr": gsr}, events=(Event(0.0, 1, "x\0y"),)), tmp_path / "s.h5")
    with open_session(tmp_path / "s.h5") as recording:
        assert (recording.session_id, recording.subject_id, recording.events[0].description) == ("ab", "?", "xy")


def test_a_jpeg_that_claims_more_pixels_than_any_camera_is_refused_before_it_is_decoded() -> None:
    whole = sessions._pictures()[0].tobytes()
    at = whole.index(b"\xff\xc0")
    bomb = whole[: at + 5] + struct.pack(">HH", 65_500, 65_500) + whole[at + 9 :]
    assert "claims 65500 x 65500 pixels" in refused("picture", bomb)
    assert "not a JPEG" in refused("picture", b"\x89PNG\r\n\x1a\n" + whole)
    assert TARGETS["picture"].check(whole) is None


def test_frames_larger_than_any_camera_gives_are_refused(tmp_path: Path) -> None:
    def large(file: h5py.File) -> None:
        del file["video/face/embedding"]
        file.create_dataset("video/face/frames", shape=(6, 9000, 9000, 3), dtype="u1", chunks=(1, 1000, 1000, 3))

    with pytest.raises(RecordingError, match=r"claims|too large"):
        open_session(session_with(tmp_path, large)).__enter__()


# ---- sentences ----


def test_a_sentence_cannot_steer_a_terminal_nor_fill_it() -> None:
    text = str(InputError("a\x1b[2J\ud800", got="\0" + "x" * 10**6, expected="\u202eb\nc"))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert r"a\x1b[2J\ud800" in text
    assert len(text) < 5000
    text.encode()


# ---- JSON, specs and models ----

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("key", ["feature_spec", "model_spec", "missing_value", "training", "metrics"])
def test_json_that_is_nested_too_deep_is_refused_in_every_part_of_a_manifest(key: str) -> None:
    metadata = documents.closed(documents._metadata()) | {f"emodict.{key}": DEEP}
    assert "nested too deep" in refused("manifest", json.dumps(metadata).encode())


def test_a_manifest_without_a_fingerprint_is_refused() -> None:
    metadata = documents.closed(documents._metadata())
    del metadata["emodict.feature_spec"], metadata["emodict.feature_spec_fingerprint"]
    assert "feature_spec_fingerprint" in refused("manifest", json.dumps(metadata).encode())


def test_a_manifest_whose_hash_is_no_text_is_refused() -> None:
    content = documents.closed(documents._sidecar())
    content["model"]["emodict.graph_sha256"] = 1.5
    assert "graph_sha256 is no text" in refused("sidecar", json.dumps(content).encode())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("token_width",), "4"), (("token_width",), 10**9), (("streaming",), 1), (("modalities", 0, "rate_hz"), 1e300),
        (("modalities", 0, "rate_hz"), float("inf")), (("modalities", 0, "window_s"), 10**6),
        (("modalities", 0, "valid_range"), [1.0]), (("modalities", 0, "valid_range"), ["a", "b"]),
        (("modalities", 0, "unit"), 1.5), (("modalities", 0, "channel_names"), [0.1]), (("modalities", 0, "filter"), 3),
        (("modalities", 0, "shape"), [10**9]), (("modalities", 0, "feature_names"), "abc"), (("id",), None),
        (("modalities", 1, "filter", "padding_samples"), -1), (("modalities", 0, "settle_s"), 10**30),
    ],
)  # fmt: skip
def test_a_spec_with_a_field_of_another_kind_or_size_is_refused(path: tuple[str | int, ...], value: object) -> None:
    content = documents.WRIST.to_dict()
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    with pytest.raises(SpecError, match="cannot be read"):
        spec_from_dict(content)


@pytest.mark.parametrize("name", ["d_model", "layers", "members", "latent"])
def test_a_model_larger_than_anything_is_refused_before_it_is_built(name: str) -> None:
    with pytest.raises(ModelError, match=f"{name} must be a positive whole number"):
        model_spec_from_dict(documents._MODEL.to_dict() | {name: 10**9})


def test_fewer_weights_than_the_network_has_are_refused_before_the_network_is_built() -> None:
    content = documents.closed(documents._checkpoint_content())
    content["model"] = json.dumps(documents._MODEL.to_dict() | {"d_model": 8192, "feed_forward": 16384, "layers": 60})
    buffer = io.BytesIO()
    torch.save(content, buffer)
    assert "weights and more" in refused("checkpoint", buffer.getvalue())


@pytest.mark.parametrize("value", [torch.zeros(3), torch.zeros(1).expand(10**9)])
def test_a_tensor_in_place_of_the_format_is_refused(value: torch.Tensor) -> None:
    buffer = io.BytesIO()
    torch.save({"format": value, "format_version": value}, buffer)
    assert "got Tensor" in refused("checkpoint", buffer.getvalue())


def test_a_person_with_infinitely_many_rows_is_refused() -> None:
    content = json.loads(json.dumps(documents._person()))
    content["baselines"]["gsr"]["rows"] = float("inf")
    assert "damaged" in refused("person.json", json.dumps(content).encode())


def test_a_checkpoint_of_the_old_kind_that_claims_a_long_text_gets_no_room_for_it() -> None:
    # BINUNICODE of 1.9 GB.
    assert "cannot be read as a PyTorch file" in refused("checkpoint", b"XRp\xd2r")


def test_an_onnx_file_whose_metadata_is_no_text_is_refused() -> None:
    content = documents._onnx()
    assert "metadata is damaged" in refused("ONNX model", content.replace(b"emodict-1", b"emodict-\xff", 1))


def test_an_onnx_file_that_opens_and_cannot_be_run_is_refused() -> None:
    graph = onnx.load_from_string(documents._onnx())
    (reshape,) = (node for node in graph.graph.node if node.op_type == "Reshape" and node.name == "embedded")
    (shape,) = (tensor for tensor in graph.graph.initializer if tensor.name == reshape.input[1])
    shape.CopyFrom(onnx.numpy_helper.from_array(np.array([-1, 10**6], dtype=np.int64), shape.name))
    assert "cannot be reshaped to the requested shape" in refused("ONNX model", graph.SerializeToString())


# ---- archives and arrays ----


def packed_zip(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def test_an_array_that_claims_more_than_it_holds_is_refused_before_there_is_room_for_it() -> None:
    content = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }")
    assert "claims 8,000,000,000,000 bytes" in refused("feature table .npz", packed_zip({"spec.npy": content}))


def test_an_array_whose_head_does_not_end_is_refused() -> None:
    assert "is not a feature table" in refused("feature table .npz", packed_zip({"spec.npy": npy("{'descr': (")}))


def test_an_archive_that_lies_about_its_size_or_its_version_is_refused() -> None:
    content = bytearray(packed_zip({"spec.npy": npy("{}")}))
    central = content.rindex(b"PK\x01\x02")
    lying, newer = bytearray(content), bytearray(content)
    lying[central + 24 : central + 28] = struct.pack("<I", 3_000_000_000)
    newer[central + 6] = 200
    assert "claims 3,000,000,000 bytes" in refused("feature table .npz", bytes(lying))
    assert "is not a feature table" in refused("feature table .npz", bytes(newer))


def mat(*elements: bytes) -> bytes:
    packed = [zlib.compress(element) for element in elements]
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    return head + b"".join(struct.pack("<II", 15, len(part)) + part for part in packed)


@pytest.mark.parametrize("target", ["feature table .mat", "import dmer", "DMER eegfea.mat"])
def test_a_mat_bomb_is_refused_before_it_goes_off(target: str) -> None:
    bomb = struct.pack("<II", 14, 1 << 31) + bytes(1 << 20)
    assert "claim 2,147,483,648 bytes" in refused(target, mat(bomb))


# ---- recordings of other makers ----


def test_an_xdf_chunk_that_claims_more_samples_than_it_holds_is_refused() -> None:
    body = struct.pack("<I", 1) + b"\x04" + struct.pack("<I", 2**32 - 1)
    for form in ("string", "float32"):
        whole = XdfWriter().stream(1, "Cap", "EEG", rate=100, count=4, form=form).content + chunk(3, body)
        assert "claims 4294967295 samples of 4 channels" in refused("import xdf", whole)


def test_a_cut_off_xdf_chunk_with_more_in_it_than_its_samples_is_refused() -> None:
    # pyxdf would go on behind the one sample, with what follows as a chunk of 4 GiB.
    channels = [(name, "uV", "EEG") for name in ("Fp1", "Fp2", "O1")]
    file = XdfWriter().stream(1, "Cap", "EEG", rate=100.0, channels=channels)
    sample = struct.pack("<IBIBd3f", 1, 4, 1, 8, 0.0, 1.0, 2.0, 3.0)
    file.content += chunk(3, sample + b"\x04\xff\xff\xff\xff\x05\x00" + bytes(20))[:-2]
    assert "its samples end at" in refused("import xdf", bytes(file.content))


def test_an_xdf_header_that_claims_more_than_the_file_is_refused() -> None:
    content = b"XDF:\x08" + struct.pack("<QH", 2**60, 2) + struct.pack("<I", 1)
    assert "claims" in refused("import xdf", content)


def avro(schema: dict[str, object], record: object, codec: str = "null") -> bytes:
    buffer = io.BytesIO()
    fastavro.writer(buffer, fastavro.parse_schema(schema), [record], codec=codec)
    return buffer.getvalue()


def test_an_avro_array_of_nothing_is_refused() -> None:
    schema = {"name": "x", "type": "record", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]}
    assert "items without content" in refused("import embraceplus", avro(schema, {"a": [None] * 5}))


def test_an_avro_block_that_unpacks_to_more_than_is_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emodict.importers.avro_blocks.MOST_BYTES", 1 << 20)
    schema = {"name": "x", "type": "record", "fields": [{"name": "a", "type": "bytes"}]}
    content = avro(schema, {"a": bytes(2 << 20)}, "deflate")
    assert len(content) < 10_000
    # In this process, where the bound is lower.
    assert "unpacks to more than" in str(sentence_of("import embraceplus", content))


def test_an_avro_sensor_without_a_start_is_refused() -> None:
    values = {"name": "values", "type": {"type": "array", "items": "float"}}
    part = {"name": "b", "type": "record", "fields": [values, {"name": "samplingFrequency", "type": "float"}]}
    raw = {"name": "r", "type": "record", "fields": [{"name": "bvp", "type": part}]}
    schema = {"name": "x", "type": "record", "fields": [{"name": "rawData", "type": raw}]}
    content = avro(schema, {"rawData": {"bvp": {"values": [1.0], "samplingFrequency": 64.0}}})
    assert "another schema: KeyError: 'timestampStart'" in refused("import embraceplus", content)


@pytest.mark.parametrize("kind", ["csv", "dsi", "muse", "brainflow"])
def test_one_endless_line_and_endless_comments_are_refused(kind: str) -> None:
    refused(f"import {kind}", b"1" * (3 << 20))
    assert "nothing but comments" in refused(f"import {kind}", b"#a\n" * 20_000)


@pytest.mark.parametrize("columns", [[-1], [1.5], "12", [10**30]])
def test_a_board_whose_columns_are_none_is_refused(columns: object) -> None:
    description = {"sampling_rate": 250, "eeg_channels": columns, "num_rows": 7}
    assert "eeg_channels names no columns" in refused("BrainFlow description", json.dumps(description).encode())


def test_a_board_whose_marker_lies_beyond_its_columns_is_refused() -> None:
    description = {"sampling_rate": 250, "eeg_channels": [1, 2], "marker_channel": 7, "num_rows": 7}
    assert "is not from the board" in refused("BrainFlow description", json.dumps(description).encode())


# ---- the page ----


def test_a_visit_with_many_words_is_answered() -> None:
    many = "&".join(f"w{i}=1" for i in range(100))
    assert page._answers(f"GET /?{many} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(), None) != [500]


def test_a_handshake_with_bytes_that_are_no_text_is_the_visitors_fault() -> None:
    assert page._answers(page._HANDSHAKE.replace(b"AAAA==", b"AA\xcd\xff=="), None) == [400]


# ---- the oracle itself ----


def write_beside(path: Path) -> None:
    (path.parent.parent / "escape").write_text("x")


def take_much(path: Path) -> None:
    try:
        np.ones(400 << 20, dtype=np.uint8)
    except MemoryError as error:
        raise InputError("damaged") from error


def blame_us(path: Path) -> None:
    raise EmodictError("ours")


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (write_beside, "reaches out of its folder|files were changed"),
        (take_much, "takes more than 256 MiB"),
        (blame_us, "blamed on us"),
        (lambda path: {}[path], "not one of our errors"),
    ],
)
def test_the_oracle_finds_what_must_not_come_of_a_file(use: Callable[[Path], object], said: str) -> None:
    with pytest.raises(FoundError, match=said):
        outcome(use, "a", {"a": b""})
    assert outcome(lambda path: (path.parent / "out" / "b").write_text("x"), "a", {"a": b""}) is None


def test_every_importer_is_fuzzed() -> None:
    assert {f"import {kind}" for kind in importers.IMPORTERS} <= set(TARGETS)


# ---- names of others never become paths ----

NAMES = ["../../escape", "/tmp/escape", "x\x1b[2J<script>alert(1)</script>"]


def hostile_names(name: str) -> bytes:
    """A session that is called so wherever it can be."""

    def write(path: Path) -> None:
        recording = sessions.small_recording()
        trials = dataclasses.replace(recording.trials, trial_id=(name,), label_names=(name, "b"))
        changes = {"session_id": name, "subject_id": name, "device": name, "trials": trials, "start_time": name}
        write_session(dataclasses.replace(recording, **changes), path)

    return importers.written(write, "s.h5")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_session_calls_itself_is_written_nowhere_but_into_the_output(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def use(path: Path) -> None:
        out = path.parent / "out"
        for command, *words in (
            (cli_run, "--engine", path.parent / "m.onnx", path, "--out", out / "x.csv", "--report", out / "r.html"),
            (cli_run, "--engine", path.parent / "m.onnx", path, path.parent / "s2.h5", "--out", out / "x.json"),
            (cli_session, "inspect", path),
            (cli_session, "features", path, "-o", out / "t.npz"),
        ):
            monkeypatch.setattr(sys, "argv", [command.NAME, *map(str, words)])
            with pytest.raises(SystemExit) as ending:
                command.main()
            assert ending.value.code in (0, None, 2)
        assert (out / "x.csv").is_file()
        assert "<script>alert" not in (out / "r.html").read_text()

    content = hostile_names(name)
    assert outcome(use, "s.h5", {"s.h5": content, "s2.h5": content, "m.onnx": documents._onnx()}) is None
    assert "\x1b" not in capsys.readouterr().out


def test_a_range_far_beyond_numbers_that_can_be_squared_is_no_fault() -> None:
    samples = np.ones((8, 1))
    gsr = dataclasses.replace(load_spec("emodict-1").modality("gsr"), valid_range=(1e200, 1e300))
    assert np.isnan(without_unusable(gsr, samples)).all()


@pytest.mark.parametrize(("window_s", "taken"), [(20, True), (21, False)])
def test_a_filter_inside_windows_of_more_than_2048_samples_is_refused(window_s: int, taken: bool) -> None:
    content = load_spec("emodict-1").with_modalities(("ppg",)).to_dict()
    # 100 Hz; the longest extension of both ends there is, and as many sections as there may be.
    content["modalities"][0]["window_s"] = float(window_s)
    filter_spec = content["modalities"][0]["filter"]
    filter_spec |= {"padding_samples": 1999, "sos": filter_spec["sos"] * 21}
    sentence = forkserver.call(sentence_of, "feature spec", json.dumps(content).encode())
    assert (sentence is None) == taken
    assert taken or "a window of 2100 samples is longer than 2048" in sentence


@pytest.mark.parametrize(("padding", "taken"), [(499, True), (500, False)])
def test_a_filter_that_mirrors_more_than_its_window_holds_is_refused(padding: int, taken: bool) -> None:
    content = load_spec("emodict-1").with_modalities(("ppg",)).to_dict()
    content["modalities"][0]["filter"]["padding_samples"] = padding
    sentence = forkserver.call(sentence_of, "feature spec", json.dumps(content).encode())
    assert (sentence is None) == taken
    assert taken or "padding_samples is not a whole number from 0 to 499" in sentence


def test_band_powers_of_more_bins_than_memory_has_room_for_are_refused() -> None:
    content = load_spec("emodict-1").to_dict()
    spectrum = content["modalities"][0]["spectrum"]
    spectrum |= {"n_fft": 65_536, "bands": [{**spectrum["bands"][0], "first_bin": 0, "weights": [1.0] * 10_000}]}
    assert "bands of 10000 bins for a window of 300 samples" in refused("feature spec", json.dumps(content).encode())


@pytest.mark.parametrize(("samples", "taken"), [(3, False), (4, True)])
def test_statistics_of_too_few_samples_for_their_differences_are_refused(samples: int, taken: bool) -> None:
    content = load_spec("emodict-1").with_modalities(("gsr",)).to_dict()
    content["modalities"][0] |= {"rate_hz": float(samples), "window_s": 1.0}
    sentence = forkserver.call(sentence_of, "feature spec", json.dumps(content).encode())
    assert (sentence is None) == taken
    assert taken or "their differences need 4" in sentence
