"""Signed models: Ed25519 (RFC 8032) over an engine file,
beside it as model.onnx.sig or model.plan.sig.

A plan is code that runs on the GPU, and its sidecar's hashes tell damage, not intent: whoever
changes a plan can write a sidecar to it. Only who holds the private key can write a signature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emodict.engine.held import model_files
from emodict.errors import InputError, MissingDependencyError, TrustError
from emodict.files.atomic import atomic_path

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

# A signature of emodict's cannot stand for one of anything else that the same key signs.
_CONTEXT = b"emodict signed model, version 1\n"
HOW_TO_MAKE_ONE = {
    "private": "openssl genpkey -algorithm ed25519 -out signing.pem",
    "public": "openssl pkey -in signing.pem -pubout -out trusted.pem",
}


def signature_path(model: Path) -> Path:
    """model.plan -> model.plan.sig."""
    return model.with_name(model.name + ".sig")


def sign_model(model: Path, key: Ed25519PrivateKey) -> Path:
    """Write the signature of a model file beside it; of a plan, its sidecar is signed with it."""
    path = signature_path(model)
    with atomic_path(path) as part:
        part.write_text(
            base64.b64encode(key.sign(_message(map(_content, model_files(model))))).decode() + "\n",
            encoding="ascii",
        )
    return path


def require_signed(model: Path, key: Ed25519PublicKey) -> dict[Path, bytes]:
    """Refuse a model file that the key has not signed as it is;
    the files that were checked, with their content.

    Whoever goes on to run it hands that content to `emodict.engine.held.hold`:
    the files may change meanwhile.

    Raises:
        TrustError: there is no signature, or it is not that of this file by this key.
    """
    from cryptography.exceptions import InvalidSignature

    path = signature_path(model)
    fix = (
        "Copy model and signature from where they were signed: "
        "emodict-export model.pt --sign signing.pem"
    )
    missing = [file for file in (model, path) if not file.is_file()]
    if missing:
        raise TrustError(
            f"{model} is not trusted: there is no {missing[0].name}",
            expected=f"{path.name} beside the model, made with the key that --trust names",
            fix=fix,
        )
    contents = {file: _content(file) for file in model_files(model)}
    try:
        key.verify(_signature(path), _message(contents.values()))
    except InvalidSignature as error:
        raise TrustError(
            f"{model} is not trusted: {path.name} is not its signature by the trusted key",
            expected="the file that was signed, and the key that signed it",
            got="a changed file, or another key",
            fix=fix,
        ) from error
    return contents


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """The private key of a PEM file.

    Raises:
        InputError: it holds none, or one of another kind, or one behind a passphrase.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = _read_key(path, lambda content: load_pem_private_key(content, password=None), "private")
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "private", type(key).__name__)
    return key


def read_trusted_key(path: Path) -> Ed25519PublicKey:
    """The public key of a PEM file.

    Raises:
        InputError: it holds none, or one of another kind.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = _read_key(path, load_pem_public_key, "public")
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, "public", type(key).__name__)
    return key


def require_cryptography(purpose: str) -> None:
    """Refuse what cannot be done without the library.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("cryptography", extra="sign", purpose=purpose) from error


def _message(contents: Iterable[bytes]) -> bytes:
    """What is signed: hashes of the files."""
    return _CONTEXT + b"".join(hashlib.sha512(content).digest() for content in contents)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TrustError(
            f"{file} cannot be read: {error.strerror}", fix="Copy it to the model"
        ) from error


def _signature(path: Path) -> bytes:
    try:
        return base64.b64decode(path.read_bytes()[:200].strip(), validate=True)
    except (OSError, binascii.Error, ValueError) as error:
        raise TrustError(f"{path} is not a signature: {error}", fix="Copy it again") from error


def _read_key(path: Path, load: Any, kind: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"The key {path} cannot be read: {error.strerror}",
            fix=f"Make one: {HOW_TO_MAKE_ONE[kind]}",
        ) from error
    try:
        return load(content)
    except TypeError as error:
        raise InputError(
            f"The key {path} is behind a passphrase", expected="a key without one",
            fix=f"openssl pkey -in {path} -out open.pem, and delete open.pem afterwards",
        ) from error  # fmt: skip
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(path, kind, "something else") from error


def _no_key(path: Path, kind: str, got: str) -> InputError:
    return InputError(
        f"{path} holds no {kind} key that can be used",
        expected=f"a {kind} Ed25519 key as PEM",
        got=got,
        fix=f"Make one: {HOW_TO_MAKE_ONE[kind]}",
    )
