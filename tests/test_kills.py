"""A campaign that is killed at a random moment loses nothing that it reported, and ends as if it had never been.

Neither do its processes, whichever are killed and whatever they were at; and an interrupt ends it at once.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from threading import Event, Thread

import misbehaving
import pytest

from gradcheck.campaign.plan import Plan
from gradcheck.campaign.pools.local import Local
from gradcheck.campaign.results.store import Store
from gradcheck.campaign.run import run_campaign

PLAN = Plan(seed=11, size=25, backends=(f"{misbehaving.__file__}:dawdles",))

CAMPAIGN = """
import sys
from pathlib import Path
from gradcheck.campaign.run import run_campaign
from gradcheck.campaign.plan import Plan
from gradcheck.campaign.pools.local import Local
from gradcheck.campaign.results.store import Store

def watch(progress):
    for record in progress.records:
        print(record.name, flush=True)

if __name__ == "__main__":
    path, plan = Path(sys.argv[1]), Plan(seed=11, size=25, backends=("manual",))
    pool = Local(2, plan.backends)
    with Store.resume(path, {}) if path.exists() and path.stat().st_size else Store.create(path, plan, {}) as store:
        run_campaign(store, pool, examples=50, watch=watch)
    pool.close()
"""


def start(folder, name):
    script = folder / "campaign.py"
    script.write_text(CAMPAIGN)
    return subprocess.Popen([sys.executable, script, folder / name], stdout=subprocess.PIPE, text=True)


def found(path):
    with Store.read(path) as store:
        return {record.name: (record.verdict, record.ratios, record.case) for record in store.records()}


def killed_at_random(folder, name, longest, rng):
    """Run a campaign to its end, killing it up to three times after random times; what it reported, and how often."""
    reported, kills = [], 0
    while True:
        process = start(folder, name)
        try:
            out, _ = process.communicate(timeout=rng.uniform(0.3, longest) if kills < 3 else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            out, _ = process.communicate()
            kills += 1
        lines = out.split("\n")[:-1]
        assert not set(lines) & set(reported)  # no case twice
        reported += lines
        if lines:
            assert set(reported) <= found(folder / name).keys()
        if process.returncode == 0:
            return reported, kills


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_campaign_ends_as_an_unbroken_one(tmp_path, kills):
    begun = time.monotonic()
    out, _ = start(tmp_path, "whole.db").communicate()
    longest = time.monotonic() - begun
    whole = found(tmp_path / "whole.db")
    assert set(out.split()) == whole.keys()
    rng, done, campaign = random.Random(0), 0, 0
    while done < kills:
        campaign += 1
        reported, times = killed_at_random(tmp_path, f"{campaign}.db", 0.8 * longest, rng)
        done += times
        assert found(tmp_path / f"{campaign}.db") == whole
        assert len(reported) <= len(whole)


def descendants(pid):
    """Numbers and commands of all processes that come of one, whichever of its threads has started them."""
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                yield child, Path(f"/proc/{child}/cmdline").read_bytes().decode()
                yield from descendants(child)


def ours():
    """Those of this process that may be killed."""
    return [pid for pid, command in descendants(os.getpid()) if "gradcheck.foundation.keeper" in command]


class Killing(Thread):
    """Kills so many times one process, or all at once."""

    def __init__(self, kills, rng):
        super().__init__()
        self.kills, self.rng, self.over = kills, rng, Event()

    def run(self):
        while self.kills and not self.over.wait(self.rng.uniform(0.05, 0.5)):
            if found := ours():
                self.kills -= 1
                for pid in found if self.rng.random() < 0.3 else [self.rng.choice(found)]:
                    with suppress(OSError):
                        os.kill(pid, signal.SIGKILL)


def records(kills, rng=None):
    with Store.create(None, PLAN, {}) as store, closing(Local(2, PLAN.backends)) as pool:
        killing = Killing(kills, rng)
        killing.start()
        run_campaign(store, pool, examples=50, watch=lambda _: None)
        killing.over.set()
        killing.join()
        assert killing.kills == 0 or kills > 5
        return {record.name: (record.verdict, record.ratios, record.causes) for record in store.records()}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which processes are whose")
@pytest.mark.parametrize("kills", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_processes_that_are_killed_cost_no_case_and_none_is_held_against_a_backend(kills):
    whole = records(0)
    assert records(kills, random.Random(kills)) == whole
    assert ours() == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which processes are whose")
@pytest.mark.parametrize("attribute", ["dawdles", pytest.param("stalls", marks=pytest.mark.slow)])
def test_an_interrupt_ends_a_campaign_at_once_and_keeps_what_was_judged(tmp_path, attribute):
    command = ["fuzz", "--examples", "2000", "--jobs", "2", "--store", "c.db"]
    backend = ["--backend", f"{misbehaving.__file__}:{attribute}"]
    env = os.environ | {"RUNS": str(tmp_path / "runs")}
    process = subprocess.Popen(
        [sys.executable, "-m", "gradcheck", *command, *backend],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    end = time.monotonic() + 60
    while time.monotonic() < end and not judged(tmp_path):
        time.sleep(0.05)
    started = dict(descendants(process.pid))
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - begun < 5  # on a machine that does much else, too
    assert process.returncode == 130
    assert b"interrupted" in errors
    assert b"Traceback" not in errors
    assert started
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert {path.name for path in tmp_path.iterdir()} == {"c.db", "runs"}
    assert found(tmp_path / "c.db") or attribute == "stalls"


def judged(folder):
    runs = folder / "runs"
    return runs.exists() and len(runs.read_text().splitlines()) > 40
