"""Anchors held against the boxes of a data set."""
