"""Runs on disk, looked at with suspicion: what is damaged or contradicts, and what repairs it."""
