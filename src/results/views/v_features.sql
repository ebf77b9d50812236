-- One row per feature set, detector, imputer and feature: its values in cases and controls, and what it shares with the others.
CREATE VIEW v_features AS
WITH outcomes AS (
    SELECT DISTINCT recording_code, y FROM predictions
),
by_class AS (
    SELECT
        v.featurization, v.outlier_method, v.imputation_method, v.feature,
        count(v.value) AS n,
        count(*) - count(v.value) AS n_undefined,
        avg(v.value) FILTER (o.y = 1) AS mean_cases,
        avg(v.value) FILTER (o.y = 0) AS mean_controls,
        count(v.value) FILTER (o.y = 1) AS n_cases,
        count(v.value) FILTER (o.y = 0) AS n_controls,
        var_samp(v.value) FILTER (o.y = 1) AS var_cases,
        var_samp(v.value) FILTER (o.y = 0) AS var_controls
    FROM feature_values AS v
    JOIN outcomes AS o ON o.recording_code = v.recording_code
    GROUP BY ALL
),
closest AS (
    SELECT featurization, outlier_method, imputation_method, feature, max(abs(pearson)) AS largest_correlation
    FROM (
        SELECT featurization, outlier_method, imputation_method, unnest([feature_a, feature_b]) AS feature, pearson
        FROM feature_correlations
    )
    GROUP BY ALL
)
SELECT
    b.featurization, b.outlier_method, b.imputation_method, b.feature, b.n, b.n_undefined,
    b.mean_cases, b.mean_controls, sqrt(b.var_cases) AS sd_cases, sqrt(b.var_controls) AS sd_controls,
    (b.mean_cases - b.mean_controls) / nullif(sqrt(
        ((b.n_cases - 1) * b.var_cases + (b.n_controls - 1) * b.var_controls) / (b.n_cases + b.n_controls - 2)
    ), 0) AS standardised_difference,
    c.largest_correlation, i.vif
FROM by_class AS b
LEFT JOIN closest AS c USING (featurization, outlier_method, imputation_method, feature)
LEFT JOIN feature_vif AS i USING (featurization, outlier_method, imputation_method, feature)
ORDER BY b.featurization, b.outlier_method, b.imputation_method, b.feature;
COMMENT ON VIEW v_features IS 'One row per feature set, detector, imputer and feature: its values in cases and controls, and what it shares with the others.';
COMMENT ON COLUMN v_features.n IS 'Recordings with a value.';
COMMENT ON COLUMN v_features.n_undefined IS 'Classified recordings without one.';
COMMENT ON COLUMN v_features.mean_cases IS 'Mean over the recordings of subjects with glaucoma, in the unit of the name.';
COMMENT ON COLUMN v_features.mean_controls IS 'Mean over those without, in the unit of the name.';
COMMENT ON COLUMN v_features.sd_cases IS 'Standard deviation (n - 1) over the recordings of subjects with glaucoma.';
COMMENT ON COLUMN v_features.sd_controls IS 'Standard deviation (n - 1) over those without.';
COMMENT ON COLUMN v_features.standardised_difference IS 'Cohen''s d: difference of the means over the pooled standard deviation.';
COMMENT ON COLUMN v_features.largest_correlation IS 'Largest absolute Pearson correlation with another feature of the set.';
