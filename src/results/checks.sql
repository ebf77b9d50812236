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
    UNION ALL SELECT 'identical_predictions', run_id_a FROM identical_predictions
    UNION ALL SELECT 'identical_predictions', run_id_b FROM identical_predictions
)
WHERE run_id NOT IN (SELECT run_id FROM runs);

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

SELECT 'a longer gap is part of all gaps' AS rule, g.outlier_method || ' ' || g.imputation_method AS place
FROM imputation_quality AS g
JOIN imputation_quality AS a
    ON a.outlier_method = g.outlier_method AND a.imputation_method = g.imputation_method AND a.gap = 'all'
WHERE g.n_samples > a.n_samples;

SELECT 'imputed examples are examples' AS rule, recording_code AS place
FROM example_imputations WHERE recording_code NOT IN (SELECT recording_code FROM example_recordings);

SELECT 'features belong to a classified recording' AS rule, recording_code AS place
FROM feature_values WHERE recording_code NOT IN (SELECT recording_code FROM predictions);
