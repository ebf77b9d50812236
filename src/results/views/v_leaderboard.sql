-- One row per combination: rank by the rule (lowest out-of-bag Brier, ties by AUROC), with what is missing from the grid.
CREATE VIEW v_leaderboard AS
WITH gaps AS (
    SELECT count(*) FILTER (status <> 'finished') AS n_missing_cells, count(*) AS n_planned_cells FROM coverage
)
SELECT
    rank() OVER (ORDER BY e.brier ASC NULLS LAST, e.auroc DESC NULLS LAST) AS rank,
    e.*,
    o.display_name AS outlier_display,
    i.display_name AS imputation_display,
    f.display_name AS featurization_display,
    c.display_name AS classifier_display,
    gaps.n_missing_cells,
    gaps.n_planned_cells
FROM essential_metrics AS e
CROSS JOIN gaps
LEFT JOIN methods AS o ON o.stage = 'outlier' AND o.name = e.outlier_method
LEFT JOIN methods AS i ON i.stage = 'imputation' AND i.name = e.imputation_method
LEFT JOIN methods AS f ON f.stage = 'features' AND f.name = e.featurization
LEFT JOIN methods AS c ON c.stage = 'classifier' AND c.name = e.classifier
ORDER BY rank, e.run_id;
COMMENT ON VIEW v_leaderboard IS 'One row per combination: rank by lowest out-of-bag Brier, ties by AUROC, and how many planned cells are missing.';
COMMENT ON COLUMN v_leaderboard.rank IS 'Rank by lowest out-of-bag Brier score, ties by AUROC; 1 is best.';
COMMENT ON COLUMN v_leaderboard.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN v_leaderboard.outlier_display IS 'Name of the artefact detector to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_leaderboard.imputation_display IS 'Name of the imputer to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_leaderboard.featurization_display IS 'Name of the feature set to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_leaderboard.classifier_display IS 'Name of the classifier to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_leaderboard.n_missing_cells IS 'Planned combinations without a result, in the whole database.';
COMMENT ON COLUMN v_leaderboard.n_planned_cells IS 'Combinations that were planned or run, in the whole database.';
