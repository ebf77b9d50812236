-- One row per stage, metric and combination: the out-of-bag estimate with its intervals, ranked within the method of that stage.
CREATE VIEW v_forest AS
WITH factors AS (
    SELECT run_id, unnest(['outlier', 'imputation', 'features', 'classifier']) AS stage,
        unnest([outlier_method, imputation_method, featurization, classifier]) AS method
    FROM runs
    WHERE kind = 'combination'
)
SELECT
    f.stage, f.method, d.display_name AS method_display, d.category, d.colour, d.sort_order,
    e.metric, m.display_name AS metric_display, m.direction,
    r.run_id, r.featurization, r.outlier_method, r.imputation_method, r.classifier,
    e.estimate, e.sampling_lo, e.sampling_hi, e.refit_lo, e.refit_hi,
    row_number() OVER (
        PARTITION BY f.stage, f.method, e.metric
        ORDER BY CASE m.direction
            WHEN 'higher' THEN -e.estimate
            WHEN 'lower' THEN e.estimate
            ELSE abs(e.estimate - m.target) END ASC NULLS LAST, r.run_id
    ) AS rank_in_method,
    count(*) OVER (PARTITION BY f.stage, f.method, e.metric) AS n_runs,
    avg(e.estimate) OVER (PARTITION BY f.stage, f.method, e.metric) AS method_mean
FROM factors AS f
JOIN runs AS r ON r.run_id = f.run_id
JOIN metric_estimates AS e ON e.run_id = f.run_id AND e.estimator = 'oob'
JOIN metrics AS m ON m.name = e.metric
LEFT JOIN methods AS d ON d.stage = f.stage AND d.name = f.method
ORDER BY f.stage, e.metric, d.sort_order, rank_in_method;
COMMENT ON VIEW v_forest IS 'One row per stage, metric and combination: the out-of-bag estimate with its intervals, ranked within the method of that stage (1 is best), with the mean over the method''s runs.';
