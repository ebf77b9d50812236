"""Which combinations a figure compares when it cannot show all of them: chosen by a rule, in SQL."""

from __future__ import annotations

RULE = (
    "Combinations are chosen by one rule, never by hand: the champion has the lowest out-of-bag Brier "
    "score (ties: the higher AUROC) of all; besides, the best by the same rule with the ground truth for "
    "both mask and imputation, and, for every other category of outlier method, the best that does not use "
    "the true signal for imputation."
)

SELECTED = """
placed AS (
    SELECT e.*, o.category AS outlier_category, i.category AS imputation_category,
           row_number() OVER (ORDER BY e.rank, e.run_id) AS place
    FROM v_leaderboard e
    LEFT JOIN methods o ON o.stage = 'outlier' AND o.name = e.outlier_method
    LEFT JOIN methods i ON i.stage = 'imputation' AND i.name = e.imputation_method
    WHERE e.brier IS NOT NULL
),
roles AS (
    SELECT 'champion' AS role, 2 AS role_order, place FROM placed WHERE place = 1
    UNION ALL
    SELECT 'ground truth', 1, min(place) FROM placed
    WHERE outlier_category = 'ground truth' AND imputation_category = 'ground truth' HAVING count(*) > 0
    UNION ALL
    SELECT 'best ' || outlier_category, 3, min(place) FROM placed
    WHERE outlier_category <> 'ground truth' AND imputation_category IS DISTINCT FROM 'ground truth'
    GROUP BY outlier_category
),
selected AS (
    SELECT p.run_id, p.featurization, p.outlier_method, p.imputation_method, p.classifier, p.place,
           string_agg(r.role, ', ' ORDER BY r.role_order, r.role) AS roles,
           upper(roles[1]) || roles[2:] AS role,
           row_number() OVER (ORDER BY min(r.role_order), min(r.role)) AS selection_order
    FROM roles r JOIN placed p USING (place)
    GROUP BY ALL
)"""
"""Common table expressions; `selected` has one row per combination shown, in the order of showing."""

CHOSEN = f"WITH {SELECTED} SELECT * FROM selected ORDER BY selection_order"
"""The selected combinations by themselves."""
