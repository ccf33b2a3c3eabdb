"""Pictures, videos and streams of them: read, decoded, and written."""
