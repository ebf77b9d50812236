-- One row per detector, imputer and kind of gap: the error beside that of linear interpolation in the same gaps.
CREATE VIEW v_imputer_checks AS
SELECT
    q.outlier_method, q.imputation_method,
    o.display_name AS outlier_display,
    i.display_name AS imputation_display,
    q.gap, q.n_samples, q.unit,
    q.mae, q.mae_linear,
    q.mae < q.mae_linear AS better_than_linear
FROM imputation_quality AS q
LEFT JOIN methods AS o ON o.stage = 'outlier' AND o.name = q.outlier_method
LEFT JOIN methods AS i ON i.stage = 'imputation' AND i.name = q.imputation_method
ORDER BY
    o.sort_order, i.sort_order, q.outlier_method, q.imputation_method,
    list_position(['all', 'up to 0.3 s', '0.3 to 1 s', 'longer than 1 s'], q.gap);
COMMENT ON VIEW v_imputer_checks IS 'One row per detector, imputer and kind of gap: the error beside that of linear interpolation in the same gaps.';
COMMENT ON COLUMN v_imputer_checks.outlier_method IS 'Artefact detector whose mask was imputed (methods.name, stage outlier).';
COMMENT ON COLUMN v_imputer_checks.imputation_method IS 'Imputer (methods.name, stage imputation).';
COMMENT ON COLUMN v_imputer_checks.outlier_display IS 'Name of the artefact detector to show in figures and reports.';
COMMENT ON COLUMN v_imputer_checks.imputation_display IS 'Name of the imputer to show in figures and reports.';
COMMENT ON COLUMN v_imputer_checks.n_samples IS 'Imputed samples judged.';
COMMENT ON COLUMN v_imputer_checks.better_than_linear IS 'True where mae is below mae_linear; NULL where the run is older than that number, or no gap is of this kind.';
