-- One row per metric, feature set, cleaning factor and method: what the method changes against ground-truth cleaning.
CREATE VIEW v_method_effects AS
SELECT
    e.metric, m.display_name AS metric_display, m.direction,
    e.featurization, e.factor, e.method,
    d.display_name AS method_display, d.category, d.colour, d.sort_order,
    e.effect, e.se, e.lo, e.hi, e.p, e.p_holm, e.p_bh, e.n_cells, e.reason,
    CASE m.direction WHEN 'higher' THEN -e.effect WHEN 'lower' THEN e.effect END AS loss
FROM method_effects AS e
LEFT JOIN metrics AS m ON m.name = e.metric
LEFT JOIN methods AS d ON d.name = e.method
    AND d.stage = CASE e.factor WHEN 'outlier_method' THEN 'outlier' WHEN 'imputation_method' THEN 'imputation' END
ORDER BY e.metric, e.featurization, e.factor, d.sort_order;
COMMENT ON VIEW v_method_effects IS 'One row per metric, feature set, cleaning factor and method: mean over the other factors of the metric with this method minus that with ground truth, with its interval by subject.';
COMMENT ON COLUMN v_method_effects.metric_display IS 'Name of the metric to show in figures and reports.';
COMMENT ON COLUMN v_method_effects.method_display IS 'Name of the method to show in figures and reports.';
COMMENT ON COLUMN v_method_effects.colour IS 'Colour to draw the method with, #rrggbb.';
COMMENT ON COLUMN v_method_effects.se IS 'Standard error of the effect over samples of subjects.';
COMMENT ON COLUMN v_method_effects.lo IS 'Lower end of the effect''s 95 % sampling interval.';
COMMENT ON COLUMN v_method_effects.hi IS 'Upper end of the effect''s 95 % sampling interval.';
COMMENT ON COLUMN v_method_effects.p IS 'Two-sided p value from subjects, for this method alone.';
COMMENT ON COLUMN v_method_effects.p_holm IS 'p value after Holm, over the methods of the factor.';
COMMENT ON COLUMN v_method_effects.p_bh IS 'p value after Benjamini and Hochberg, over the methods of the factor.';
COMMENT ON COLUMN v_method_effects.reason IS 'Why the effect is NULL; otherwise NULL.';
COMMENT ON COLUMN v_method_effects.loss IS 'The effect with the sign that makes worse positive; NULL for metrics with a target.';
