"""The next character of Python's own manual, which every Python holds: bits for each character of its last tenth."""

import math
from pydoc_data.topics import topics

import torch
from gpt import Gpt
from torch.nn.functional import cross_entropy

import planner

TEXT = "".join(topics.values()).encode("ascii", "replace")[:200_000]
CHARACTERS = torch.tensor([max(0, byte - 31) for byte in TEXT])  # 0 is the end of a line; 96 in all
HEADS, INPUT = {"heads": {"follows": "width / 8"}}, lambda length: torch.zeros(1, length, dtype=torch.int64)


@planner.network(resolution=32, widths=(32,), depths=(2,), divisor=16, knobs=HEADS, input=INPUT)
def writer(resolution, widths, depths, classes, heads):
    model = Gpt(resolution, widths[0], depths[0], classes, heads)
    for table in (model.words, model.places):
        torch.nn.init.normal_(table.weight, std=0.1)
    return model


def loss_of(model, text, starts, length):
    rows = text[starts[:, None] + torch.arange(length + 1)]
    return cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())


def train(job):
    model, length, last = job.build(), job.architecture.resolution, len(CHARACTERS) * 9 // 10
    known, unseen = CHARACTERS[:last], CHARACTERS[last : last + 8192]
    optimizer = torch.optim.AdamW(model.parameters(), 0.003)
    for epoch in range(1, job.epochs + 1):
        for _ in range(60):
            optimizer.zero_grad()
            loss_of(model, known, torch.randint(last - length, (1024 // length,)), length).backward()
            optimizer.step()
        with torch.no_grad():
            bits = loss_of(model, unseen, torch.arange(0, len(unseen) - length, length), length) / math.log(2)
        job.report(epoch, bits)
