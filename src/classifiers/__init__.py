"""Classifiers: scikit-learn estimators with `random_state`, one thread, missing features imputed inside."""
