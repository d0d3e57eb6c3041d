"""The instrument response: how much of a source a telescope sees, how well, and over which background.

- `response.events`: predictions of gammas of a point source and of diffuse protons, with the rates that they stand for;
- `response.cuts`: gammaness and theta cuts, the best ones in each bin of reconstructed energy;
- `response.stages`: what is left after each cut, effective areas of gammas and rates of protons;
- `response.sensitivity`: the weakest source that is seen;
- `response.gadf`: the FITS files of the gamma-astro-data-format;
- `response.tables`: all tables at once; `response.names`: their names and those of the figures.

Only parameters and names are light.
"""

from cherenkov_pipeline.performance.response.parameters import ResponseParameters

__all__ = ["ResponseParameters"]
