"""A closed form in place of a training, as a function of a job and as a program; both go on from their folder."""

import json
import random
import sys
import time
from pathlib import Path

EPOCH_SECONDS = 0.002


def score_of(macs, params, depths, seed):
    """What `closed_form_study` gives for the same network and seed; NaN for one in three with its first seed."""
    if seed < 1000 and params % 3 == 0:
        return float("nan")
    return 0.9 - 0.5 * (macs / 1e6) ** -0.3 + random.Random(f"{macs} {depths} {seed}").gauss(0, 0.01)


def train_in(folder, score, epochs, report):
    """Reports an epoch before it is written down as done, as `Job.report` asks for."""
    done = Path(folder) / "done"
    for epoch in range(int(done.read_text()) + 1 if done.exists() else 1, epochs + 1):
        time.sleep(EPOCH_SECONDS)
        report(epoch, score)
        new = done.with_name("new")
        new.write_text(str(epoch))
        new.replace(done)


def train(job):
    from sampler import architecture_complexity

    one = job.architecture
    cost = architecture_complexity(one, job.classes)
    score = score_of(cost.macs, cost.params, one.depths, job.seed)
    train_in(job.folder, score, job.epochs, job.report)
    return score


if __name__ == "__main__":
    macs, params, depths, seed, epochs, folder = sys.argv[1:]
    score = score_of(int(macs), int(params), tuple(map(int, depths.split(","))), int(seed))
    train_in(
        folder, score, int(epochs), lambda epoch, told: print(json.dumps({"epoch": epoch, "score": told}), flush=True)
    )
    print(json.dumps({"score": score}))
