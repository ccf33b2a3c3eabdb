"""Latencies: every backend and precision here, measured in turns, held against the machine."""
