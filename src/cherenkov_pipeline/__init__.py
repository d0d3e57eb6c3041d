"""Deep learning for imaging Cherenkov telescopes, as a Kedro project."""

__version__ = "0.1.0"
