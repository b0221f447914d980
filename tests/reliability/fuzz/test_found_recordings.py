"""Recordings of other makers, and requests to the page, that were once found to do harm."""

from __future__ import annotations

import io
import json
import struct

import fastavro
import pytest
from tests.reliability.fuzz import page
from tests.reliability.fuzz.refusals import refused, sentence_of
from tests.runtime.desk.test_import_xdf import XdfWriter, chunk


def test_an_xdf_chunk_that_claims_more_samples_than_it_holds_is_refused() -> None:
    body = struct.pack("<I", 1) + b"\x04" + struct.pack("<I", 2**32 - 1)
    for form in ("string", "float32"):
        whole = XdfWriter().stream(1, "Cap", "EEG", rate=100, count=4, form=form).content + chunk(
            3, body
        )
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
    schema = {
        "name": "x",
        "type": "record",
        "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}],
    }
    assert "items without content" in refused("import embraceplus", avro(schema, {"a": [None] * 5}))


def test_an_avro_block_that_unpacks_to_more_than_is_read_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("emodict_desk.importers.avro_blocks.MOST_BYTES", 1 << 20)
    schema = {"name": "x", "type": "record", "fields": [{"name": "a", "type": "bytes"}]}
    content = avro(schema, {"a": bytes(2 << 20)}, "deflate")
    assert len(content) < 10_000
    # In this process, where the bound is lower.
    assert "unpacks to more than" in str(sentence_of("import embraceplus", content))


def test_an_avro_sensor_without_a_start_is_refused() -> None:
    values = {"name": "values", "type": {"type": "array", "items": "float"}}
    part = {
        "name": "b",
        "type": "record",
        "fields": [values, {"name": "samplingFrequency", "type": "float"}],
    }
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
    assert "eeg_channels names no columns" in refused(
        "BrainFlow description", json.dumps(description).encode()
    )


def test_a_board_whose_marker_lies_beyond_its_columns_is_refused() -> None:
    description = {"sampling_rate": 250, "eeg_channels": [1, 2], "marker_channel": 7, "num_rows": 7}
    assert "is not from the board" in refused(
        "BrainFlow description", json.dumps(description).encode()
    )


def test_a_visit_with_many_words_is_answered() -> None:
    many = "&".join(f"w{i}=1" for i in range(100))
    assert page._answers(f"GET /?{many} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(), None) != [
        500
    ]


def test_a_handshake_with_bytes_that_are_no_text_is_the_visitors_fault() -> None:
    assert page._answers(page._HANDSHAKE.replace(b"AAAA==", b"AA\xcd\xff=="), None) == [400]
