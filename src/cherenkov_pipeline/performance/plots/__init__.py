"""Figures: a table in, a `matplotlib.figure.Figure` out; nothing here computes a metric.

One module a subject: `history` (training), `architecture` (layers), `energy`, `direction`, `type`, `regression` (any
other quantity), `uncertainty`, `response` (of the instrument); `style` and `curves` are shared, `formats` writes them
to files.
"""
