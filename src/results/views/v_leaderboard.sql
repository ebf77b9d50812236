-- One row per combination: rank by the rule (lowest out-of-bag Brier, ties by AUROC), with what is missing from the grid,
-- what choosing the best of many adds to its number, and what difference the subjects can show.
CREATE VIEW v_leaderboard AS
WITH gaps AS (
    SELECT count(*) FILTER (status <> 'finished') AS n_missing_cells, count(*) AS n_planned_cells FROM coverage
),
chosen AS (
    SELECT
        any_value(optimism) FILTER (metric = 'brier') AS brier_optimism,
        any_value(optimism) FILTER (metric = 'auroc') AS auroc_optimism
    FROM winners_curse
),
resolution AS (
    SELECT
        any_value(detectable) FILTER (metric = 'brier') AS brier_detectable,
        any_value(detectable) FILTER (metric = 'auroc') AS auroc_detectable
    FROM detectable_difference
)
SELECT
    rank() OVER (ORDER BY e.brier ASC NULLS LAST, e.auroc DESC NULLS LAST) AS rank,
    e.*,
    o.display_name AS outlier_display,
    i.display_name AS imputation_display,
    f.display_name AS featurization_display,
    c.display_name AS classifier_display,
    gaps.n_missing_cells,
    gaps.n_planned_cells,
    s.included AS in_confidence_set,
    chosen.brier_optimism,
    chosen.auroc_optimism,
    resolution.brier_detectable,
    resolution.auroc_detectable
FROM essential_metrics AS e
CROSS JOIN gaps
CROSS JOIN chosen
CROSS JOIN resolution
LEFT JOIN confidence_set AS s ON s.run_id = e.run_id AND s.metric = 'brier'
LEFT JOIN methods AS o ON o.stage = 'outlier' AND o.name = e.outlier_method
LEFT JOIN methods AS i ON i.stage = 'imputation' AND i.name = e.imputation_method
LEFT JOIN methods AS f ON f.stage = 'features' AND f.name = e.featurization
LEFT JOIN methods AS c ON c.stage = 'classifier' AND c.name = e.classifier
ORDER BY rank, e.run_id;
COMMENT ON VIEW v_leaderboard IS 'One row per combination: rank by lowest out-of-bag Brier, ties by AUROC, how many planned cells are missing, what choosing the best of many adds to its number, and what difference the subjects can show.';
COMMENT ON COLUMN v_leaderboard.rank IS 'Rank by lowest out-of-bag Brier score, ties by AUROC; 1 is best.';
COMMENT ON COLUMN v_leaderboard.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN v_leaderboard.outlier_display IS 'Name of the artefact detector to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_leaderboard.imputation_display IS 'Name of the imputer to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_leaderboard.featurization_display IS 'Name of the feature set to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_leaderboard.classifier_display IS 'Name of the classifier to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_leaderboard.n_missing_cells IS 'Planned combinations without a result, in the whole database.';
COMMENT ON COLUMN v_leaderboard.n_planned_cells IS 'Combinations that were planned or run, in the whole database.';
COMMENT ON COLUMN v_leaderboard.in_confidence_set IS 'True where the combination is not shown to be worse than the best by Brier score (model confidence set, 95 %).';
COMMENT ON COLUMN v_leaderboard.brier_optimism IS 'By how much choosing the best flatters its Brier score (winners_curse); the same in every row.';
COMMENT ON COLUMN v_leaderboard.auroc_optimism IS 'By how much choosing the best flatters its AUROC (winners_curse); the same in every row.';
COMMENT ON COLUMN v_leaderboard.brier_detectable IS 'Smallest true difference in Brier score that this many subjects can show; the same in every row.';
COMMENT ON COLUMN v_leaderboard.auroc_detectable IS 'Smallest true difference in AUROC that this many subjects can show; the same in every row.';
