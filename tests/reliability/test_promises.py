"""What SECURITY.md promises of code and of the network: no pickle is loaded,
and no connection opened unasked.
"""

from __future__ import annotations

import ast
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.fixtures import untrained_model
from tests.recordings import noise_recording

from emodict.cli import run as run_cli
from emodict.recording.session import write_session
from emodict_desk.cli import session as session_cli

InProcess = Callable[..., tuple[int, str, str]]
REPOSITORY = Path(__file__).parents[2]
SOURCES = [
    path
    for part in ("runtime", "train", "export", "calibration")
    for path in (REPOSITORY / part).rglob("*.py")
]
# Whoever loads data by these must say that it is data; None: must not be called at all.
LOADERS = {
    "np.load": "allow_pickle=False",
    "numpy.load": "allow_pickle=False",
    "torch.load": "weights_only=True",
    **dict.fromkeys(
        (
            "pickle.load",
            "pickle.loads",
            "pickle.Unpickler",
            "joblib.load",
            "marshal.loads",
            "marshal.load",
            "shelve.open",
            "torch.jit.load",
            "cloudpickle.load",
            "cloudpickle.loads",
            "eval",
            "exec",
        )
    ),
}
# A worker tries whether its own error survives the way to the process that asked.
ALLOWED = {("worker.py", "pickle.loads(pickle.dumps(error))")}


def calls_of_loaders() -> Iterator[tuple[Path, str, ast.Call]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in LOADERS:
                yield path, ast.unparse(node.func), node


def test_no_pickle_is_loaded_and_no_text_is_run_as_code() -> None:
    found = list(calls_of_loaders())
    assert len(found) >= 3, "it looks in the wrong place"
    for path, name, call in found:
        wanted = LOADERS[name]
        said = [ast.unparse(keyword) for keyword in call.keywords]
        fine = wanted in said if wanted is not None else (path.name, ast.unparse(call)) in ALLOWED
        assert fine, f"{path}:{call.lineno}: {ast.unparse(call)}"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Connections other than through this machine's own files are refused; which were asked for.

    A socket alone is none: urllib3 makes one, when it is imported, to see whether there is IPv6.
    """
    asked: list[str] = []

    def refused(name: str) -> Callable[..., object]:
        real = getattr(socket.socket, name)

        def call(self: socket.socket, *words: object) -> object:
            if self.family == socket.AF_UNIX:
                return real(self, *words)
            asked.append(f"{name} {words}")
            raise PermissionError("no network in this test")

        return call

    def resolve(*names: object, **_: object) -> None:
        asked.append(f"the address of {names}")
        raise PermissionError("no network in this test")

    guarded = type(
        "Guarded",
        (socket.socket,),
        {n: refused(n) for n in ("connect", "connect_ex", "sendto", "listen")},
    )
    monkeypatch.setattr(socket, "socket", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_no_command_opens_a_connection_unasked(
    no_network: list[str], tmp_path: Path, run_in_process: InProcess
) -> None:
    from emodict_train import cli as train_cli

    with pytest.raises(PermissionError):
        socket.create_connection(("127.0.0.1", 9))
    assert no_network
    no_network.clear()
    model, session = tmp_path / "model.onnx", tmp_path / "session.h5"
    # Trains nothing, but folds, checks and writes as emodict-export does.
    untrained_model(model, spec_id="emodict-1", modalities=("gsr", "ppg"))
    write_session(noise_recording(20), session)
    out = tmp_path / "out"
    out.mkdir()
    commands = [
        (
            run_cli,
            (
                "--engine",
                model,
                session,
                "-q",
                "--out",
                out / "rows.parquet",
                "--report",
                out / "report.html",
            ),
        ),
        (
            run_cli,
            (
                "--engine",
                model,
                "--live",
                f"replay:{session}",
                "--speed",
                "max",
                "--record",
                out / "live.h5",
            ),
        ),
        (run_cli, ("--check",)),
        (session_cli, ("inspect", session)),
        (session_cli, ("validate", session)),
        (session_cli, ("features", session, "-o", out / "f.npz")),
        (
            train_cli,
            (
                "simulate",
                out / "people",
                "--people",
                1,
                "--trials",
                1,
                "--trial-s",
                6,
                "--baseline-s",
                0,
            ),
        ),
    ]
    for cli, words in commands:
        code, _, err = run_in_process(cli, *words)
        # 2 is what `validate` says of noise.
        assert code in (0, 2 * ("validate" in words)), err
    assert no_network == []
