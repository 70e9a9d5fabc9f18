"""Which pixels are a disk's, a square's or nothing's, in noise: mean intersection over union of the three classes."""

import torch
from torch.nn.functional import cross_entropy, interpolate

SIDE = 48  # of the scenes, in pixels; the network sees them at its own resolution


def scenes(n, seed):
    rng = torch.Generator().manual_seed(seed)
    place = 0.2 + 0.6 * torch.rand(n, 2, 2, 1, 1, generator=rng)
    reach = 0.1 + 0.15 * torch.rand(n, 2, 1, 1, generator=rng)
    axis = (torch.arange(SIDE) + 0.5) / SIDE
    away = torch.stack(torch.meshgrid(axis, axis, indexing="ij")) - place
    disk, square = away[:, 0].norm(dim=1) < reach[:, 0], away[:, 1].abs().amax(1) < reach[:, 1]
    truth = torch.where(square, 2, torch.where(disk, 1, 0))
    return (truth > 0)[:, None] + 0.5 * torch.randn(n, 3, SIDE, SIDE, generator=rng), truth


def iou(found, truth, one):
    return ((found == one) & (truth == one)).sum() / ((found == one) | (truth == one)).sum()


def train(job):
    model, (x, y), (seen, truth) = job.build(), scenes(128, 1), scenes(64, 2)
    x, seen = (interpolate(one, size=job.architecture.resolution, mode="area") for one in (x, seen))
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    for epoch in range(1, job.epochs + 1):
        for part in torch.randperm(len(x)).split(8):
            optimizer.zero_grad()
            cross_entropy(interpolate(model.train()(x[part]), SIDE), y[part]).backward()
            optimizer.step()
        with torch.no_grad():
            found = interpolate(model.eval()(seen), SIDE).argmax(1)
        job.report(epoch, sum(iou(found, truth, one) for one in range(3)) / 3)
