-- One row per detector: is it better than chance, and does it leave hippus alone.
CREATE VIEW v_detector_checks AS
SELECT
    coalesce(q.outlier_method, p.outlier_method) AS outlier_method,
    m.display_name AS outlier_display,
    q.f1, q.f1_random,
    q.f1 > q.f1_random AS better_than_random,
    p.share_flagged AS hippus_flagged,
    p.share_flagged < 0.02 AS leaves_hippus
FROM (SELECT * FROM outlier_quality WHERE artefact_type = 'all') AS q
FULL JOIN hippus_probe AS p ON p.outlier_method = q.outlier_method
LEFT JOIN methods AS m ON m.stage = 'outlier' AND m.name = coalesce(q.outlier_method, p.outlier_method)
ORDER BY m.sort_order, 1;
COMMENT ON VIEW v_detector_checks IS 'One row per detector: whether it is better than a random mask of the same size, and whether it flags less than 2 % of synthetic recordings of hippus alone.';
COMMENT ON COLUMN v_detector_checks.outlier_method IS 'Artefact detector (methods.name, stage outlier).';
COMMENT ON COLUMN v_detector_checks.outlier_display IS 'Name of the artefact detector to show in figures and reports.';
COMMENT ON COLUMN v_detector_checks.f1 IS 'F1 against the truth mask; NULL without one.';
COMMENT ON COLUMN v_detector_checks.f1_random IS 'Expected F1 of a random mask that flags as many samples of every recording.';
COMMENT ON COLUMN v_detector_checks.better_than_random IS 'True where f1 is above f1_random; NULL without a truth mask, or where the run is older than this number.';
COMMENT ON COLUMN v_detector_checks.hippus_flagged IS 'Share of the samples flagged in synthetic recordings of hippus alone (hippus_probe); NULL where it was not tried.';
COMMENT ON COLUMN v_detector_checks.leaves_hippus IS 'True where hippus_flagged is below 2 %.';
