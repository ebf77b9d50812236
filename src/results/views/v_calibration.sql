-- One row per run and estimator: the calibration numbers side by side.
CREATE VIEW v_calibration AS
SELECT
    r.run_id, r.kind, r.featurization, r.outlier_method, r.imputation_method, r.classifier, e.estimator,
    any_value(e.estimate) FILTER (e.metric = 'cal_intercept') AS cal_intercept,
    any_value(e.sampling_lo) FILTER (e.metric = 'cal_intercept') AS cal_intercept_lo,
    any_value(e.sampling_hi) FILTER (e.metric = 'cal_intercept') AS cal_intercept_hi,
    any_value(e.estimate) FILTER (e.metric = 'cal_slope') AS cal_slope,
    any_value(e.estimate_median) FILTER (e.metric = 'cal_slope') AS cal_slope_median,
    any_value(e.sampling_lo) FILTER (e.metric = 'cal_slope') AS cal_slope_lo,
    any_value(e.sampling_hi) FILTER (e.metric = 'cal_slope') AS cal_slope_hi,
    any_value(e.coverage_checked) FILTER (e.metric = 'cal_slope') AS cal_slope_coverage_checked,
    any_value(e.estimate) FILTER (e.metric = 'cal_intercept_joint') AS cal_intercept_joint,
    any_value(e.estimate) FILTER (e.metric = 'oe_ratio') AS oe_ratio,
    any_value(e.sampling_lo) FILTER (e.metric = 'oe_ratio') AS oe_ratio_lo,
    any_value(e.sampling_hi) FILTER (e.metric = 'oe_ratio') AS oe_ratio_hi,
    any_value(e.estimate) FILTER (e.metric = 'ici') AS ici,
    any_value(e.estimate) FILTER (e.metric = 'e50') AS e50,
    any_value(e.estimate) FILTER (e.metric = 'e90') AS e90,
    any_value(e.estimate) FILTER (e.metric = 'emax') AS emax,
    any_value(e.estimate) FILTER (e.metric = 'ece10') AS ece10
FROM runs AS r
JOIN metric_estimates AS e ON e.run_id = r.run_id
GROUP BY ALL
ORDER BY r.run_id, e.estimator;
COMMENT ON VIEW v_calibration IS 'One row per run and estimator: the calibration numbers side by side. NULL where the estimator has none (metric_estimates.reason says why).';
COMMENT ON COLUMN v_calibration.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN v_calibration.kind IS 'combination, or baseline.';
COMMENT ON COLUMN v_calibration.estimator IS 'As in metric_estimates.';
COMMENT ON COLUMN v_calibration.cal_intercept_lo IS 'Lower end of its 95 % sampling interval.';
COMMENT ON COLUMN v_calibration.cal_intercept_hi IS 'Upper end of its 95 % sampling interval.';
COMMENT ON COLUMN v_calibration.cal_slope IS 'Calibration slope, ideal 1.';
COMMENT ON COLUMN v_calibration.cal_slope_median IS 'Calibration slope, median over iterations (oob).';
COMMENT ON COLUMN v_calibration.cal_slope_lo IS 'Lower end of its 95 % sampling interval.';
COMMENT ON COLUMN v_calibration.cal_slope_hi IS 'Upper end of its 95 % sampling interval.';
COMMENT ON COLUMN v_calibration.cal_slope_coverage_checked IS 'False where that interval is known to hold the truth less often than it says.';
COMMENT ON COLUMN v_calibration.cal_intercept_joint IS 'Intercept fitted together with the slope, ideal 0.';
COMMENT ON COLUMN v_calibration.oe_ratio IS 'Observed over expected number of cases, ideal 1.';
COMMENT ON COLUMN v_calibration.oe_ratio_lo IS 'Lower end of its 95 % sampling interval.';
COMMENT ON COLUMN v_calibration.oe_ratio_hi IS 'Upper end of its 95 % sampling interval.';
COMMENT ON COLUMN v_calibration.ici IS 'Integrated calibration index: mean distance of p from the smooth calibration curve.';
COMMENT ON COLUMN v_calibration.e50 IS 'Median distance of p from the smooth calibration curve.';
COMMENT ON COLUMN v_calibration.e90 IS '90 % quantile of the distance of p from the smooth calibration curve.';
COMMENT ON COLUMN v_calibration.emax IS 'Largest distance of p from the smooth calibration curve.';
COMMENT ON COLUMN v_calibration.ece10 IS 'Expected calibration error over ten equal-width bins.';
