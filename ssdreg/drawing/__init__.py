"""Figures: diagrams of backbones, learning curves, anchors, latencies."""
