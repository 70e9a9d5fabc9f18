"""What an audit of a cheap score rests on: rank statistics, intervals, noise, the reading of tables."""
