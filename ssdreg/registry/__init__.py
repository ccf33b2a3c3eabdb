"""What plug-ins declare (backbones, heads, weights), and the host that finds the plug-ins."""
