"""Figures: a table in, a `matplotlib.figure.Figure` out; nothing here computes a metric.

One module a subject: `history` (training), `architecture` (layers), `energy`, `uncertainty`; `style` is shared.
"""
