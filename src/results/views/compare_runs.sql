-- One row per metric with influence values: the difference between any two runs, paired by subject.
-- The p value is that of a normal distribution to 1e-7 (Abramowitz & Stegun 26.2.17).
CREATE MACRO compare_runs(run_a, run_b) AS TABLE
WITH subjects AS (
    SELECT DISTINCT subject_code, y FROM predictions WHERE run_id = run_a
),
differences AS (
    SELECT a.metric, s.y, a.influence - b.influence AS influence
    FROM subject_influence AS a
    JOIN subject_influence AS b ON b.metric = a.metric AND b.subject_code = a.subject_code
    JOIN subjects AS s ON s.subject_code = a.subject_code
    WHERE a.run_id = run_a AND b.run_id = run_b AND a.influence IS NOT NULL AND b.influence IS NOT NULL
),
classes AS (
    SELECT metric, y, count(*) AS n, var_samp(influence) AS variance FROM differences GROUP BY metric, y
),
errors AS (
    SELECT metric, sqrt(sum(n * variance)) / sum(n) AS se
    FROM classes GROUP BY metric HAVING count(*) = 2 AND min(n) >= 2
),
estimates AS (
    SELECT a.metric, a.estimate AS estimate_a, b.estimate AS estimate_b, a.estimate - b.estimate AS difference
    FROM metric_estimates AS a
    JOIN metric_estimates AS b ON b.metric = a.metric AND b.estimator = a.estimator
    WHERE a.run_id = run_a AND b.run_id = run_b AND a.estimator = 'oob'
),
tests AS (
    SELECT
        e.metric, e.estimate_a, e.estimate_b, e.difference, s.se,
        abs(e.difference) / nullif(s.se, 0) AS z, 1 / (1 + 0.2316419 * z) AS t
    FROM estimates AS e
    JOIN errors AS s ON s.metric = e.metric
)
SELECT
    metric, estimate_a, estimate_b, difference, se,
    CASE WHEN se >= 1e-12 THEN difference - 1.96 * se END AS lo,
    CASE WHEN se >= 1e-12 THEN difference + 1.96 * se END AS hi,
    CASE WHEN difference IS NULL THEN NULL
        WHEN coalesce(se, 0) < 1e-12 THEN CASE WHEN difference = 0 OR metric = 'auroc' AND se IS NOT NULL THEN 1.0 END
        WHEN difference = 0 THEN 1.0
        ELSE least(1, 2 * exp(-z * z / 2) / sqrt(2 * pi()) * t * (0.319381530
        + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))) END AS p
FROM tests
ORDER BY metric;
COMMENT ON MACRO TABLE compare_runs IS 'One row per metric: difference of the out-of-bag estimates of any two runs, with standard error, 95 % interval and p value from subjects. FROM compare_runs(''run a'', ''run b'')';
