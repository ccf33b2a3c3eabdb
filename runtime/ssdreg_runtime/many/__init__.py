"""Detection of millions of pictures by the workers of a Ray cluster, into Parquet or JSON lines."""
