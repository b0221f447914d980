"""Signed models: what the trusted key has signed is taken, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from emodict.engine import held
from emodict.engine.held import hold, read_content, sidecar_path
from emodict.engine.trust import (
    read_signing_key,
    read_trusted_key,
    require_signed,
    sign_model,
    signature_path,
)
from emodict.errors import InputError, TrustError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture(autouse=True)
def _as_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_held", {})


@pytest.fixture(params=["model.onnx", "model.plan"])
def signed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Bytes that stand for a model: what they mean is nothing to a signature."""
    path = tmp_path / request.param
    path.write_bytes(b"model" * 1000)
    if path.suffix == ".plan":
        sidecar_path(path).write_text('{"plan": 1}\n')
    sign_model(path, KEY)
    return path


def test_a_signed_model_is_trusted_and_so_is_its_copy(signed: Path, tmp_path: Path) -> None:
    require_signed(signed, KEY.public_key())
    device = tmp_path / "device"
    device.mkdir()
    for file in tmp_path.glob("model.*"):
        shutil.copy(file, device)
    require_signed(device / signed.name, KEY.public_key())


def test_whatever_is_changed_is_refused(signed: Path) -> None:
    files = [
        signed,
        signature_path(signed),
        *([sidecar_path(signed)] if signed.suffix == ".plan" else []),
    ]
    for file in files:
        whole = file.read_bytes()
        for at in range(0, len(whole) - 1, max(1, len(whole) // 20)):
            changed = bytearray(whole)
            changed[at] ^= 1
            file.write_bytes(changed)
            with pytest.raises(TrustError, match=r"model\.\w+ is not trusted|is not a signature"):
                require_signed(signed, KEY.public_key())
        file.write_bytes(whole)
        file.rename(file.with_suffix(".away"))
        with pytest.raises(TrustError, match=r"is not trusted: there is no|cannot be read"):
            require_signed(signed, KEY.public_key())
        file.with_suffix(".away").rename(file)
    require_signed(signed, KEY.public_key())


def test_what_was_checked_is_what_is_opened_though_the_files_change(signed: Path) -> None:
    files = [signed, *([sidecar_path(signed)] if signed.suffix == ".plan" else [])]
    checked = {file: file.read_bytes() for file in files}
    assert require_signed(signed, KEY.public_key()) == checked
    # Nothing is kept unasked: a service that checks and opens newer files gets the newer ones.
    assert {file: held.held(file) for file in files} == dict.fromkeys(files)
    for file, content in checked.items():
        hold(file, content)
        file.write_bytes(b"another, put there in the meantime")
    assert {file: read_content(file) for file in files} == checked
    with pytest.raises(TrustError):
        require_signed(signed, KEY.public_key())


def test_another_key_or_the_signature_of_another_model_is_refused(signed: Path) -> None:
    with pytest.raises(TrustError, match="is not its signature by the trusted key"):
        require_signed(signed, Ed25519PrivateKey.generate().public_key())
    other = signed.with_name(f"other{signed.suffix}")
    other.write_bytes(b"another model")
    if other.suffix == ".plan":
        shutil.copy(sidecar_path(signed), sidecar_path(other))
    shutil.copy(signature_path(signed), signature_path(other))
    with pytest.raises(TrustError, match="is not its signature by the trusted key"):
        require_signed(other, KEY.public_key())


def test_the_signature_is_ed25519_of_what_the_pages_say(signed: Path) -> None:
    # The library checks what it has made itself; here the message is put together anew.
    message = b"emodict signed model, version 1\n" + hashlib.sha512(signed.read_bytes()).digest()
    if signed.suffix == ".plan":
        message += hashlib.sha512(sidecar_path(signed).read_bytes()).digest()
    KEY.public_key().verify(base64.b64decode(signature_path(signed).read_text()), message)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_keys_that_openssl_makes_are_taken(tmp_path: Path) -> None:
    signing, trusted = tmp_path / "signing.pem", tmp_path / "trusted.pem"
    for words in (
        ["genpkey", "-algorithm", "ed25519", "-out", signing],
        ["pkey", "-in", signing, "-pubout", "-out", trusted],
    ):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    model = tmp_path / "model.onnx"
    model.write_bytes(b"model")
    sign_model(model, read_signing_key(signing))
    require_signed(model, read_trusted_key(trusted))
    with pytest.raises(
        InputError, match=r"trusted\.pem holds no private key .* Make one: openssl genpkey"
    ):
        read_signing_key(trusted)
    with pytest.raises(
        InputError,
        match=r"signing\.pem holds no public key .* openssl pkey -in signing\.pem -pubout",
    ):
        read_trusted_key(signing)


def test_keys_of_another_kind_are_refused_with_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    other = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(InputError, match="a private Ed25519 key as PEM, got ECPrivateKey"):
        read_signing_key(path)
    path.write_bytes(
        other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(InputError, match="a public Ed25519 key as PEM, got ECPublicKey"):
        read_trusted_key(path)
    path.write_bytes(
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    with pytest.raises(InputError, match="is behind a passphrase"):
        read_signing_key(path)
    for read in (read_signing_key, read_trusted_key):
        path.write_bytes(b"hello")
        with pytest.raises(InputError, match=r"holds no \w+ key that can be used"):
            read(path)
        with pytest.raises(
            InputError, match=r"The key .*nowhere\.pem cannot be read: No such file"
        ):
            read(tmp_path / "nowhere.pem")
