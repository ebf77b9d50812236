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
