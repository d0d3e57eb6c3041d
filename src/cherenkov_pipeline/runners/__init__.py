"""Runs of a pipeline as jobs: each node a job of its own, on SLURM or side by side on this machine.

The driver (`cluster.ClusterRunner`) submits what is ready, tells of it, and keeps nothing but names and numbers; a job
(`job.NodeJob`) builds its own catalog and runs one node. All that they tell each other stands in files
(`run_folder.RunFolder`), so that a job may be killed at any moment and the driver's terminal closed.
"""
