"""Regions: how far each repository is behind, whether its content can be deleted, going on without one."""
