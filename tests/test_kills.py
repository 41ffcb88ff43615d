"""A campaign that is killed at a random moment loses nothing that it reported, and ends as if it had never been."""

import random
import signal
import subprocess
import sys
import time

import pytest

from gradcheck.campaign.results.store import Store

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
