"""Frequency and damping of noisy oscillations, by convolutions in one dimension; the error is in their own units."""

import torch
from torch import nn

import planner


@planner.network(resolution=64, widths=(16,), depths=(3,), divisor=8, input=lambda samples: torch.zeros(1, 1, samples))
def tcn(resolution, widths, depths, classes):
    layers, before = [], 1
    for block in range(depths[0]):
        reach = 2**block
        layers += [nn.Conv1d(before, widths[0], 3, padding=reach, dilation=reach), nn.ReLU()]
        before = widths[0]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(before, classes))


def oscillations(n, samples, seed):
    rng = torch.Generator().manual_seed(seed)
    truth, time = torch.rand(n, 2, generator=rng), torch.linspace(0, 1, samples)
    wave = torch.sin(40 * (0.2 + truth[:, :1]) * time) * torch.exp(-4 * truth[:, 1:] * time)
    return (wave + 0.1 * torch.randn(n, samples, generator=rng))[:, None], truth


def train(job):
    model, (x, y) = job.build(), oscillations(512, job.architecture.resolution, 1)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for epoch in range(1, job.epochs + 1):
        for part in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x[part]), y[part]).backward()
            optimizer.step()
        with torch.no_grad():
            seen, wanted = oscillations(256, job.architecture.resolution, 2)
            job.report(epoch, nn.functional.mse_loss(model(seen), wanted).sqrt(), trained_on=len(x))
