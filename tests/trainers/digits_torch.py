"""Handwritten digits, by a perceptron in plain torch; larger pictures are the small ones, enlarged."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy, interpolate

import planner


@planner.network(resolution=8, widths=(32,), depths=(2,), divisor=4, channels=1)
def perceptron(resolution, widths, depths, classes):
    sizes = [resolution**2, *widths * depths[0]]
    hidden = [part for pair in zip(sizes, sizes[1:]) for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], classes))


def train(job):
    torch.manual_seed(job.seed)
    pictures, labels = map(torch.tensor, load_digits(return_X_y=True))
    pictures = interpolate(pictures.float().view(-1, 1, 8, 8) / 16, size=job.architecture.resolution, mode="bilinear")
    model = job.build()
    optimizer = torch.optim.Adam(model.parameters(), 0.005)
    for epoch in range(1, job.epochs + 1):
        for part in torch.randperm(1200).split(32):
            loss = cross_entropy(model(pictures[part]), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            right = model(pictures[1200:]).argmax(1) == labels[1200:]
        job.report(epoch, right.float().mean(), loss=loss)
