-- One row per run: how much its models scatter, against its sampling interval.
CREATE VIEW v_instability AS
SELECT
    r.run_id, r.kind, r.featurization, r.outlier_method, r.imputation_method, r.classifier,
    s.* EXCLUDE (run_id),
    e.refit_hi - e.refit_lo AS auroc_refit_width,
    e.sampling_hi - e.sampling_lo AS auroc_sampling_width
FROM runs AS r
LEFT JOIN instability_summary AS s ON s.run_id = r.run_id
LEFT JOIN metric_estimates AS e ON e.run_id = r.run_id AND e.metric = 'auroc' AND e.estimator = 'oob'
ORDER BY r.run_id;
COMMENT ON VIEW v_instability IS 'One row per run: how much its models scatter when the sample changes. NULL for runs that store left-out predictions only.';
COMMENT ON COLUMN v_instability.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN v_instability.kind IS 'combination, or baseline.';
COMMENT ON COLUMN v_instability.auroc_lo IS '2.5 percentile over the bootstrap models of the AUROC on everybody: model instability, no confidence interval.';
COMMENT ON COLUMN v_instability.auroc_hi IS '97.5 percentile over the bootstrap models of the AUROC on everybody: model instability, no confidence interval.';
COMMENT ON COLUMN v_instability.brier_lo IS '2.5 percentile over the bootstrap models of the Brier score on everybody: model instability, no confidence interval.';
COMMENT ON COLUMN v_instability.brier_hi IS '97.5 percentile over the bootstrap models of the Brier score on everybody: model instability, no confidence interval.';
COMMENT ON COLUMN v_instability.auroc_refit_width IS 'Width of the out-of-bag AUROC''s percentiles over iterations.';
COMMENT ON COLUMN v_instability.auroc_sampling_width IS 'Width of the out-of-bag AUROC''s 95 % sampling interval.';
