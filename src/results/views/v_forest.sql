-- One row per stage, metric and combination with an out-of-bag estimate: it with its intervals, ranked within the method of that stage.
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
    CASE WHEN m.kind <> 'descriptive' THEN row_number() OVER (
        PARTITION BY f.stage, f.method, e.metric
        ORDER BY CASE m.direction
            WHEN 'higher' THEN -e.estimate
            WHEN 'lower' THEN e.estimate
            ELSE abs(e.estimate - m.target) END ASC NULLS LAST, r.run_id
    ) END AS rank_in_method,
    count(*) OVER (PARTITION BY f.stage, f.method, e.metric) AS n_runs,
    avg(e.estimate) OVER (PARTITION BY f.stage, f.method, e.metric) AS method_mean
FROM factors AS f
JOIN runs AS r ON r.run_id = f.run_id
JOIN metric_estimates AS e ON e.run_id = f.run_id AND e.estimator = 'oob' AND e.estimate IS NOT NULL
JOIN metrics AS m ON m.name = e.metric
LEFT JOIN methods AS d ON d.stage = f.stage AND d.name = f.method
ORDER BY f.stage, e.metric, d.sort_order, rank_in_method;
COMMENT ON VIEW v_forest IS 'One row per stage, metric and combination: the out-of-bag estimate with its intervals, ranked within the method of that stage (1 is best), with the mean over the method''s runs.';
COMMENT ON COLUMN v_forest.stage IS 'outlier, imputation, features or classifier: the stage whose methods are compared.';
COMMENT ON COLUMN v_forest.method IS 'The method of that stage (methods.name).';
COMMENT ON COLUMN v_forest.method_display IS 'Name of the method to show in figures and reports.';
COMMENT ON COLUMN v_forest.colour IS 'Colour to draw the method with, #rrggbb.';
COMMENT ON COLUMN v_forest.metric_display IS 'Name of the metric to show in figures and reports.';
COMMENT ON COLUMN v_forest.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN v_forest.rank_in_method IS 'Rank of the run among those with this method by this metric, 1 is best; NULL for descriptive metrics, which rank nothing.';
COMMENT ON COLUMN v_forest.n_runs IS 'Runs with this method.';
COMMENT ON COLUMN v_forest.method_mean IS 'Mean of the estimate over the runs with this method.';
