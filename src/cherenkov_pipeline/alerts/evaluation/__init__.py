"""How good the methods are: the talk's indicators and table, cross-validation, and figures with intervals.

What to use when:

- `experiments`: the table of experiments, which grows run by run;
- `indicators`: the talk's indicators A to D of one training, as numbers;
- `scores`: metrics with intervals, methods against each other, strata, risk over coverage, calibration;
- `cross_validation`: all methods on every fold, and the ensemble of each fold;
- `plots`: figures of them all.
"""
