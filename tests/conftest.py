"""What tests of every part share."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

with contextlib.suppress(ImportError):  # tests/gpu do without
    from hypothesis import Phase, settings

    # A test that passes passes tomorrow. To look further: HYPOTHESIS_PROFILE=search make test ARGS=...
    settings.register_profile("search")
    settings.register_profile("same", derandomize=True)
    # Where any failure will do (make mutants), none is made smaller.
    settings.register_profile("first", derandomize=True, phases=[Phase.explicit, Phase.generate])
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
# What the tests read of the folder `shared/data` beside the checkout; docs say where each was published.
REAL_DATA = (
    "dmer_sample", "e4_stress_predict_S01", "face_video", "opensignals_h5", "sjaffe", "xdf_examples", "yunet",
)  # fmt: skip


def pytest_configure() -> None:
    """Let the commands that tests start hear Ctrl-C: where we ignore it (pytest-xdist, nohup, &), so would they."""
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
