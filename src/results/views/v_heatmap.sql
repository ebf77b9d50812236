-- One row per metric and planned combination: the out-of-bag estimate, NULL with a status where the cell is not finished.
CREATE VIEW v_heatmap AS
WITH classification AS (
    SELECT name AS metric, display_name AS metric_display, direction
    FROM metrics
    WHERE name IN (SELECT metric FROM metric_estimates WHERE estimator = 'oob')
)
SELECT
    m.metric, m.metric_display, m.direction,
    v.featurization, v.classifier, v.outlier_method, v.imputation_method,
    v.featurization_display, v.classifier_display, v.outlier_display, v.imputation_display,
    v.featurization_order, v.classifier_order, v.outlier_order, v.imputation_order,
    v.status, v.reason, v.run_id,
    e.estimate AS value, e.sampling_lo, e.sampling_hi
FROM v_coverage AS v
CROSS JOIN classification AS m
LEFT JOIN metric_estimates AS e
    ON e.run_id = v.run_id AND e.metric = m.metric AND e.estimator = 'oob'
ORDER BY m.metric, v.featurization_order, v.classifier_order, v.outlier_order, v.imputation_order;
COMMENT ON VIEW v_heatmap IS 'One row per metric and planned combination: the out-of-bag estimate (value), NULL with a status where the cell is not finished.';
