"""Rookery raises alignment data: a model in, a preference dataset out."""

__version__ = "0.1.0"
