"""emodict-export --sign and emodict-run --trust as they are typed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.integration.conftest import Run

from emodict.trust import sign_model


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private and its public key."""
    signing, trusted = tmp_path / "signing.pem", tmp_path / "trusted.pem"
    key = Ed25519PrivateKey.generate()
    signing.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    trusted.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return signing, trusted


@pytest.fixture
def signed(model: Path, keys: tuple[Path, Path], tmp_path: Path) -> Path:
    from emodict.trust import read_signing_key

    path = tmp_path / "model.onnx"
    shutil.copy(model, path)
    sign_model(path, read_signing_key(keys[0]))
    return path


def test_a_device_runs_what_is_signed_and_nothing_else(
    run: Run, signed: Path, model: Path, keys: tuple[Path, Path], session: Path
) -> None:
    command = ("--trust", keys[1], session, "--out", "-")
    trusted = run("emodict-run", "--engine", signed, *command)
    assert trusted.returncode == 0, trusted.stderr
    assert trusted.stdout == run("emodict-run", "--engine", signed, session, "--out", "-").stdout
    refused = run("emodict-run", "--engine", model, *command)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"{model} is not trusted: there is no model.onnx.sig" in refused.stderr


def test_the_environment_may_name_the_key_once_for_all(
    run: Run, model: Path, keys: tuple[Path, Path], session: Path
) -> None:
    environment = {**os.environ, "EMODICT_TRUST": str(keys[1])}
    for options in ((session,), ("--live", f"replay:{session}"), ("--check",)):
        done = run("emodict-run", "--engine", model, *options, env=environment)
        assert done.returncode == 2
        assert "is not trusted: there is no model.onnx.sig" in done.stderr


def test_what_describes_the_face_must_be_signed_as_well(
    run: Run, signed: Path, model: Path, keys: tuple[Path, Path], session: Path
) -> None:
    options = ("--trust", keys[1], "--camera", "0")
    for face in (("--face", model), ("--face", "hog", "--face-model", model)):
        done = run("emodict-run", "--engine", signed, *options, *face)
        assert done.returncode == 2
        assert f"{model} is not trusted" in done.stderr


def test_a_key_that_is_none_runs_nothing(run: Run, signed: Path, session: Path) -> None:
    done = run("emodict-run", "--engine", signed, session, "--trust", session)
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no public key that can be used" in done.stderr


def test_without_cryptography_the_sentence_says_what_to_install(model: Path, session: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['cryptography'] = None; from emodict.cli.run import main; main()"
    command = [sys.executable, "-c", code, "--engine", model, session]
    done = subprocess.run([*command, "--trust", tmp_path / "key.pem"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert "pip install 'emodict[sign]'" in done.stderr
    assert subprocess.run([*command, "-q"], capture_output=True, timeout=100).returncode == 0
