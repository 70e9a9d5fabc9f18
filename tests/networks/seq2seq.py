"""torch's own transformer: an encoder, and a decoder that looks at it; its own heads, two inputs of unlike length."""

import torch
from torch import nn

import planner


class Translator(nn.Module):
    def __init__(self, width, depths, words, heads, mlp):
        super().__init__()
        self.source, self.target = nn.Embedding(8000, width), nn.Embedding(words, width)
        self.transformer = nn.Transformer(width, heads, *depths, dim_feedforward=mlp, batch_first=True)
        self.head = nn.Linear(width, words)

    def forward(self, source, target):
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1], device=target.device)
        return self.head(self.transformer(self.source(source), self.target(target), tgt_mask=mask, tgt_is_causal=True))


def tokens(n):
    return torch.zeros(1, n, dtype=torch.int64)


@planner.network(
    resolution=48,
    widths=(128, 512),
    depths=(2, 3),
    divisor=32,
    knobs={"heads": dict(base=4, values=(1, 2, 4, 8))},
    input=lambda r: (tokens(r), tokens(r // 2)),
)
def translator(resolution, widths, depths, classes, heads):
    return Translator(widths[0], depths, classes, heads, widths[1])
