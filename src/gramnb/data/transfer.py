"""Kept for notebook 05, which imports it from here."""

from gramnb.data.sources import transfer_sets

__all__ = ["transfer_sets"]
