"""What the server of child processes loads once: the libraries that nearly every combination needs."""

import mlflow.tracking  # noqa: F401
import pandas as pd  # noqa: F401
import scipy.stats  # noqa: F401
import sklearn.linear_model
import sklearn.preprocessing  # noqa: F401

import src.evaluation.loop
import src.pipeline  # noqa: F401
