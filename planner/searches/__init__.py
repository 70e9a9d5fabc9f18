"""Published searches, each over a scorer: greedy allocation of MACs, RBIS, Network Adjustment."""
