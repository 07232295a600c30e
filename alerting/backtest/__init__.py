"""The live detector on the past: a series from a file, or the stored trends."""
