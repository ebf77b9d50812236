-- One row per run, kind of importance and feature: its mean and scatter over the iterations, ranked within the run.
CREATE VIEW v_importances AS
SELECT
    r.run_id, r.featurization, r.outlier_method, r.imputation_method, r.classifier,
    i.kind, i.feature, i.mean, i.sd, i.lo, i.hi, i.n,
    rank() OVER (PARTITION BY i.run_id, i.kind ORDER BY i.mean DESC NULLS LAST) AS rank_in_run
FROM feature_importances AS i
JOIN runs AS r ON r.run_id = i.run_id
ORDER BY r.run_id, i.kind, rank_in_run, i.feature;
COMMENT ON VIEW v_importances IS 'One row per run, kind of importance and feature: its mean and scatter over the iterations, ranked within the run.';
COMMENT ON COLUMN v_importances.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN v_importances.kind IS 'model: the classifier''s own, normalised to sum 1. permutation: drop of the left-out AUROC.';
COMMENT ON COLUMN v_importances.lo IS '2.5 percentile over iterations: model instability, no confidence interval.';
COMMENT ON COLUMN v_importances.hi IS '97.5 percentile over iterations.';
COMMENT ON COLUMN v_importances.n IS 'Iterations in which it is defined.';
COMMENT ON COLUMN v_importances.rank_in_run IS 'Rank by the mean among the run''s features, 1 is the most important.';
