"""Whatever happens to a file, its import ends in a recording or in a sentence."""

import random
import warnings

import edfio
import numpy as np
import pytest
from scipy.io import savemat
from tests.runtime.test_import_dmer import arrays
from tests.runtime.test_import_embraceplus import avro_file
from tests.runtime.test_import_opensignals import add_device
from tests.runtime.test_import_tables import brainflow_file, dsi_file, muse_file
from tests.runtime.test_import_xdf import eeg_and_wrist

from emodict.errors import EmodictError
from emodict.importers import IMPORTERS

TRIES = 40


def table(path):
    path.write_text("time,BVP,EDA (uS)\n" + "".join(f"{n / 64:.4f},{n},{n / 9:.3f}\n" for n in range(500)))


def edf(path):
    signal = edfio.EdfSignal(np.sin(np.arange(1000)), 100, label="EEG Cz", physical_dimension="uV")
    edfio.Edf([signal], annotations=[edfio.EdfAnnotation(1.0, None, "x")]).write(path)


WRITERS = {
    "dsi": dsi_file,
    "muse": muse_file,
    "brainflow": brainflow_file,
    "csv": table,
    "edf": edf,
    "xdf": lambda path: eeg_and_wrist()[0].write(path),
    "opensignals": add_device,
    "embraceplus": lambda path: avro_file(path.parent / "made").rename(path),
    "dmer": lambda path: savemat(path, arrays()),
}


def damaged(content, rng):
    """Cut off, sprinkled with other bytes, mostly in the header, or with a piece missing."""
    damage, some = rng.randrange(4), bytearray(content)
    if damage == 0:
        return bytes(some[: rng.randrange(len(some))])
    if damage == 3:
        start = rng.randrange(len(some))
        del some[start : start + rng.randrange(1, 500)]
        return bytes(some)
    for _ in range(rng.randrange(1, 25)):
        some[rng.randrange(len(some) if damage == 1 else min(len(some), 3000))] = rng.randrange(256)
    return bytes(some)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_damaged_file_gives_a_recording_or_a_sentence(kind, tmp_path):
    path = tmp_path / ("datas.mat" if kind == "dmer" else f"a.{kind}")
    WRITERS[kind](path)
    whole = path.read_bytes()
    IMPORTERS[kind].read(path)
    rng = random.Random(kind)
    codes = []
    for _ in range(TRIES):
        path.write_bytes(damaged(whole, rng))
        try:
            with warnings.catch_warnings():
                # Of numbers beyond single precision; the features take them for missing.
                warnings.simplefilter("ignore", RuntimeWarning)
                IMPORTERS[kind].read(path)
        except EmodictError as error:
            codes.append(error.exit_code)
    assert set(codes) == {2}
    assert len(codes) > TRIES / 4


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_of_every_other_kind_is_refused_with_its_own(kind, tmp_path):
    path = tmp_path / ("datas.mat" if kind == "dmer" else f"a.{kind}")
    WRITERS[kind](path)
    for other in IMPORTERS:
        if other in (kind, "csv", "brainflow"):
            continue
        with pytest.raises(EmodictError) as refusal:
            IMPORTERS[other].read(path)
        assert refusal.value.exit_code == 2
        assert f"emodict-session import {kind}" in str(refusal.value), (other, refusal.value)
