"""How good a model is: tables of metrics, curves, figures, reports.

What to use when:

- `performance.energy.energy_tables`: a predictions table in, every table of the energy task out.
- `performance.direction`: angular resolution per energy.
- `performance.agreement`: areas, rates, separation of a simulation beside official figures.
- `performance.plots`: a table in, a `matplotlib.figure.Figure` out.
- `performance.report`: tables and figures in, one self-contained HTML page (and a Markdown summary) out.
- `performance.published`: figures that others have published, as reference lines.

A further task adds one module beside `energy` (its columns and its list of `metrics.Metric`), its figures in
`plots`, and its sections in `report`; intervals, bins, quarters, style and page are shared.
"""
