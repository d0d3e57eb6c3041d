"""Names of the tables and figures of the response, for those who must not import anything heavy."""

TABLES = ("counts", "areas", "energy", "direction", "background", "sensitivity")
FIGURES = ("areas", "cuts", "energy", "direction", "background", "sensitivity")
