"""Latencies: every backend and precision, measured in turns, held against the machine."""
