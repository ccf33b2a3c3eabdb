"""Tuning: a learning-rate range test, then a search for a recipe within a budget of time."""
