-- One row per run and share kept: what the most confident predictions achieve, against keeping all.
CREATE VIEW v_retention AS
SELECT
    r.run_id, r.kind, r.featurization, r.outlier_method, r.imputation_method, r.classifier,
    c.point, c.retained, c.auroc, c.brier, c.brier_lo, c.brier_hi, c.error, c.error_lo, c.error_hi,
    c.error - max_by(c.error, c.retained) OVER (PARTITION BY c.run_id) AS error_change,
    c.brier - max_by(c.brier, c.retained) OVER (PARTITION BY c.run_id) AS brier_change
FROM retention_curves AS c
JOIN runs AS r ON r.run_id = c.run_id
ORDER BY r.run_id, c.point;
COMMENT ON VIEW v_retention IS 'One row per run and share kept: what the most confident predictions achieve, and by how much that differs from keeping all.';
COMMENT ON COLUMN v_retention.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN v_retention.kind IS 'combination, or baseline.';
COMMENT ON COLUMN v_retention.point IS 'Number of the point, from 0 at the fewest kept.';
COMMENT ON COLUMN v_retention.auroc IS 'Area under the ROC curve of those kept; NULL where a class is absent.';
COMMENT ON COLUMN v_retention.brier IS 'Brier score of those kept.';
COMMENT ON COLUMN v_retention.brier_lo IS 'Lower end of its pointwise 95 % sampling band, given which predictions are kept.';
COMMENT ON COLUMN v_retention.brier_hi IS 'Upper end of that band.';
COMMENT ON COLUMN v_retention.error_change IS 'Share of errors among those kept minus that among all; below 0 where confidence helps.';
COMMENT ON COLUMN v_retention.brier_change IS 'Brier score of those kept minus that of all; below 0 where confidence helps.';
