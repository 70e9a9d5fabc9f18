"""What settings and options may be, and are where nobody says: what `study.toml`, plans and the command line share."""

MOST_EPOCHS = 10_000
LONG_EPOCHS = 100  # of a network that is finished
FINISH_HOLDOUT = 0.05  # of its training images, by which the best epoch is known
SIDES = (8, 4096)  # of pictures and base networks, in pixels
