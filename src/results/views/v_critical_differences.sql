-- One row per metric, feature set, factor and method: its mean rank, and from which other methods of the factor it differs.
CREATE VIEW v_critical_differences AS
SELECT
    c.metric, m.display_name AS metric_display, c.featurization, c.factor, c.method,
    d.display_name AS method_display, d.category, d.colour,
    c.mean_rank, c.critical_difference, c.friedman_chi2, c.friedman_p, c.n_blocks, c.n_methods, c.title,
    c.mean_rank - min(c.mean_rank) OVER (PARTITION BY c.metric, c.featurization, c.factor) AS behind_best,
    c.mean_rank - min(c.mean_rank) OVER (PARTITION BY c.metric, c.featurization, c.factor)
        <= c.critical_difference AS as_good_as_best
FROM critical_differences AS c
LEFT JOIN metrics AS m ON m.name = c.metric
LEFT JOIN methods AS d ON d.name = c.method AND d.stage = CASE c.factor
    WHEN 'featurization' THEN 'features' WHEN 'outlier_method' THEN 'outlier'
    WHEN 'imputation_method' THEN 'imputation' ELSE c.factor END
ORDER BY c.metric, c.featurization, c.factor, c.mean_rank, c.method;
COMMENT ON VIEW v_critical_differences IS 'One row per metric, feature set, factor and method: its mean rank over the cells of the other factors, for critical-difference diagrams. Descriptive: blocks share subjects.';
COMMENT ON COLUMN v_critical_differences.metric_display IS 'Name of the metric to show in figures and reports.';
COMMENT ON COLUMN v_critical_differences.factor IS 'featurization, outlier_method, imputation_method or classifier.';
COMMENT ON COLUMN v_critical_differences.method_display IS 'Name of the method to show in figures and reports.';
COMMENT ON COLUMN v_critical_differences.colour IS 'Colour to draw the method with, #rrggbb.';
COMMENT ON COLUMN v_critical_differences.behind_best IS 'Mean rank minus that of the best method of the factor.';
COMMENT ON COLUMN v_critical_differences.as_good_as_best IS 'True where that is no more than the critical difference.';
