-- One row per run, population and threshold: the out-of-bag decision curve against treating everybody or nobody.
CREATE VIEW v_decision AS
SELECT
    r.run_id, r.kind, r.featurization, r.outlier_method, r.imputation_method, r.classifier,
    d.population, d.threshold, d.net_benefit, d.treat_all, 0.0::DOUBLE AS treat_none, d.net_benefit_pop_unshifted,
    d.net_benefit - greatest(d.treat_all, 0) AS advantage
FROM decision_curves AS d
JOIN runs AS r ON r.run_id = d.run_id
WHERE d.estimator = 'oob'
ORDER BY r.run_id, d.population, d.threshold;
COMMENT ON VIEW v_decision IS 'One row per run, population and threshold: the out-of-bag net benefit, and its advantage over treating everybody or nobody.';
COMMENT ON COLUMN v_decision.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN v_decision.kind IS 'combination, or baseline.';
COMMENT ON COLUMN v_decision.advantage IS 'Net benefit minus that of treating everybody or nobody, whichever is more; below 0 the model does harm.';
COMMENT ON COLUMN v_decision.treat_none IS 'Net benefit of treating nobody: 0 at every threshold.';
