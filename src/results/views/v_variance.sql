-- One row per metric, feature set and factor: the share of the scatter of the cells it explains, largest first.
CREATE VIEW v_variance AS
SELECT
    v.metric, m.display_name AS metric_display, v.featurization, v.factor,
    v.sum_of_squares, v.df, v.eta_squared, v.partial_eta_squared,
    100 * v.eta_squared AS percent
FROM variance_decomposition AS v
LEFT JOIN metrics AS m ON m.name = v.metric
WHERE v.factor <> 'total'
ORDER BY v.metric, v.featurization, v.factor = 'residual', v.eta_squared DESC;
COMMENT ON VIEW v_variance IS 'One row per metric, feature set and factor (and residual): the share of the scatter of the cells it explains. The percentages of one metric and feature set add up to 100.';
COMMENT ON COLUMN v_variance.metric_display IS 'Name of the metric to show in figures and reports.';
COMMENT ON COLUMN v_variance.factor IS 'A factor, or residual (interactions and noise).';
COMMENT ON COLUMN v_variance.percent IS 'eta_squared in per cent.';
