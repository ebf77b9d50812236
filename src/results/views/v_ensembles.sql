-- One row per ensemble, detector before it and member, with display names: those used first.
CREATE VIEW v_ensembles AS
SELECT
    e.stage, e.method, m.display_name AS method_display, e.outlier_method,
    o.display_name AS outlier_display, e.member, n.display_name AS member_display,
    e.status, e.quality, e.reason
FROM ensemble_members AS e
LEFT JOIN methods AS m ON m.stage = e.stage AND m.name = e.method
LEFT JOIN methods AS n ON n.stage = e.stage AND n.name = e.member
LEFT JOIN methods AS o ON o.stage = 'outlier' AND o.name = e.outlier_method
ORDER BY e.stage DESC, m.sort_order, o.sort_order, e.status <> 'used', e.status DESC, n.sort_order;
COMMENT ON VIEW v_ensembles IS 'One row per ensemble, detector before it and member, with display names: those used first.';
COMMENT ON COLUMN v_ensembles.method_display IS 'Name of the ensemble to show in figures and reports.';
COMMENT ON COLUMN v_ensembles.outlier_display IS 'Name of the detector before it to show in figures and reports; NULL for an ensemble of detectors.';
COMMENT ON COLUMN v_ensembles.member_display IS 'Name of the member to show in figures and reports; NULL where it is not in the registry.';
