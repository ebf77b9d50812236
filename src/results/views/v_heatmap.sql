-- One row per metric and planned combination: the out-of-bag estimate, NULL with a status where the cell is not finished.
CREATE VIEW v_heatmap AS
WITH classification AS (
    SELECT name AS metric, display_name AS metric_display, direction
    FROM metrics
    WHERE name IN (SELECT metric FROM metric_estimates WHERE estimator = 'oob' AND estimate IS NOT NULL)
)
SELECT
    m.metric, m.metric_display, m.direction,
    v.featurization, v.classifier, v.outlier_method, v.imputation_method,
    v.featurization_display, v.classifier_display, v.outlier_display, v.imputation_display,
    v.featurization_order, v.classifier_order, v.outlier_order, v.imputation_order,
    v.status,
    coalesce(v.reason, CASE WHEN e.estimate IS NULL THEN e.reason END) AS reason,
    v.run_id,
    e.estimate AS value, e.sampling_lo, e.sampling_hi
FROM v_coverage AS v
CROSS JOIN classification AS m
LEFT JOIN metric_estimates AS e
    ON e.run_id = v.run_id AND e.metric = m.metric AND e.estimator = 'oob'
ORDER BY m.metric, v.featurization_order, v.classifier_order, v.outlier_order, v.imputation_order;
COMMENT ON VIEW v_heatmap IS 'One row per metric and planned combination: the out-of-bag estimate (value), NULL with a status where the cell is not finished.';
COMMENT ON COLUMN v_heatmap.metric_display IS 'Name of the metric to show in figures and reports.';
COMMENT ON COLUMN v_heatmap.featurization_display IS 'Name of the feature set to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_heatmap.classifier_display IS 'Name of the classifier to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_heatmap.outlier_display IS 'Name of the artefact detector to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_heatmap.imputation_display IS 'Name of the imputer to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_heatmap.featurization_order IS 'Order of the feature set in figures and tables, ascending.';
COMMENT ON COLUMN v_heatmap.classifier_order IS 'Order of the classifier in figures and tables, ascending.';
COMMENT ON COLUMN v_heatmap.outlier_order IS 'Order of the artefact detector in figures and tables, ascending.';
COMMENT ON COLUMN v_heatmap.imputation_order IS 'Order of the imputer in figures and tables, ascending.';
COMMENT ON COLUMN v_heatmap.reason IS 'Why there is no value, in one line; NULL where there is one.';
COMMENT ON COLUMN v_heatmap.run_id IS 'The finished run (runs.run_id), or the newest failed one (excluded_runs.run_id); NULL where missing.';
COMMENT ON COLUMN v_heatmap.value IS 'Out-of-bag estimate of the metric; NULL, with the reason, where the cell is not finished or the metric undefined.';
