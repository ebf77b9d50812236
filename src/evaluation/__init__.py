"""Resampling, metrics, estimators and intervals: numpy in, numpy out; knows no runner, no config, no path."""
