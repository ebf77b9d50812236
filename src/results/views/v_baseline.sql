-- One row per baseline run and for the champion: what age achieves alone and beside the features, against the champion.
CREATE VIEW v_baseline AS
WITH champion AS (
    SELECT * FROM essential_metrics ORDER BY brier ASC NULLS LAST, auroc DESC NULLS LAST, run_id LIMIT 1
),
rivals AS (
    SELECT 'champion' AS part, *, NULL::VARCHAR AS reason FROM champion
    UNION ALL BY NAME SELECT 'baseline' AS part, * FROM baseline_metrics
),
subjects AS (
    SELECT DISTINCT subject_code, y FROM predictions
),
differences AS (
    SELECT b.run_id, b.metric, s.y, b.influence - c.influence AS influence
    FROM subject_influence AS b
    JOIN subject_influence AS c ON c.metric = b.metric AND c.subject_code = b.subject_code
    JOIN subjects AS s ON s.subject_code = b.subject_code
    WHERE c.run_id = (SELECT run_id FROM champion) AND b.run_id IN (SELECT run_id FROM baseline_metrics)
        AND b.metric IN ('auroc', 'brier') AND b.influence IS NOT NULL AND c.influence IS NOT NULL
),
classes AS (
    SELECT run_id, metric, y, count(*) AS n, var_samp(influence) AS variance FROM differences GROUP BY ALL
),
errors AS (
    SELECT run_id, metric, sqrt(sum(n * variance)) / sum(n) AS se
    FROM classes GROUP BY run_id, metric HAVING count(*) = 2 AND min(n) >= 2
)
SELECT
    r.part, r.run_id, r.featurization, r.outlier_method, r.imputation_method, r.classifier,
    f.display_name AS featurization_display,
    c.display_name AS classifier_display,
    r.auroc, r.auroc_lo, r.auroc_hi, r.brier, r.brier_lo, r.brier_hi, r.cal_slope_median,
    CASE r.part WHEN 'baseline' THEN r.auroc - k.auroc END AS auroc_difference,
    auroc_difference - 1.96 * a.se AS auroc_difference_lo,
    auroc_difference + 1.96 * a.se AS auroc_difference_hi,
    CASE r.part WHEN 'baseline' THEN r.brier - k.brier END AS brier_difference,
    brier_difference - 1.96 * b.se AS brier_difference_lo,
    brier_difference + 1.96 * b.se AS brier_difference_hi,
    r.reason
FROM rivals AS r
CROSS JOIN champion AS k
LEFT JOIN errors AS a ON a.run_id = r.run_id AND a.metric = 'auroc'
LEFT JOIN errors AS b ON b.run_id = r.run_id AND b.metric = 'brier'
LEFT JOIN methods AS f ON f.stage = 'features' AND f.name = r.featurization
LEFT JOIN methods AS c ON c.stage = 'classifier' AND c.name = r.classifier
ORDER BY r.part DESC, r.brier, r.run_id;
COMMENT ON VIEW v_baseline IS 'One row per baseline run, and one for the champion: what age achieves alone and beside the features, on the same resamples, with the difference from the champion by subject.';
COMMENT ON COLUMN v_baseline.part IS 'champion (lowest out-of-bag Brier score, ties by AUROC), or baseline.';
COMMENT ON COLUMN v_baseline.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN v_baseline.outlier_method IS 'Artefact detector (methods.name, stage outlier); none where the signal is not used.';
COMMENT ON COLUMN v_baseline.imputation_method IS 'Imputer (methods.name, stage imputation); none where the signal is not used.';
COMMENT ON COLUMN v_baseline.featurization_display IS 'Name of the feature set to show in figures and reports.';
COMMENT ON COLUMN v_baseline.classifier_display IS 'Name of the classifier to show in figures and reports.';
COMMENT ON COLUMN v_baseline.auroc_difference IS 'AUROC of the baseline minus that of the champion.';
COMMENT ON COLUMN v_baseline.auroc_difference_lo IS 'Lower end of its 95 % sampling interval.';
COMMENT ON COLUMN v_baseline.auroc_difference_hi IS 'Upper end of its 95 % sampling interval.';
COMMENT ON COLUMN v_baseline.brier_difference IS 'Brier score of the baseline minus that of the champion; above 0 the champion is better.';
COMMENT ON COLUMN v_baseline.brier_difference_lo IS 'Lower end of its 95 % sampling interval.';
COMMENT ON COLUMN v_baseline.brier_difference_hi IS 'Upper end of its 95 % sampling interval.';
COMMENT ON COLUMN v_baseline.reason IS 'Why the row is empty, e.g. no ages; otherwise NULL.';
