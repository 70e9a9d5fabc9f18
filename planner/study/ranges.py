"""What settings and options may be: ranges that `study.toml` and the command line share."""

MOST_EPOCHS = 10_000
SIDES = (8, 4096)  # of pictures and base networks, in pixels
