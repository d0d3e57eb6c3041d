"""Kedro datasets of this project: they read and write, nothing else."""
