-- Data tests, run on every new database before it is moved into place. Each statement lists what breaks a rule:
-- the rule, and where. An empty answer is a pass. Unique keys are read from the table comments and tested apart.

SELECT 'one row of provenance' AS rule, count(*) || ' rows' AS place FROM provenance HAVING count(*) <> 1;

SELECT 'recordings add up' AS rule, n_recordings || ' recordings' AS place FROM provenance
WHERE n_recordings <> n_cases + n_controls + coalesce(n_unlabelled, 0) OR n_cases < 1 OR n_controls < 1;

SELECT 'every run has all its rows' AS rule, r.run_id || ' ' || p.n || ' predictions' AS place
FROM runs AS r
CROSS JOIN provenance AS v
LEFT JOIN (SELECT run_id, count(*) AS n FROM predictions GROUP BY run_id) AS p ON p.run_id = r.run_id
WHERE p.n IS DISTINCT FROM v.n_cases + v.n_controls;

SELECT 'every run has all its iterations' AS rule, r.run_id AS place
FROM runs AS r
LEFT JOIN (SELECT run_id, count(*) AS n, max(iteration) AS last FROM iteration_metrics GROUP BY run_id) AS i
    ON i.run_id = r.run_id
WHERE i.n IS DISTINCT FROM r.n_iterations OR i.last IS DISTINCT FROM r.n_iterations - 1;

SELECT 'left-out recordings add up' AS rule, i.run_id AS place
FROM (SELECT run_id, sum(n_left_out) AS n FROM iteration_metrics GROUP BY run_id) AS i
JOIN (SELECT run_id, sum(n_oob) AS n FROM predictions GROUP BY run_id) AS p ON p.run_id = i.run_id
WHERE i.n <> p.n;

SELECT 'all runs have the same outcomes' AS rule, recording_code AS place
FROM predictions GROUP BY recording_code HAVING count(DISTINCT y) > 1 OR count(DISTINCT subject_code) > 1;

SELECT 'histograms hold every recording once' AS rule, d.run_id || ' class ' || d.y AS place
FROM (SELECT run_id, y, sum(n) AS n FROM probability_distributions GROUP BY run_id, y) AS d
JOIN (SELECT run_id, y, count(p_oob) AS n FROM predictions GROUP BY run_id, y) AS p
    ON p.run_id = d.run_id AND p.y = d.y
WHERE d.n <> p.n;

SELECT 'probabilities lie in 0 to 1' AS rule, run_id || ' ' || recording_code AS place FROM predictions
WHERE NOT coalesce(p_oob BETWEEN 0 AND 1, TRUE) OR NOT coalesce(p_apparent BETWEEN 0 AND 1, TRUE);

SELECT 'an interval contains its estimate' AS rule, run_id || ' ' || metric || ' ' || estimator AS place
FROM metric_estimates
WHERE NOT coalesce(estimate BETWEEN sampling_lo - 1e-9 AND sampling_hi + 1e-9, TRUE);

SELECT 'an undefined estimate has a reason' AS rule, run_id || ' ' || metric || ' ' || estimator AS place
FROM metric_estimates WHERE estimate IS NULL AND reason IS NULL;

SELECT 'values lie in the domain of their metric' AS rule, e.run_id || ' ' || e.metric || ' ' || e.estimator AS place
FROM metric_estimates AS e JOIN metrics AS m ON m.name = e.metric
WHERE e.estimate < m.domain_lo - 1e-9 OR e.estimate > m.domain_hi + 1e-9;

SELECT 'a metric is in the dictionary' AS rule, metric AS place
FROM metric_estimates WHERE metric NOT IN (SELECT name FROM metrics);

SELECT 'a method is in the dictionary' AS rule, method AS place
FROM (
    SELECT unnest(['features', 'outlier', 'imputation', 'classifier']) AS stage,
        unnest([featurization, outlier_method, imputation_method, classifier]) AS method
    FROM runs
    WHERE kind = 'combination'
)
WHERE (stage, method) NOT IN (SELECT stage, name FROM methods);

SELECT 'a combination has its row of essential metrics' AS rule, coalesce(r.run_id, e.run_id) AS place
FROM (SELECT run_id FROM runs WHERE kind = 'combination') AS r
FULL JOIN essential_metrics AS e ON e.run_id = r.run_id
WHERE r.run_id IS NULL OR e.run_id IS NULL;

SELECT 'essential metrics are the out-of-bag estimates' AS rule, e.run_id AS place
FROM essential_metrics AS e
JOIN metric_estimates AS a ON a.run_id = e.run_id AND a.estimator = 'oob' AND a.metric = 'auroc'
JOIN metric_estimates AS b ON b.run_id = e.run_id AND b.estimator = 'oob' AND b.metric = 'brier'
WHERE e.auroc IS DISTINCT FROM a.estimate OR e.brier IS DISTINCT FROM b.estimate;

SELECT 'rows belong to a run' AS rule, table_name || ' ' || run_id AS place
FROM (
    SELECT DISTINCT 'metric_estimates' AS table_name, run_id FROM metric_estimates
    UNION ALL SELECT DISTINCT 'iteration_metrics', run_id FROM iteration_metrics
    UNION ALL SELECT DISTINCT 'predictions', run_id FROM predictions
    UNION ALL SELECT DISTINCT 'roc_curves', run_id FROM roc_curves
    UNION ALL SELECT DISTINCT 'calibration_curves', run_id FROM calibration_curves
    UNION ALL SELECT DISTINCT 'calibration_bins', run_id FROM calibration_bins
    UNION ALL SELECT DISTINCT 'decision_curves', run_id FROM decision_curves
    UNION ALL SELECT DISTINCT 'probability_distributions', run_id FROM probability_distributions
    UNION ALL SELECT DISTINCT 'subject_influence', run_id FROM subject_influence
    UNION ALL SELECT DISTINCT 'retention_curves', run_id FROM retention_curves
    UNION ALL SELECT DISTINCT 'instability_subjects', run_id FROM instability_subjects
    UNION ALL SELECT DISTINCT 'instability_curves', run_id FROM instability_curves
    UNION ALL SELECT DISTINCT 'instability_summary', run_id FROM instability_summary
    UNION ALL SELECT DISTINCT 'feature_importances', run_id FROM feature_importances
    UNION ALL SELECT DISTINCT 'unavailable', run_id FROM unavailable
    UNION ALL SELECT DISTINCT 'confidence_set', run_id FROM confidence_set
    UNION ALL SELECT DISTINCT 'winners_curse', run_id FROM winners_curse
    UNION ALL SELECT 'pairwise_comparisons', run_id_a FROM pairwise_comparisons
    UNION ALL SELECT 'pairwise_comparisons', run_id_b FROM pairwise_comparisons
    UNION ALL SELECT 'identical_predictions', run_id_a FROM identical_predictions
    UNION ALL SELECT 'identical_predictions', run_id_b FROM identical_predictions
)
WHERE run_id NOT IN (SELECT run_id FROM runs);

SELECT 'a run without instability says why' AS rule, r.run_id AS place
FROM runs AS r
LEFT JOIN instability_summary AS i ON i.run_id = r.run_id
LEFT JOIN unavailable AS u ON u.run_id = r.run_id AND u.quantity = 'instability'
WHERE (i.run_id IS NULL) = (u.run_id IS NULL);

SELECT 'a run is in or out, not both' AS rule, run_id AS place
FROM excluded_runs WHERE run_id IN (SELECT run_id FROM runs);

SELECT 'a finished cell is a run' AS rule, c.featurization || ' ' || c.outlier_method AS place
FROM coverage AS c
LEFT JOIN runs AS r ON r.run_id = c.run_id
WHERE (c.status = 'finished') <> (r.run_id IS NOT NULL);

SELECT 'a combination is in the coverage' AS rule, run_id AS place
FROM runs WHERE kind = 'combination' AND run_id NOT IN (SELECT run_id FROM coverage WHERE run_id IS NOT NULL);

SELECT 'detections add up' AS rule, outlier_method || ' ' || artefact_type AS place FROM outlier_quality
WHERE tp + fn <> n_artefact OR n_artefact > n_samples
    OR (artefact_type = 'all' AND tp + fp + fn + tn <> n_samples);

SELECT 'recall and precision follow from the counts' AS rule, outlier_method || ' ' || artefact_type AS place
FROM outlier_quality
WHERE abs(recall - tp / nullif(tp + fn, 0)) > 1e-9
    OR abs("precision" - tp / nullif(tp + fp, 0)) > 1e-9
    OR abs(fpr - fp / nullif(fp + tn, 0)) > 1e-9;

SELECT 'shares of a probe follow from the counts' AS rule, outlier_method AS place FROM hippus_probe
WHERE n_flagged > n_samples OR abs(share_flagged - n_flagged / n_samples) > 1e-9;

SELECT 'a longer gap is part of all gaps' AS rule, g.outlier_method || ' ' || g.imputation_method AS place
FROM imputation_quality AS g
JOIN imputation_quality AS a
    ON a.outlier_method = g.outlier_method AND a.imputation_method = g.imputation_method AND a.gap = 'all'
WHERE g.n_samples > a.n_samples;

SELECT 'a member is used, or has a reason' AS rule, method || ' ' || member AS place FROM ensemble_members
WHERE (status = 'used') = (reason IS NOT NULL);

SELECT 'an ensemble uses a member' AS rule, method || ' after ' || outlier_method AS place
FROM ensemble_members GROUP BY ALL HAVING NOT bool_or(status = 'used');

SELECT 'imputed examples are examples' AS rule, recording_code AS place
FROM example_imputations WHERE recording_code NOT IN (SELECT recording_code FROM example_recordings);

SELECT 'features belong to a classified recording' AS rule, recording_code AS place
FROM feature_values WHERE recording_code NOT IN (SELECT recording_code FROM predictions);

SELECT 'every metric has a row for every estimator' AS rule, run_id || ' has ' || count(*) || ' rows' AS place
FROM metric_estimates GROUP BY run_id
HAVING count(*) <> (SELECT count(DISTINCT metric) * count(DISTINCT estimator) FROM metric_estimates);

SELECT 'a classification metric is estimated' AS rule, name AS place
FROM metrics WHERE stage = 'classification' AND name NOT IN (SELECT metric FROM metric_estimates);

SELECT '.632 lies between apparent and out-of-bag' AS rule, b.run_id || ' ' || b.metric AS place
FROM metric_estimates AS b
JOIN metric_estimates AS a ON a.run_id = b.run_id AND a.metric = b.metric AND a.estimator = 'apparent'
JOIN metric_estimates AS o ON o.run_id = b.run_id AND o.metric = b.metric AND o.estimator = 'oob'
WHERE b.estimator = 'b632' AND (
    b.estimate < least(a.estimate, o.estimate) - 1e-9 OR b.estimate > greatest(a.estimate, o.estimate) + 1e-9
);

SELECT 'out-of-bag estimates are means over iterations' AS rule, i.run_id AS place
FROM (
    SELECT run_id, avg(auroc) AS auroc, avg(brier) AS brier, count(auroc) AS n FROM iteration_metrics GROUP BY run_id
) AS i
JOIN metric_estimates AS a ON a.run_id = i.run_id AND a.metric = 'auroc' AND a.estimator = 'oob'
JOIN metric_estimates AS b ON b.run_id = i.run_id AND b.metric = 'brier' AND b.estimator = 'oob'
WHERE abs(a.estimate - i.auroc) > 1e-9 OR abs(b.estimate - i.brier) > 1e-9 OR a.n_defined <> i.n;

-- With few iterations a subject was left out a few times only, and its influence is a rough guess.
SELECT 'influence values even out' AS rule, i.run_id || ' ' || i.metric AS place
FROM (
    SELECT run_id, metric, sum(influence) AS total, sum(abs(influence)) AS size
    FROM subject_influence GROUP BY run_id, metric
) AS i
JOIN runs AS r ON r.run_id = i.run_id
WHERE r.n_iterations >= 100 AND abs(i.total) > 0.2 * i.size;

SELECT 'every subject has an influence on every metric' AS rule, i.run_id AS place
FROM (SELECT run_id, count(*) AS n, count(DISTINCT metric) AS metrics FROM subject_influence GROUP BY run_id) AS i
JOIN runs AS r ON r.run_id = i.run_id
WHERE i.n <> i.metrics * r.n_subjects;

SELECT 'keeping all is the pooled estimate' AS rule, e.run_id || ' ' || e.metric AS place
FROM (
    UNPIVOT (
        SELECT run_id, auroc, brier, 1 - error AS accuracy_at_50 FROM retention_curves WHERE retained = 1
    ) ON auroc, brier, accuracy_at_50 INTO NAME metric VALUE kept
) AS c
JOIN metric_estimates AS e ON e.run_id = c.run_id AND e.metric = c.metric AND e.estimator = 'oob_pooled'
WHERE abs(e.estimate - c.kept) > 1e-9;

SELECT 'a band contains its curve' AS rule, run_id || ' ' || curve AS place
FROM (
    SELECT
        run_id, estimator AS curve, observed_lo AS lo, observed_hi AS hi,
        if(observed IS NULL, NULL, greatest(0, least(1, observed))) AS value
    FROM calibration_curves
    UNION ALL SELECT run_id, 'error', error_lo, error_hi, error FROM retention_curves
    UNION ALL SELECT run_id, 'brier', brier_lo, brier_hi, brier FROM retention_curves
)
WHERE (value IS NULL AND lo IS NOT NULL) OR lo > value OR value > hi OR lo < 0 OR hi > 1 + 1e-9;

SELECT 'every run has a retention curve that ends with all' AS rule, run_id AS place
FROM runs WHERE run_id NOT IN (SELECT run_id FROM retention_curves WHERE retained = 1);

SELECT 'entropies add up' AS rule, run_id || ' ' || recording_code AS place FROM predictions
WHERE abs(predictive_entropy - expected_entropy - mutual_information) > 1e-9
    OR predictive_entropy > ln(2) + 1e-9 OR mutual_information < 0;

SELECT 'instability is about every recording, or nothing' AS rule, i.run_id AS place
FROM (SELECT run_id, count(*) AS n FROM instability_subjects GROUP BY run_id) AS i
JOIN (SELECT run_id, count(*) AS n FROM predictions GROUP BY run_id) AS p ON p.run_id = i.run_id
WHERE i.n <> p.n OR i.run_id NOT IN (SELECT run_id FROM instability_summary);

SELECT 'instability lies in its bounds' AS rule, run_id || ' ' || recording_code AS place FROM instability_subjects
WHERE p_lo > p_hi OR mape NOT BETWEEN 0 AND 1 OR flip_rate_05 NOT BETWEEN 0 AND 1 OR flip_rate_50 NOT BETWEEN 0 AND 1;

SELECT 'importances of a model add up to 1' AS rule, run_id AS place
FROM feature_importances WHERE kind = 'model' GROUP BY run_id
HAVING min(n) = max(n) AND abs(sum(mean) - 1) > 1e-3;

SELECT 'correlations lie in -1 to 1, inflation from 1 on' AS rule, feature AS place
FROM (
    SELECT feature_a AS feature, pearson AS value FROM feature_correlations
    UNION ALL SELECT feature_a, spearman FROM feature_correlations
    UNION ALL SELECT feature, 1 / vif FROM feature_vif
)
WHERE abs(value) > 1 + 1e-9;

SELECT 'a pair''s difference is that of its estimates' AS rule, c.metric || ' ' || c.run_id_a || ' ' || c.run_id_b AS place
FROM pairwise_comparisons AS c
JOIN metric_estimates AS a ON a.run_id = c.run_id_a AND a.metric = c.metric AND a.estimator = 'oob'
JOIN metric_estimates AS b ON b.run_id = c.run_id_b AND b.metric = c.metric AND b.estimator = 'oob'
WHERE abs(c.difference - (a.estimate - b.estimate)) > 1e-9;

SELECT 'a difference lies in its interval, a p value in 0 to 1' AS rule, metric || ' ' || place AS place
FROM (
    SELECT metric, run_id_a || ' ' || run_id_b AS place, difference, lo, hi, p, p_holm, p_bh FROM pairwise_comparisons
    UNION ALL SELECT metric, factor || ' ' || method, effect, lo, hi, p, p_holm, p_bh FROM method_effects
)
WHERE difference NOT BETWEEN lo - 1e-9 AND hi + 1e-9 OR p NOT BETWEEN 0 AND 1
    OR p_holm < p - 1e-12 OR p_bh < p - 1e-12 OR p_bh > p_holm + 1e-12;

SELECT 'every confidence set holds something' AS rule, metric AS place
FROM confidence_set GROUP BY metric HAVING NOT bool_or(included);

SELECT 'the champion is first on the leaderboard' AS rule, metric || ' ' || run_id AS place
FROM winners_curse WHERE run_id NOT IN (SELECT run_id FROM v_leaderboard WHERE rank = 1);

SELECT 'shares of variance add up' AS rule, metric || ' ' || featurization AS place
FROM variance_decomposition GROUP BY metric, featurization
HAVING abs(sum(eta_squared) FILTER (factor <> 'total') - 1) > 1e-6;

SELECT 'every run has its file, and no other has' AS rule, coalesce(r.run_id, f.run_id) AS place
FROM runs AS r FULL JOIN run_files AS f ON f.run_id = r.run_id
WHERE r.run_id IS NULL OR f.run_id IS NULL;

SELECT 'an empty baseline has a reason' AS rule, run_id AS place
FROM baseline_metrics WHERE (run_id IN (SELECT run_id FROM runs)) = (reason IS NOT NULL);
