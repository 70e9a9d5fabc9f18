"""The proposers that are built in, in words; nothing is imported here, so that commands may name them at once."""

PROPOSER_NAMES = ("bayes", "tpe", "gp", "nsga2", "nsga3", "random")
