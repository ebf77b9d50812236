"""What the server of child processes does once: load what most combinations need, and end with its parent.

Only that server imports this module. The children are forked from it, so to the kernel it is their parent,
and it has to end with the command for them to end too.
"""

from importlib import import_module

from src.isolation import die_with_parent
from src.provenance import code_commit, package_versions
from src.source_snapshot import keep_sources
from src.tracking import load_libraries

keep_sources()  # first: what is imported from here on is part of keys
for module in (
    "sklearn.linear_model",
    "sklearn.preprocessing",
    "src.cohort.file",
    "src.evaluation.estimators",
    "src.evaluation.loop",
    "src.pipeline",
    "src.results.bootstrap_pickle",
):
    import_module(module)
die_with_parent()
load_libraries()
package_versions()
code_commit()
