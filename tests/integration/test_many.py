"""emodict-run over many recordings:
processes and a Dask cluster give what one process gives, in its order.
"""

from __future__ import annotations

import logging
import operator
import os
import pickle
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import distributed
import numpy as np
import pytest
import threadpoolctl
from tests.integration.conftest import Run
from tests.recordings import noise_recording

import emodict.cli.run
import emodict.errors
from emodict.errors import (
    ClusterError,
    EmodictError,
    InputError,
    MissingDependencyError,
    RecordingError,
)
from emodict.predict.scoring import joined
from emodict.recording.session import write_session
from emodict_desk.many import iter_many
from emodict_desk.many.cluster import open_cluster
from emodict_desk.many.processes import in_processes

# The first takes by far the longest: whatever is finished first is not what is printed first.
SECONDS = (120, 12, 14, 16)
LOCALHOST = "127.0.0.1"


@pytest.fixture(scope="module")
def sittings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated sessions of noise in a folder."""
    folder = tmp_path_factory.mktemp("people")
    for number, seconds in enumerate(SECONDS):
        write_session(noise_recording(seconds, seed=number), folder / f"{number}.h5")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of two worker processes with two threads each,
    as `dask worker` makes them on a desk.
    """
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=2,
        processes=True,
        dashboard_address="127.0.0.1:0",
        host=LOCALHOST,
        silence_logs=50,
    ) as local:
        yield local.scheduler_address


@pytest.fixture(params=["jobs", "dask"])
def place(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The options that say where to work."""
    if request.param == "jobs":
        return ("--jobs", "2")
    return ("--dask", request.getfixturevalue("cluster"))


def messages(stderr: str) -> list[str]:
    """What was said, less the progress, which is told otherwise for several recordings at once."""
    return [line for line in stderr.splitlines() if not line.startswith("Scoring ")]


def without_blas_choice() -> dict[str, str]:
    """An environment in which nobody has chosen a number of BLAS threads."""
    return {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}


@pytest.mark.parametrize("options", [(), ("--json", "--weights")], ids=str)
def test_standard_output_is_that_of_one_process(
    options: tuple[str, ...], place: tuple[str, ...], run: Run, model: Path, sittings: Path
) -> None:
    one = run("emodict-run", "--engine", model, sittings, *options)
    many = run("emodict-run", "--engine", model, sittings, *options, *place)
    assert one.returncode == many.returncode == 0, many.stderr
    assert many.stdout == one.stdout
    assert messages(many.stderr) == messages(one.stderr)
    assert f"Scoring {len(SECONDS)}/{len(SECONDS)} recordings, 0 s left" in many.stderr


@pytest.mark.parametrize("ending", [".csv", ".h5"])
def test_files_are_the_same_to_the_byte(
    ending: str, place: tuple[str, ...], run: Run, model: Path, sittings: Path, tmp_path: Path
) -> None:
    # On a machine of several cores,
    # BLAS with more threads here than in the workers rounds otherwise: .h5 shows it.
    one, many = tmp_path / f"one{ending}", tmp_path / f"many{ending}"
    for out, options in ((one, ()), (many, place)):
        done = run(
            "emodict-run",
            "-q",
            "--engine",
            model,
            sittings,
            "--out",
            out,
            *options,
            env=without_blas_choice(),
        )
        assert done.returncode == 0, done.stderr
    assert many.read_bytes() == one.read_bytes()


def test_the_report_is_the_same(
    place: tuple[str, ...], run: Run, model: Path, sittings: Path, tmp_path: Path
) -> None:
    one, many = tmp_path / "one.html", tmp_path / "many.html"
    assert run("emodict-run", "-q", "--engine", model, sittings, "--report", one).returncode == 0
    assert (
        run("emodict-run", "-q", "--engine", model, sittings, "--report", many, *place).returncode
        == 0
    )
    assert many.read_text() == one.read_text()


def test_what_the_library_says_of_a_recording_is_said_here(
    place: tuple[str, ...], run: Run, wrist_model: Path, sittings: Path, tmp_path: Path
) -> None:
    recording = noise_recording(12, seed=7)
    ppg = recording.signals["ppg"]
    slow = replace(ppg, rate_hz=64.0)
    signals = {**recording.signals, "ppg": slow}
    write_session(
        replace(recording, session_id="slow", signals=signals, trials=None), tmp_path / "slow.h5"
    )
    command = (
        "emodict-run",
        "--engine",
        wrist_model,
        sittings / "1.h5",
        tmp_path / "slow.h5",
        sittings / "2.h5",
    )
    one, many = run(*command), run(*command, *place)
    assert messages(many.stderr) == messages(one.stderr) == ["ppg: resampled from 64 to 100 Hz"]
    assert many.stdout == one.stdout


def test_a_file_that_is_not_there_is_named_before_others_are_scored(
    run: Run, model: Path, sittings: Path, tmp_path: Path
) -> None:
    command = ("emodict-run", "--engine", model, sittings / "0.h5", "bad.h5", "--out", "out.csv")
    done = run(*command, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "There is no file bad.h5" in done.stderr


@pytest.mark.parametrize("broken", ["cut", "rate"])
def test_an_error_comes_in_its_turn_with_its_own_words(
    broken: str, place: tuple[str, ...], run: Run, model: Path, sittings: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.h5"
    if broken == "cut":
        bad.write_bytes((sittings / "1.h5").read_bytes()[:20_000])
    elif broken == "rate":
        import h5py

        bad.write_bytes((sittings / "1.h5").read_bytes())
        with h5py.File(bad, "a") as file:
            file["signals/ppg"].attrs["sampling_rate"] = 0.0
    # A relative path: workers are given absolute ones, and the sentence must not show it.
    command = (
        "emodict-run",
        "--engine",
        model,
        sittings / "0.h5",
        "bad.h5",
        sittings / "2.h5",
        "--out",
        "out.csv",
    )
    one = run(*command, cwd=tmp_path)
    many = run(*command, *place, cwd=tmp_path)
    assert one.returncode == many.returncode == 2
    assert "bad.h5" in one.stderr
    assert (many.stdout, messages(many.stderr)) == (one.stdout, messages(one.stderr))
    assert not (tmp_path / "out.csv").exists()


# What a busy machine does now and then, surely: the thread that feeds loky's workers
# lets go of their queue after the pool has, and Python ends before that thread has said
# so to the resource tracker.
LATE_FEEDER = """
import sys, threading, time
import joblib.externals.loky.backend.synchronize
from joblib.externals.loky.backend.queues import Queue
from joblib.externals.loky.process_executor import ProcessPoolExecutor
from emodict.cli.run import main

tracker = sys.modules["joblib.externals.loky.backend.synchronize"].resource_tracker
feed, shutdown, unregister = Queue._feed, ProcessPoolExecutor.shutdown, tracker.unregister
pool_is_gone, feeder_speaks = threading.Event(), threading.Event()

def feed_late(*arguments):
    feed(*arguments)
    pool_is_gone.wait()

def shut_down(*arguments, **options):
    shutdown(*arguments, **options)
    pool_is_gone.set()
    feeder_speaks.wait(2.0)

def unregister_late(*arguments):
    if threading.current_thread().name == "QueueFeederThread":
        feeder_speaks.set()
        time.sleep(60)
    unregister(*arguments)

Queue._feed, ProcessPoolExecutor.shutdown = staticmethod(feed_late), shut_down
tracker.unregister = unregister_late
main()
"""


def test_work_that_is_left_when_an_error_comes_ends_without_a_word_of_the_pool(
    model: Path, sittings: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.h5"
    bad.write_bytes((sittings / "1.h5").read_bytes()[:20_000])
    # The error comes first, while the longest is being worked on and others wait.
    words = ["--engine", model, bad, *[sittings / "0.h5"] * 4, "--jobs", "2", "-q"]
    done = subprocess.run(
        [sys.executable, "-c", LATE_FEEDER, *words], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2
    assert [
        line for line in messages(done.stderr) if "bad.h5 is HDF5 but cannot be opened" not in line
    ] == []


def test_the_library_gives_predictions_in_order_and_the_type_of_an_error(
    model: Path, sittings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(sittings.glob("*.h5"))
    done: list[int] = []
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    found = iter_many(model, [*paths, tmp_path / "absent.h5"], jobs=2, on_done=done.append)
    # With one BLAS thread here as well, as the library promises,
    # these are the very same calls on the same processor.
    with threadpoolctl.threadpool_limits(1):
        wanted = [
            joined(list(blocks), path)
            for path, blocks in zip(paths, iter_many(model, paths), strict=True)
        ]
    for path, expected in zip(paths, wanted, strict=True):
        prediction = joined(list(next(found)), path)
        assert prediction.session == expected.session == f"noise-{path.stem}"
        np.testing.assert_array_equal(prediction.distribution, expected.distribution)
    with pytest.raises(RecordingError, match=r"There is no file .*absent\.h5"):
        list(next(found))
    assert done == [1, 2, 3, 4, 5]


def test_more_jobs_than_recordings_are_fine(model: Path, sittings: Path) -> None:
    many = iter_many(model, [sittings / "1.h5", sittings / "2.h5"], jobs=64)
    assert [sum(map(len, blocks)) for blocks in many] == [8, 10]


@pytest.mark.parametrize("jobs", ["0", "-1"])
def test_a_number_of_jobs_that_cannot_be_is_refused(
    jobs: str, run: Run, model: Path, sittings: Path
) -> None:
    done = run("emodict-run", "--engine", model, sittings, "--jobs", jobs)
    assert done.returncode == 2
    assert f"--jobs is the number of processes. Expected 1 or more, got {jobs}." in done.stderr


def test_jobs_and_dask_together_are_refused(run: Run, model: Path, sittings: Path) -> None:
    done = run(
        "emodict-run", "--engine", model, sittings, "--jobs", 2, "--dask", "tcp://127.0.0.1:1"
    )
    assert done.returncode == 2
    assert "--jobs and --dask are two places to work in" in done.stderr


def test_without_joblib_the_sentence_says_what_to_install(model: Path, sittings: Path) -> None:
    code = "import sys; sys.modules['joblib'] = None; from emodict.cli.run import main; main()"
    command = [sys.executable, "-c", code, "--engine", str(model), str(sittings)]
    for option, extra in ((["--jobs", "2"], "jobs"), (["--dask", "tcp://127.0.0.1:1"], "dask")):
        done = subprocess.run([*command, *option], capture_output=True, text=True, timeout=100)
        assert done.returncode == 2
        assert f"pip install 'emodict[{extra}]'" in done.stderr
    assert subprocess.run([*command, "-q"], capture_output=True, timeout=100).returncode == 0


@pytest.mark.parametrize("address", ["here", "tcp://127.0.0.1", "http://127.0.0.1:80"])
def test_what_is_no_address_is_refused_at_once(address: str, model: Path, sittings: Path) -> None:
    with pytest.raises(ClusterError, match=f"{address} is not the address of a Dask scheduler"):
        next(iter_many(model, [sittings / "1.h5"], dask=address))


def test_a_cluster_that_is_not_there_is_named(
    run_in_process: Callable[..., tuple[int, str, str]],
    model: Path,
    sittings: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("emodict_desk.many.cluster.TIMEOUT_S", 1.0)
    # Nothing listens on port 1.
    code, _, err = run_in_process(
        emodict.cli.run, "-q", "--engine", model, sittings, "--dask", "tcp://127.0.0.1:1"
    )
    assert code == 2
    assert messages(err) == [err.strip()]
    assert "There is no Dask scheduler at tcp://127.0.0.1:1." in err


def test_a_worker_with_another_emodict_is_refused(
    cluster: str, model: Path, sittings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emodict, "__version__", "9.9.9")
    with pytest.raises(
        ClusterError, match=r"worker tcp://127\.0\.0\.1:\d+ does not run .* emodict 9\.9\.9, got"
    ):
        next(iter_many(model, [sittings / "1.h5"], dask=cluster))


def left_while_results_are_on_their_way(cluster: str) -> bool:
    """Whether they were, when the cluster was left: on a busy machine they may have come before."""
    with open_cluster(
        cluster, readiness=lambda: None, purpose="wait", fix_unready="", fix_lost=""
    ) as client:
        # As joblib waits for results; 100 MB are still being fetched when this is over.
        waiting = distributed.as_completed([], loop=client.loop, with_results=True)
        result = client.submit(bytes, 100_000_000, pure=False)
        while not result.done():
            time.sleep(0.01)
        waiting.update([result])
        time.sleep(0.01)
        return waiting.queue.empty()


def test_results_on_their_way_when_a_cluster_is_left_are_no_news(
    cluster: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert any(left_while_results_are_on_their_way(cluster) for _ in range(20))
    assert not [
        record.getMessage() for record in caplog.records if record.name.startswith("tornado")
    ]


def test_errors_come_through_pickling_as_they_were() -> None:
    made = {
        MissingDependencyError: MissingDependencyError(
            "onnxruntime", extra="onnx", purpose="Running model.onnx"
        )
    }
    kinds = [
        k
        for k in vars(emodict.errors).values()
        if isinstance(k, type) and issubclass(k, EmodictError)
    ]
    assert InputError in kinds
    for kind in kinds:
        error = made.get(kind) or kind(
            "What is wrong", expected=("a", "b"), got=3.0, fix="Do this ..."
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            back = pickle.loads(pickle.dumps(error, protocol))
            assert (type(back), str(back), back.exit_code) == (kind, str(error), kind.exit_code)


def processes_of(group: int) -> list[int]:
    """Those of a process group that still run (one that is ended and not
    yet asked for does not).
    """
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(process_group) == group and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


def test_a_pool_left_early_says_nothing_of_dropped_work_and_other_threads_still_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(
        "threading.excepthook", lambda failed: said.append(str(failed.exc_type.__name__))
    )
    with in_processes(operator.add, 1, [1, 2, 3], jobs=2) as outcomes:
        next(outcomes)

    def fails(error: Exception) -> None:
        raise error

    for name, error in (
        ("ExecutorManagerThread", KeyError(1)),
        ("ExecutorManagerThread", ValueError()),
        ("mine", KeyError(1)),
    ):
        thread = threading.Thread(target=fails, args=(error,), name=name)
        thread.start()
        thread.join()
    assert said == ["ValueError", "KeyError"]


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="running processes are read from /proc"
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_ends_every_process_without_a_traceback(
    number: signal.Signals, code: int, model: Path, sittings: Path, tmp_path: Path
) -> None:
    script = Path(sysconfig.get_path("scripts")) / "emodict-run"
    command = [
        script,
        "--engine",
        model,
        *[sittings / "0.h5"] * 200,
        "--jobs",
        "2",
        "--out",
        tmp_path / "out.csv",
    ]
    started = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # This process, two helpers of multiprocessing and the two workers:
    # all have been started, some just now.
    deadline = time.monotonic() + 60
    while len(processes_of(started.pid)) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(processes_of(started.pid)) >= 4
    # A terminal sends Ctrl-C to all of them, kill to the first alone.
    (os.killpg if number == signal.SIGINT else os.kill)(started.pid, number)
    _, err = started.communicate(timeout=60)
    assert started.returncode == code
    assert messages(err) in ([], ["emodict-run: stopped"])
    deadline = time.monotonic() + 60
    while processes_of(started.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not processes_of(started.pid)
    assert not (tmp_path / "out.csv").exists()


def test_a_worker_that_sees_another_folder_is_named_with_the_file(
    cluster: str, model: Path, sittings: Path
) -> None:

    from emodict_desk.many.worker import Work, score_task, sha256_of_model, task_of

    work = Work(str(model), sha256_of_model(str(model)), on_cluster=True)
    # What a worker on a machine without the folder finds: less than the asking process saw.
    task = task_of(0, sittings / "1.h5")
    elsewhere = replace(task, path=str(sittings / "nowhere.h5"))
    with distributed.Client(cluster, set_as_default=False) as client:
        assert client.submit(score_task, work, task).result().error is None
        error = client.submit(score_task, work, elsewhere).result().error
        assert isinstance(error, ClusterError)
        workers = list(client.scheduler_info()["workers"])
    assert any(f"The Dask worker {name} cannot see " in str(error) for name in workers)
    assert "A Dask cluster needs a shared folder" in str(error)


def test_a_worker_with_another_model_under_the_same_name_is_refused(
    cluster: str, model: Path, sittings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emodict_desk.many.sha256_of_model", lambda path: ("0" * 64,))
    with pytest.raises(
        ClusterError, match=r"The Dask worker tcp://.* cannot run the model: .* is not the model"
    ):
        next(iter_many(model, [sittings / "1.h5"], dask=cluster))


@pytest.mark.parametrize("changed", ["model.plan", "model.plan.json"])
def test_a_worker_runs_a_plan_and_its_sidecar_only_as_they_were(
    changed: str, tmp_path: Path
) -> None:
    from emodict_desk.many.worker import Work, readiness, sha256_of_model

    files = [tmp_path / "model.plan", tmp_path / "model.plan.json"]
    for file in files:
        file.write_bytes(b"{}")
    work = Work(str(files[0]), sha256_of_model(str(files[0])))
    # What the run began with is handed to open_engine, which says what is wrong with it.
    assert "model.plan.json" in str(readiness(work))
    assert "not the model" not in str(readiness(work))
    (tmp_path / changed).write_bytes(b"[]")
    assert f"{changed} is not the model that the run began with" in str(readiness(work))


def test_a_worker_closes_the_model_that_another_takes_the_place_of(
    model: Path, sittings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emodict.engine.onnx import OnnxEngine
    from emodict_desk.many.worker import Work, forget_engines, score_task, sha256_of_model, task_of

    closed: list[OnnxEngine] = []
    close = OnnxEngine.__exit__
    monkeypatch.setattr(
        OnnxEngine, "__exit__", lambda self, *error: (closed.append(self), close(self, *error))
    )
    forget_engines()
    for name in ("a.onnx", "b.onnx"):
        path = tmp_path / name
        path.write_bytes(model.read_bytes())
        assert (
            score_task(
                Work(str(path), sha256_of_model(str(path))), task_of(0, sittings / "1.h5")
            ).error
            is None
        )
    assert len(closed) == 1
    forget_engines()
    # Whoever sets the root's level afterwards is still obeyed.
    assert logging.getLogger("emodict").level == logging.NOTSET
