"""A straight line through points that numpy makes: its root mean square error falls as the network's MACs grow."""

import numpy as np

import planner


def train(job):
    macs = planner.complexity(job.architecture, classes=job.classes).macs
    rng = np.random.default_rng([job.seed, macs])
    for epoch in range(1, job.epochs + 1):
        noise = 0.01 * rng.standard_normal()
        left = (macs / 1e6) ** -0.4 * (1 + 1 / epoch) * (1 + noise)
        job.report(epoch, 0.2 + left, energy_j=macs * epoch / 1e6)
