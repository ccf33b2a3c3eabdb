"""Runs on disk: configuration, symbols, parameters, and the log."""
