"""What a job takes as a score, a loss and further numbers."""

import warnings

import numpy as np
import pytest
import torch

from sampler import InputError
from trainer.conformance import SMALL_NETWORK
from trainer.protocol import Job
from trainer.score import Score


@pytest.fixture
def job(tmp_path):
    return Job(SMALL_NETWORK, 10, 3, 1.0, 0, "cpu", 1, tmp_path, score=Score("rmse", lower=True))


@pytest.mark.parametrize(
    "number",
    [0.25, np.float32(0.25), np.array([0.25]).max(), torch.tensor(0.25), torch.nn.Parameter(torch.tensor(0.25))],
)
def test_numbers_of_any_library_are_numbers(job, number):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns where a loss that it could differentiate becomes a number
        job.report(1, number, loss=number, noise=number)
    (record,) = job.history
    assert (record.accuracy, record.loss, record.facts) == (0.25, 0.25, {"noise": 0.25})
    assert {type(one) for one in (record.accuracy, record.loss, record.facts["noise"])} == {float}


@pytest.mark.parametrize("loss", ["low", [1.0, 2.0], torch.ones(2)])
def test_a_loss_that_is_no_number_is_refused_by_name(job, loss):
    with pytest.raises(InputError, match=r"job\.report\(1, \.\.\): loss is .*; a number is wanted"):
        job.report(1, 0.5, loss=loss)


def test_numbers_beside_the_score_that_are_not_finite_are_left_out_and_the_score_is_kept(job):
    job.report(1, 0.5, loss=float("nan"), noise=torch.tensor(float("inf")))
    assert [(one.accuracy, one.loss, one.facts) for one in job.history] == [(0.5, None, {})]
