-- One row per metric and combination: whether it is in the set that is not shown to be worse than the best.
CREATE VIEW v_confidence_set AS
SELECT
    s.metric, s.run_id, r.featurization, r.outlier_method, r.imputation_method, r.classifier,
    r.featurization_display, r.outlier_display, r.imputation_display, r.classifier_display,
    e.estimate, s.p_value, s.included,
    count(*) FILTER (s.included) OVER (PARTITION BY s.metric) AS n_included,
    count(*) OVER (PARTITION BY s.metric) AS n_compared
FROM confidence_set AS s
JOIN v_runs AS r ON r.run_id = s.run_id
LEFT JOIN metric_estimates AS e ON e.run_id = s.run_id AND e.metric = s.metric AND e.estimator = 'oob'
ORDER BY s.metric, s.p_value DESC, s.run_id;
COMMENT ON VIEW v_confidence_set IS 'One row per metric and combination: whether it is in the model confidence set, the combinations not shown to be worse than the best.';
COMMENT ON COLUMN v_confidence_set.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN v_confidence_set.featurization_display IS 'Name of the feature set to show in figures and reports.';
COMMENT ON COLUMN v_confidence_set.outlier_display IS 'Name of the artefact detector to show in figures and reports.';
COMMENT ON COLUMN v_confidence_set.imputation_display IS 'Name of the imputer to show in figures and reports.';
COMMENT ON COLUMN v_confidence_set.classifier_display IS 'Name of the classifier to show in figures and reports.';
COMMENT ON COLUMN v_confidence_set.estimate IS 'Out-of-bag estimate of the metric.';
COMMENT ON COLUMN v_confidence_set.n_included IS 'Combinations in the set.';
COMMENT ON COLUMN v_confidence_set.n_compared IS 'Combinations compared.';
