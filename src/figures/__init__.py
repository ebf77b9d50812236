"""Figures: each module that holds a `Figure` is one query and one drawing; the folder is the list of them."""
