-- One row per combination that was planned or run: its status, with display names and sort orders.
CREATE VIEW v_coverage AS
SELECT
    v.*,
    f.display_name AS featurization_display,
    o.display_name AS outlier_display,
    i.display_name AS imputation_display,
    c.display_name AS classifier_display,
    f.sort_order AS featurization_order,
    o.sort_order AS outlier_order,
    i.sort_order AS imputation_order,
    c.sort_order AS classifier_order
FROM coverage AS v
LEFT JOIN methods AS f ON f.stage = 'features' AND f.name = v.featurization
LEFT JOIN methods AS o ON o.stage = 'outlier' AND o.name = v.outlier_method
LEFT JOIN methods AS i ON i.stage = 'imputation' AND i.name = v.imputation_method
LEFT JOIN methods AS c ON c.stage = 'classifier' AND c.name = v.classifier
ORDER BY featurization_order, outlier_order, imputation_order, classifier_order;
COMMENT ON VIEW v_coverage IS 'One row per combination that was planned or run: its status, with display names and sort orders.';
COMMENT ON COLUMN v_coverage.run_id IS 'The finished run (runs.run_id), or the newest failed one (excluded_runs.run_id); NULL where missing.';
COMMENT ON COLUMN v_coverage.reason IS 'Why it is not there, in one line; NULL where finished.';
COMMENT ON COLUMN v_coverage.featurization_display IS 'Name of the feature set to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_coverage.outlier_display IS 'Name of the artefact detector to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_coverage.imputation_display IS 'Name of the imputer to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_coverage.classifier_display IS 'Name of the classifier to show in figures and reports; NULL where it is not in the registry.';
COMMENT ON COLUMN v_coverage.featurization_order IS 'Order of the feature set in figures and tables, ascending.';
COMMENT ON COLUMN v_coverage.outlier_order IS 'Order of the artefact detector in figures and tables, ascending.';
COMMENT ON COLUMN v_coverage.imputation_order IS 'Order of the imputer in figures and tables, ascending.';
COMMENT ON COLUMN v_coverage.classifier_order IS 'Order of the classifier in figures and tables, ascending.';
