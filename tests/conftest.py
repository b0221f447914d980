"""What tests of every part share."""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

# As `make test` sets it, before numpy is loaded: the commands that tests start have one BLAS
# thread, and with more here the last digit may be another.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")

with contextlib.suppress(ImportError):  # tests/gpu do without
    from hypothesis import Phase, settings

    # A test that passes passes tomorrow. To look further:
    # HYPOTHESIS_PROFILE=search make test ARGS=...
    settings.register_profile("search")
    settings.register_profile("same", derandomize=True)
    # Where any failure will do (make mutants), none is made smaller.
    settings.register_profile("first", derandomize=True, phases=[Phase.explicit, Phase.generate])
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
# What the tests read of the folder `shared/data` beside the checkout;
# docs say where each was published.
REAL_DATA = (
    "acqknowledge",
    "dmer_sample",
    "e4_stress_predict_S01",
    "face_video",
    "openbci_gui",
    "opensignals_h5",
    "opensignals_txt",
    "sjaffe",
    "xdf_examples",
    "yunet",
)


def pytest_configure() -> None:
    """Let the commands that tests start hear Ctrl-C:
    where we ignore it (pytest-xdist, nohup, &), so would they.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real recordings that lie beside the repository on a developer's machine, all of them."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    missing = [name for name in REAL_DATA if not (folder / name).is_dir()]
    if missing:
        pytest.skip(f"no real recordings in {folder}: {', '.join(missing)} missing")
    return folder


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """Small files of people that came out wrong once, beside the repository; not part of it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases in {folder}")
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of all four modalities that can do without any of them; random weights."""
    return _untrained(
        tmp_path_factory.mktemp("model") / "model.onnx", ("eeg", "gsr", "ppg", "video")
    )


@pytest.fixture(scope="session")
def wrist_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of PPG and GSR that needs both; random weights."""
    return _untrained(
        tmp_path_factory.mktemp("model") / "wrist.onnx", ("gsr", "ppg"), required=("gsr", "ppg")
    )


def _untrained(path: Path, modalities: tuple[str, ...], *, required: tuple[str, ...] = ()) -> Path:
    # Late: most tests need no model, and should not wait for torch.
    from benchmarks.fixtures import untrained_model

    return untrained_model(path, modalities, required=required)


@pytest.fixture(scope="session")
def noise_session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 s of noise of all four modalities,
    one trial with truth from second 2 to second 22; to be read only.
    """
    from tests.recordings import noise_recording

    from emodict.recording.session import write_session

    path = tmp_path_factory.mktemp("session") / "session.h5"
    write_session(noise_recording(), path)
    return path


@pytest.fixture
def session(noise_session: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `noise_session`, in a folder of its own, that the test may change."""
    return Path(shutil.copy(noise_session, tmp_path_factory.mktemp("session")))


@pytest.fixture
def run_in_process(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run a command of ours, given its module, in this process: (exit code, stdout, stderr)."""

    def run(cli: ModuleType, *words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [cli.NAME, *map(str, words)])
        with pytest.raises(SystemExit) as ending:
            cli.main()
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        assert "fault in emodict" not in err
        code = ending.value.code
        return code if isinstance(code, int) else 0, out, err

    return run
