"""`--trust`: what a command opens is what the owner of a key has signed, to the byte."""

from __future__ import annotations

from pathlib import Path


def require_trusted(key_file: Path, *models: Path | None) -> None:
    """Refuse whatever the owner of the key has not signed;
    what is opened afterwards is what was checked.

    Raises:
        TrustError: a model is not signed by that key.
        MissingDependencyError: cryptography is not installed.
    """
    from emodict.engine.held import hold
    from emodict.engine.trust import read_trusted_key, require_cryptography, require_signed

    require_cryptography("--trust")
    key = read_trusted_key(key_file)
    for model in models:
        if model is not None:
            for file, content in require_signed(model, key).items():
                hold(file, content)


def face_models(
    face: str | None, finder: Path | None, *, looks: bool = True
) -> tuple[Path | None, Path | None]:
    """The model files that describe and find a face;
    the one installed finds it where none is named.

    Args:
        looks: whether a face is looked for at all.
    """
    describes = None if face in (None, "hog") else Path(face)
    if looks and finder is None:
        from emodict.face.detect import installed_model

        finder = installed_model()
    return describes, finder
