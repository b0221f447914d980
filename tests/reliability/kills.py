"""make kill: our commands are killed at random and at the worst moments, and nothing is lost."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tests.reliability import forked
from tests.reliability.jobs import JOBS, Job, load, make_materials
from tests.reliability.recordings import RECORDINGS, RecordingJob

KILLS = 200
# Of one command; a study writes too many files to die at each.
WORST_MOMENTS = 12
SEED = 20


@dataclass
class Tally:
    """What became of the kills of one command."""

    name: str
    random: int = 0
    worst: int = 0
    intact: int = 0
    same: int = 0
    went_on: int = 0
    losses: list[str] = field(default_factory=list)

    runs_again: bool = True

    @property
    def kills(self) -> int:
        return self.random + self.worst

    @property
    def again(self) -> str:
        return f"{self.same} of {self.kills}" if self.runs_again else "-"


class Lab:
    """One folder in which a job is run, killed, and run again."""

    def __init__(self, job: Job, materials: Path, scratch: Path) -> None:
        self.job, self.materials = job, materials
        self.folder = scratch / job.key / "run"
        self.tally = Tally(job.name)
        self.old = self._undisturbed(job.old_words) if job.old_words else {}
        self.kept = self._keep_old()
        began_s = time.monotonic()
        self.new = self._undisturbed(job.words)
        self.lasts_s = time.monotonic() - began_s
        self.moments = forked.count_steps(self.folder)

    def kill_after(self, share: float, *, over_old: bool) -> bool:
        """Kill when that share of an undisturbed run's time has passed;
        False where it was done by then.
        """
        self._prepare(over_old=over_old)
        ended = forked.run_killed(
            self.job.command(self.job.words), self.folder, share * self.lasts_s
        )
        return self._check(ended, f"killed at {share:.0%}", over_old=over_old) and self._counted(
            "random"
        )

    def kill_at(self, moment: int, *, over_old: bool) -> bool:
        """Kill before or after one step of writing."""
        self._prepare(over_old=over_old)
        ended = forked.run(self.job.command(self.job.words), self.folder, die_at=moment)
        side = "after" if moment % 2 else "before"
        return self._check(
            ended, f"killed {side} step {moment // 2}", over_old=over_old
        ) and self._counted("worst")

    def _counted(self, kind: str) -> bool:
        setattr(self.tally, kind, getattr(self.tally, kind) + 1)
        return True

    def _undisturbed(self, words: Sequence[str]) -> dict[str, object]:
        self._prepare(over_old=False)
        ended = forked.run(self.job.command(words), self.folder)
        if ended.code != 0:
            raise RuntimeError(f"{self.job.name} fails undisturbed with {ended.code}: {ended.said}")
        return self.job.outputs(self.folder)

    def _keep_old(self) -> Path | None:
        if not self.job.old_words:
            return None
        kept = self.folder.with_name("old")
        self.folder.rename(kept)
        return kept

    def _prepare(self, *, over_old: bool) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)
        if over_old and self.kept is not None:
            shutil.copytree(self.kept, self.folder, symlinks=True)
            return
        self.folder.mkdir(parents=True)
        for name in self.job.inputs:
            (self.folder / name).symlink_to(self.materials / name)

    def _check(self, killed: forked.Ended, how: str, *, over_old: bool) -> bool:
        if killed.code != -9:
            if killed.code != 0:
                self.tally.losses.append(
                    f"{how}: it ended with {killed.code} before the kill: {killed.said[-300:]}"
                )
            return False
        how += " over an older result" * over_old
        broken = self.job.broken(
            self.folder, {n: [v] for n, v in self.old.items()} if over_old else {}, self.new
        )
        before = self.job.kept_work(self.folder)
        again = forked.run(self.job.command(self.job.words), self.folder)
        if again.code != 0:
            broken.append(f"the same command again ends with {again.code}: {again.said[-300:]}")
        differing = [] if broken else self.job.differing(self.folder, self.new)
        lost = {
            n
            for n, at in before.items()
            if n in self.new and self.job.kept_work(self.folder).get(n) != at
        }
        left = [path.name for path in self.folder.rglob("*.part")]
        self.tally.intact += not broken
        self.tally.same += not (broken or differing)
        self.tally.went_on += bool(before) and not lost
        problems = [*broken, *(f"{n} is not what an undisturbed run writes" for n in differing)]
        problems += [f"{n} was done again" for n in lost] + [f"{n} was left behind" for n in left]
        self.tally.losses += [f"{how}: {problem}" for problem in problems]
        return True


def run_lab(lab: Lab, kills: int, moments: int, rng: np.random.Generator) -> None:
    """So many kills at random times, and as many of the worst moments as are wanted."""
    done = 0
    while done < kills:
        done += lab.kill_after(rng.uniform(0.0, 1.0), over_old=bool(lab.old) and done % 2 == 1)
        _progress(lab.tally, f"{done} of {kills}")
    chosen = np.arange(lab.moments)
    if len(chosen) > moments:
        chosen = np.sort(rng.choice(chosen, moments, replace=False))
    for moment in chosen:
        lab.kill_at(int(moment), over_old=bool(lab.old))
        _progress(lab.tally, f"worst moments: {lab.tally.worst} of {len(chosen)}")


def run_recording(
    job: RecordingJob, kills: int, folder: Path, materials: Path, rng: np.random.Generator
) -> Tally:
    """Kill a recording so often."""
    tally = Tally(job.name, runs_again=False)
    while tally.random < kills:
        problem = job.kill(folder / job.key / f"{tally.random}", materials, rng)
        tally.random += 1
        tally.intact += problem is None
        tally.losses += [] if problem is None else [problem]
        _progress(tally, f"{tally.random} of {kills}")
    _end(tally)
    return tally


def table(tallies: Sequence[Tally]) -> str:
    """Command by command what was killed and what was whole."""
    rows = [
        (t.name, t.random, t.worst, f"{t.intact} of {t.kills}", t.again, t.went_on) for t in tallies
    ]
    kills, again = (
        sum(t.kills for t in some) for some in (tallies, [t for t in tallies if t.runs_again])
    )
    random, worst, intact, same, went_on = (
        sum(getattr(t, name) for t in tallies)
        for name in ("random", "worst", "intact", "same", "went_on")
    )
    rows.append(("all", random, worst, f"{intact} of {kills}", f"{same} of {again}", went_on))
    head = (
        "| command | at random | worst moments | files whole | same result again | of "
        "these, went on |"
    )
    lines = [
        head,
        "|---|---:|---:|---:|---:|---:|",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
    ]
    return "\n".join(lines)


def shares(kills: int, count: int) -> list[int]:
    """`kills` spread over so many commands."""
    return [kills // count + (i < kills % count) for i in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--kills", type=int, default=KILLS, help="at random moments, all commands together"
    )
    parser.add_argument(
        "--moments", type=int, default=WORST_MOMENTS, help="worst moments, at most, of each command"
    )
    parser.add_argument(
        "--only", default="", help="commands whose key starts with one of these, with commas"
    )
    parser.add_argument("--seed", type=int, default=SEED)
    words = parser.parse_args()
    rng, started_s = np.random.default_rng(words.seed), time.monotonic()
    only = tuple(words.only.split(","))
    jobs = [job for job in JOBS if job.key.startswith(only)]
    recordings = [job for job in RECORDINGS if job.key.startswith(only)]
    each = shares(words.kills, len(jobs) + len(recordings))
    tallies = []
    with tempfile.TemporaryDirectory(prefix="emodict-kills-") as name:
        scratch = Path(name)
        materials = make_materials(
            scratch / "materials", {*(n for job in [*jobs, *recordings] for n in job.inputs)}
        )
        load(jobs)
        forked.require_one_thread()
        for job, kills in zip(jobs, each, strict=False):
            lab = Lab(job, materials, scratch)
            tallies.append(lab.tally)
            run_lab(lab, kills, words.moments if job.worst_moments else 0, rng)
            _end(lab.tally)
        for recording, kills in zip(recordings, each[len(jobs) :], strict=True):
            tallies.append(run_recording(recording, kills, scratch, materials, rng))
    print(table(tallies))
    losses = [f"{tally.name}: {loss}" for tally in tallies for loss in tally.losses]
    print(f"{len(losses)} lost, in {time.monotonic() - started_s:.0f} s", *losses, sep="\n")
    sys.exit(bool(losses))


def _progress(tally: Tally, text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{tally.name}: {text}", end="", file=sys.stderr, flush=True)


def _end(tally: Tally) -> None:
    wiped = "\r\x1b[K" * sys.stderr.isatty()
    print(
        f"{wiped}{tally.name}: {tally.kills} kills, {len(tally.losses)} lost",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    main()
