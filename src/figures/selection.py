"""Which combinations a figure compares when it cannot show all of them: chosen by a rule, in SQL."""

from __future__ import annotations

from src.registry import FACTORS, Role, load_registry

RULE = (
    "Combinations are chosen by one rule, never by hand (configs/mlflow_registry/compared.yaml): for each "
    "role the one with the lowest out-of-bag Brier score (ties: the higher AUROC). The champion is the best "
    "of all; the others are the best of those that detect and impute with methods of that kind, with any "
    "classifier; the ground truth has both mask and signal from a person."
)


def _candidates(role: Role, order: int) -> str:
    """SQL of the best place among the combinations that fit a role; no row where none does."""
    name = _quoted(role.name)
    fits = [f"{stage}_category = {_quoted(category)}" for stage, category in role.of.items()]
    where = f"WHERE {' AND '.join(fits)} " if fits else ""
    columns = f"{name} AS role, {order} AS role_order, min(place) AS place"
    return f"SELECT {columns} FROM placed {where}HAVING count(*) > 0"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_CATEGORIES = ", ".join(f"{stage}.category AS {stage}_category" for stage in FACTORS)
_METHODS = "\n    ".join(
    f"LEFT JOIN methods {stage} ON {stage}.stage = '{stage}' AND {stage}.name = e.{column}"
    for stage, column in FACTORS.items()
)
_ROLES = "\n    UNION ALL ".join(_candidates(role, i) for i, role in enumerate(load_registry().compared, 1))

SELECTED = f"""
placed AS (
    SELECT e.*, {_CATEGORIES},
           row_number() OVER (ORDER BY e.rank, e.run_id) AS place
    FROM v_leaderboard e
    {_METHODS}
    WHERE e.brier IS NOT NULL
),
roles AS (
    {_ROLES}
),
selected AS (
    SELECT p.run_id, p.featurization, p.outlier_method, p.imputation_method, p.classifier, p.place,
           string_agg(r.role, ', ' ORDER BY r.role_order) AS roles,
           upper(roles[1]) || roles[2:] AS role,
           row_number() OVER (ORDER BY min(r.role_order)) AS selection_order
    FROM roles r JOIN placed p USING (place)
    GROUP BY ALL
)"""
"""Common table expressions; `selected` has one row per combination shown, in the order of showing."""

CHOSEN = f"WITH {SELECTED} SELECT * FROM selected ORDER BY selection_order"
"""The selected combinations by themselves."""
