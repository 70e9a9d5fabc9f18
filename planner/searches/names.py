"""The published searches, in words; nothing is imported here, so that everything may name them."""

SEARCH_NAMES = ("greedy", "rbis", "adjust")
