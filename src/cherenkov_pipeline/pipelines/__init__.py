"""Pipelines: wiring only, the work is done in the rooms beside this one."""
