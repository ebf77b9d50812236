-- One row per run in the database: its methods, with display names and sort orders.
CREATE VIEW v_runs AS
SELECT
    r.run_id, r.kind, r.featurization, r.outlier_method, r.imputation_method, r.classifier,
    f.display_name AS featurization_display,
    o.display_name AS outlier_display,
    i.display_name AS imputation_display,
    c.display_name AS classifier_display,
    f.sort_order AS featurization_order,
    o.sort_order AS outlier_order,
    i.sort_order AS imputation_order,
    c.sort_order AS classifier_order
FROM runs AS r
LEFT JOIN methods AS f ON f.stage = 'features' AND f.name = r.featurization
LEFT JOIN methods AS o ON o.stage = 'outlier' AND o.name = r.outlier_method
LEFT JOIN methods AS i ON i.stage = 'imputation' AND i.name = r.imputation_method
LEFT JOIN methods AS c ON c.stage = 'classifier' AND c.name = r.classifier
ORDER BY r.kind DESC, featurization_order, outlier_order, imputation_order, classifier_order;
COMMENT ON VIEW v_runs IS 'One row per run in the database: its methods, with display names and sort orders.';
COMMENT ON COLUMN v_runs.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN v_runs.kind IS 'combination, or baseline.';
COMMENT ON COLUMN v_runs.featurization_display IS 'Name of the feature set to show in figures and reports.';
COMMENT ON COLUMN v_runs.outlier_display IS 'Name of the artefact detector to show in figures and reports; NULL for a baseline without one.';
COMMENT ON COLUMN v_runs.imputation_display IS 'Name of the imputer to show in figures and reports; NULL for a baseline without one.';
COMMENT ON COLUMN v_runs.classifier_display IS 'Name of the classifier to show in figures and reports.';
COMMENT ON COLUMN v_runs.featurization_order IS 'Order of the feature set in figures and tables, ascending.';
COMMENT ON COLUMN v_runs.outlier_order IS 'Order of the artefact detector in figures and tables, ascending.';
COMMENT ON COLUMN v_runs.imputation_order IS 'Order of the imputer in figures and tables, ascending.';
COMMENT ON COLUMN v_runs.classifier_order IS 'Order of the classifier in figures and tables, ascending.';
