-- One row per metric, pair of combinations and what is compared against: the difference, with the methods of both.
CREATE VIEW v_pairs AS
SELECT
    c.metric, m.display_name AS metric_display, m.direction, c.against,
    c.run_id_a, c.run_id_b,
    a.featurization AS featurization_a, a.outlier_method AS outlier_method_a,
    a.imputation_method AS imputation_method_a, a.classifier AS classifier_a,
    b.featurization AS featurization_b, b.outlier_method AS outlier_method_b,
    b.imputation_method AS imputation_method_b, b.classifier AS classifier_b,
    ea.estimate AS estimate_a, eb.estimate AS estimate_b,
    c.difference, c.se, c.lo, c.hi, c.p, c.p_holm, c.p_bh, c.test, c.refit_lo, c.refit_hi, c.reason
FROM pairwise_comparisons AS c
JOIN runs AS a ON a.run_id = c.run_id_a
JOIN runs AS b ON b.run_id = c.run_id_b
LEFT JOIN metric_estimates AS ea ON ea.run_id = c.run_id_a AND ea.metric = c.metric AND ea.estimator = 'oob'
LEFT JOIN metric_estimates AS eb ON eb.run_id = c.run_id_b AND eb.metric = c.metric AND eb.estimator = 'oob'
LEFT JOIN metrics AS m ON m.name = c.metric
ORDER BY c.metric, c.against, c.p NULLS LAST, c.run_id_a;
COMMENT ON VIEW v_pairs IS 'One row per metric, pair of combinations and what is compared against (champion or ground truth): the difference by subject, with the methods of both.';
COMMENT ON COLUMN v_pairs.metric_display IS 'Name of the metric to show in figures and reports.';
COMMENT ON COLUMN v_pairs.featurization_a IS 'Feature set of a.';
COMMENT ON COLUMN v_pairs.outlier_method_a IS 'Artefact detector of a.';
COMMENT ON COLUMN v_pairs.imputation_method_a IS 'Imputer of a.';
COMMENT ON COLUMN v_pairs.classifier_a IS 'Classifier of a.';
COMMENT ON COLUMN v_pairs.featurization_b IS 'Feature set of b.';
COMMENT ON COLUMN v_pairs.outlier_method_b IS 'Artefact detector of b.';
COMMENT ON COLUMN v_pairs.imputation_method_b IS 'Imputer of b.';
COMMENT ON COLUMN v_pairs.classifier_b IS 'Classifier of b.';
COMMENT ON COLUMN v_pairs.estimate_a IS 'Out-of-bag estimate of a.';
COMMENT ON COLUMN v_pairs.estimate_b IS 'Out-of-bag estimate of b.';
COMMENT ON COLUMN v_pairs.lo IS 'Lower end of the difference''s 95 % sampling interval.';
COMMENT ON COLUMN v_pairs.hi IS 'Upper end of the difference''s 95 % sampling interval.';
COMMENT ON COLUMN v_pairs.p IS 'Two-sided p value from subjects, for this pair alone.';
COMMENT ON COLUMN v_pairs.p_holm IS 'p value after Holm.';
COMMENT ON COLUMN v_pairs.p_bh IS 'p value after Benjamini and Hochberg.';
COMMENT ON COLUMN v_pairs.refit_lo IS '2.5 percentile of the difference over iterations: model instability, no confidence interval.';
COMMENT ON COLUMN v_pairs.refit_hi IS '97.5 percentile of the difference over iterations.';
COMMENT ON COLUMN v_pairs.reason IS 'Why a value of this row is NULL; otherwise NULL.';
