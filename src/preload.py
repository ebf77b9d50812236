"""What the server of child processes does once: load what most combinations need, and end with its parent.

Only that server imports this module. The children are forked from it, so to the kernel it is their parent,
and it has to end with the command for them to end too.
"""

import sklearn.linear_model
import sklearn.preprocessing  # noqa: F401

import src.cohort.file
import src.evaluation.estimators
import src.evaluation.loop
import src.pipeline
import src.results.bootstrap_pickle  # noqa: F401
from src.isolation import die_with_parent
from src.provenance import code_commit, package_versions
from src.tracking import load_libraries

die_with_parent()
load_libraries()
package_versions()
code_commit()
