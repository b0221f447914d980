"""Ctrl-C while a command is being imported: one line and 130, never a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest
import typer

from emodict.cli import app, start

# A library's import that tells of itself, then takes for ever,
# and makes an error of its own of an interrupt.
SLOW = """
    import sys, types
    from importlib.abc import Loader, MetaPathFinder
    from importlib.machinery import ModuleSpec

    class Slow(MetaPathFinder, Loader):
        def find_spec(self, name, path=None, target=None):
            return ModuleSpec(name, self) if name == {module!r} else None

        def exec_module(self, module):
            print("importing", flush=True)
            import time
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                raise ImportError("the library has failed to import") from None

    sys.meta_path.insert(0, Slow())
    from emodict.cli import start
    start.{command}()
"""
COMMANDS = {
    "run": "emodict.cli.run", "session": "emodict_desk.cli.session", "train": "emodict_train.cli",
    "export": "emodict_export.cli", "calibrate": "emodict_calibration.cli",
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_stopped_while_it_is_imported_says_so_in_one_line(command: str) -> None:
    program = textwrap.dedent(SLOW).format(module=COMMANDS[command], command=command)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's & ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, f"emodict-{command}: stopped\n")


LOST = """
    import signal, sys, time, types, weakref
    command = types.ModuleType("emodict.cli.run")
    sys.modules["emodict.cli.run"] = command

    class Held: pass

    def main():
        from emodict.cli.app import run_app
        import typer
        def build():
            app = typer.Typer()
            @app.command()
            def stopped():
                held = Held()
                # As a library's own table of what is alive: the signal comes within its callback.
                gone = weakref.ref(held, lambda _: signal.raise_signal(signal.SIGINT))
                del held
                time.sleep(60)
            return app
        run_app(build, "emodict-run")

    command.main = main
    sys.argv = ["emodict-run"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from emodict.cli import start
    start.run()
"""


def test_ctrl_c_that_comes_within_a_finaliser_is_not_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LOST)], capture_output=True, text=True, timeout=50
    )
    assert (done.returncode, done.stderr) == (130, "emodict-run: stopped\n")


def test_importing_gives_the_signal_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with start.importing("emodict-run"):
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with start.importing("emodict-run"):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_that_a_library_made_an_error_of_is_still_one() -> None:
    def stopped_in_a_library() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise RuntimeError("failed to initialise")  # noqa: B904 - as libraries do

    with pytest.raises(RuntimeError) as error:
        stopped_in_a_library()
    assert app._ending(error.value, "emodict-run") == ("emodict-run: stopped", 130)


def test_ctrl_c_within_a_command_is_said_in_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["emodict-run"])

    def build() -> typer.Typer:
        made = app.new_app("Stopped at once.")

        @made.command()
        def stopped() -> None:
            raise KeyboardInterrupt

        return made

    with pytest.raises(SystemExit) as ended:
        app.run_app(build, "emodict-run")
    assert (ended.value.code, capsys.readouterr().err) == (130, "emodict-run: stopped\n")
