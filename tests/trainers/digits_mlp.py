"""Handwritten digits, by scikit-learn's own perceptron: torch only counts what it costs, where it is not known yet."""

import numpy as np
from scipy.ndimage import zoom
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import planner


@planner.network(resolution=8, widths=(32,), depths=(2,), divisor=4, channels=1)
def mlp(resolution, widths, depths, classes):
    from torch import nn

    layers, inputs = [nn.Flatten()], resolution**2
    for _ in range(depths[0]):
        layers += [nn.Linear(inputs, widths[0]), nn.ReLU()]
        inputs = widths[0]
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


def train(job):
    one, (pictures, labels) = job.architecture, load_digits(return_X_y=True)
    side = one.resolution / 8
    pictures = zoom(pictures.reshape(-1, 8, 8) / 16, (1, side, side), order=1).reshape(len(labels), -1)
    model = MLPClassifier(one.widths * one.depths[0], random_state=job.seed, learning_rate_init=0.005)
    for epoch in range(1, job.epochs + 1):
        model.partial_fit(pictures[:1200], labels[:1200], classes=np.arange(10))
        job.report(epoch, model.score(pictures[1200:], labels[1200:]), fitted_loss=model.loss_)
