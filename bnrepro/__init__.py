"""bnrepro: see, prove and cure what small batches do to batch normalization."""

__version__ = "0.1.0"
