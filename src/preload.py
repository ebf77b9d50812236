"""What the server of child processes does once: load what most combinations need, and end with its parent.

Only that server imports this module. The children are forked from it, so to the kernel it is their parent,
and it has to end with the command for them to end too.
"""

import mlflow.tracking  # noqa: F401
import pandas as pd  # noqa: F401
import scipy.stats  # noqa: F401
import sklearn.linear_model
import sklearn.preprocessing  # noqa: F401

import src.evaluation.loop
import src.pipeline  # noqa: F401
from src.isolation import die_with_parent

die_with_parent()
