"""emodict-export --sign and emodict-run --trust as they are typed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tests.integration.conftest import Run
from tests.stand_in.plans import write_plan

from emodict.engine import held, open_engine
from emodict.engine.held import sidecar_path
from emodict.engine.sidecar import read_plan, read_sidecar
from emodict.engine.trust import read_signing_key, read_trusted_key, require_signed, sign_model


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private and its public key."""
    signing, trusted = tmp_path / "signing.pem", tmp_path / "trusted.pem"
    key = Ed25519PrivateKey.generate()
    signing.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    trusted.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return signing, trusted


@pytest.fixture
def signed(model: Path, keys: tuple[Path, Path], tmp_path: Path) -> Path:
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


def test_a_model_put_in_its_place_after_the_check_is_not_run(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "_held", {})
    plan = write_plan(signed, tmp_path / "plan")
    sign_model(plan, read_signing_key(keys[0]))
    with open_engine(signed) as engine:
        graph = engine.manifest.graph_sha256
    for model in (signed, plan):
        checked = require_signed(model, read_trusted_key(keys[1]))
        assert list(checked) == [model, *([sidecar_path(model)] if model is plan else [])]
        for file, content in checked.items():
            held.hold(file, content)
            file.write_bytes(b"another model")
    with open_engine(signed) as engine:
        assert engine.manifest.graph_sha256 == graph
    sidecar = read_sidecar(plan)
    assert hashlib.sha256(read_plan(plan, sidecar)).hexdigest() == sidecar.plan_sha256


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


def test_an_installed_model_that_finds_faces_must_be_signed(
    run: Run, signed: Path, model: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    environment = {**os.environ, "EMODICT_TRUST": str(keys[1]), "EMODICT_FACE_MODEL": str(model)}
    for command in (
        ("emodict-run", "--engine", signed, "--camera", "0", "--face", "hog"),
        ("emodict-session", "faces", "film.mp4", "--face", "hog", "-o", tmp_path / "faces.h5"),
        (
            "emodict-session",
            "faces",
            "film.mp4",
            "--face",
            model,
            "--cropped",
            "-o",
            tmp_path / "faces.h5",
        ),
    ):
        done = run(*command, env=environment)
        assert done.returncode == 2
        assert f"{model} is not trusted" in done.stderr


def test_a_key_that_is_none_runs_nothing(run: Run, signed: Path, session: Path) -> None:
    done = run("emodict-run", "--engine", signed, session, "--trust", session)
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no public key that can be used" in done.stderr


def test_without_cryptography_the_sentence_says_what_to_install(
    model: Path, session: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None; from emodict.cli.run import main; main()"
    )
    command = [sys.executable, "-c", code, "--engine", model, session]
    done = subprocess.run(
        [*command, "--trust", tmp_path / "key.pem"], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 2
    assert "pip install 'emodict[sign]'" in done.stderr
    assert subprocess.run([*command, "-q"], capture_output=True, timeout=100).returncode == 0
