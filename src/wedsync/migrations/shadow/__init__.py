"""A second database without rows: dry runs, baselines, and the fingerprint that compares two catalogues."""
