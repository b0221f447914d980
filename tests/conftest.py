"""What tests of every part share."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


def pytest_configure() -> None:
    """Let the commands that tests start hear Ctrl-C: where we ignore it (pytest-xdist, nohup, &), so would they."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real recordings that lie beside the repository on a developer's machine."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real recordings in {folder}")
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
