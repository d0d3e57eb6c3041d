"""How good a model is: tables of metrics, curves, figures, reports.

What to use when:

- `performance.energy`, `performance.direction`, `performance.type`, `performance.regression`: a predictions table in,
  every table of the task out; DL2 files of any maker will do, once they are such a table.
- `performance.evaluations`: the same by the name of the task, with figures and report.
- `performance.candidates`, `contest`, `comparison`: models of one task chosen, run on the same test events, ranked;
  `qualities` says what makes a model of each task better, `common_events` finds the events of DL2 files among them.
- `performance.response`: the instrument response, of gammas and protons that were reconstructed in every task.
- `performance.plots`: a table in, a `matplotlib.figure.Figure` out.
- `performance.report`: tables and figures in, one self-contained HTML page (and a Markdown summary) out.
- `performance.published`: figures that others have published, as reference lines.

A further task adds one module beside `energy` (its columns and its list of `metrics.Metric`), its figures in
`plots`, its sections in `report` and its entry in `evaluations`; a plain regression only its entry and a
`regression.Quantity`. Counts, intervals, bins, quarters, style and page are shared.
"""
