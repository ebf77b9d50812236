-- One row per run: the smoothed, uncertainty and descriptive metrics of the mean left-out predictions (estimator oob_pooled).
CREATE VIEW supplementary_metrics AS
SELECT
    r.run_id, r.featurization, r.outlier_method, r.imputation_method, r.classifier,
    any_value(e.estimate) FILTER (e.metric = 'ici') AS ici,
    any_value(e.estimate) FILTER (e.metric = 'e50') AS e50,
    any_value(e.estimate) FILTER (e.metric = 'e90') AS e90,
    any_value(e.estimate) FILTER (e.metric = 'emax') AS emax,
    any_value(e.estimate) FILTER (e.metric = 'ece10') AS ece10,
    any_value(e.estimate) FILTER (e.metric = 'aurc') AS aurc,
    any_value(e.estimate) FILTER (e.metric = 'eaurc') AS eaurc,
    any_value(e.estimate) FILTER (e.metric = 'auprc') AS auprc,
    any_value(e.estimate) FILTER (e.metric = 'sensitivity_at_50') AS sensitivity_at_50,
    any_value(e.estimate) FILTER (e.metric = 'specificity_at_50') AS specificity_at_50,
    any_value(e.estimate) FILTER (e.metric = 'ppv_at_50') AS ppv_at_50,
    any_value(e.estimate) FILTER (e.metric = 'npv_at_50') AS npv_at_50,
    any_value(e.estimate) FILTER (e.metric = 'f1_at_50') AS f1_at_50,
    any_value(e.estimate) FILTER (e.metric = 'balanced_accuracy_at_50') AS balanced_accuracy_at_50,
    any_value(e.estimate) FILTER (e.metric = 'accuracy_at_50') AS accuracy_at_50,
    any_value(e.estimate) FILTER (e.metric = 'mcc_at_50') AS mcc_at_50,
    any_value(e.estimate) FILTER (e.metric = 'ppv_adj_at_50') AS ppv_adj_at_50,
    any_value(e.estimate) FILTER (e.metric = 'npv_adj_at_50') AS npv_adj_at_50,
    any_value(e.estimate) FILTER (e.metric = 'sensitivity_youden') AS sensitivity_youden,
    any_value(e.estimate) FILTER (e.metric = 'specificity_youden') AS specificity_youden,
    any_value(e.estimate) FILTER (e.metric = 'ppv_youden') AS ppv_youden,
    any_value(e.estimate) FILTER (e.metric = 'npv_youden') AS npv_youden,
    any_value(e.estimate) FILTER (e.metric = 'f1_youden') AS f1_youden,
    any_value(e.estimate) FILTER (e.metric = 'balanced_accuracy_youden') AS balanced_accuracy_youden,
    any_value(e.estimate) FILTER (e.metric = 'accuracy_youden') AS accuracy_youden,
    any_value(e.estimate) FILTER (e.metric = 'mcc_youden') AS mcc_youden,
    any_value(e.estimate) FILTER (e.metric = 'ppv_adj_youden') AS ppv_adj_youden,
    any_value(e.estimate) FILTER (e.metric = 'npv_adj_youden') AS npv_adj_youden,
    any_value(e.estimate) FILTER (e.metric = 'threshold_youden') AS threshold_youden,
    any_value(e.estimate) FILTER (e.metric = 'tpauc') AS tpauc,
    any_value(e.estimate) FILTER (e.metric = 'tpauc_norm') AS tpauc_norm
FROM runs AS r
JOIN metric_estimates AS e ON e.run_id = r.run_id AND e.estimator = 'oob_pooled'
GROUP BY ALL
ORDER BY r.run_id;
COMMENT ON VIEW supplementary_metrics IS 'One row per run: the smoothed, uncertainty and descriptive metrics of the mean left-out predictions (estimator oob_pooled), a bagged model. Descriptive ones depend on prevalence or threshold and never rank anything.';
COMMENT ON COLUMN supplementary_metrics.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN supplementary_metrics.ici IS 'Integrated calibration index: mean of |c(p) - p|, c the loess curve of the outcome over p (local quadratic, span 0.75, one pass, not clipped).';
COMMENT ON COLUMN supplementary_metrics.e50 IS 'Median of |c(p) - p|, c the loess curve of the outcome over p.';
COMMENT ON COLUMN supplementary_metrics.e90 IS '90 % quantile (type 7) of |c(p) - p|, c the loess curve of the outcome over p.';
COMMENT ON COLUMN supplementary_metrics.emax IS 'Maximum of |c(p) - p|, c the loess curve of the outcome over p.';
COMMENT ON COLUMN supplementary_metrics.ece10 IS 'Expected calibration error: ten equal-width bins (lo, hi] of p, |observed share - mean p| weighted by the share of predictions.';
COMMENT ON COLUMN supplementary_metrics.aurc IS 'Area under the risk-coverage curve: mean over k of the error rate at 0.5 among the k most confident, confidence max(p, 1 - p).';
COMMENT ON COLUMN supplementary_metrics.eaurc IS 'AURC minus r + (1 - r) ln(1 - r), the AURC of the best ordering at the same error rate r (large n).';
COMMENT ON COLUMN supplementary_metrics.auprc IS 'Area under the precision-recall curve as average precision; descriptive: depends on the share of cases.';
COMMENT ON COLUMN supplementary_metrics.sensitivity_at_50 IS 'Share of the cases predicted positive by the rule p >= 0.5; descriptive.';
COMMENT ON COLUMN supplementary_metrics.specificity_at_50 IS 'Share of the controls predicted negative by the rule p >= 0.5; descriptive.';
COMMENT ON COLUMN supplementary_metrics.ppv_at_50 IS 'Share of cases among the predicted positives of the rule p >= 0.5, at the study''s prevalence; descriptive.';
COMMENT ON COLUMN supplementary_metrics.npv_at_50 IS 'Share of controls among the predicted negatives of the rule p >= 0.5, at the study''s prevalence; descriptive.';
COMMENT ON COLUMN supplementary_metrics.f1_at_50 IS '2 TP / (2 TP + FP + FN) of the rule p >= 0.5; descriptive.';
COMMENT ON COLUMN supplementary_metrics.balanced_accuracy_at_50 IS 'Mean of sensitivity and specificity of the rule p >= 0.5; descriptive.';
COMMENT ON COLUMN supplementary_metrics.accuracy_at_50 IS 'Share of right predictions of the rule p >= 0.5; descriptive.';
COMMENT ON COLUMN supplementary_metrics.mcc_at_50 IS 'Matthews correlation coefficient of outcome and the rule p >= 0.5; descriptive.';
COMMENT ON COLUMN supplementary_metrics.ppv_adj_at_50 IS 'PPV of the rule p >= 0.5 by Bayes at prevalence 0.0354; descriptive.';
COMMENT ON COLUMN supplementary_metrics.npv_adj_at_50 IS 'NPV of the rule p >= 0.5 by Bayes at prevalence 0.0354; descriptive.';
COMMENT ON COLUMN supplementary_metrics.sensitivity_youden IS 'Share of the cases predicted positive by the rule p >= t at Youden''s J; descriptive.';
COMMENT ON COLUMN supplementary_metrics.specificity_youden IS 'Share of the controls predicted negative by the rule p >= t at Youden''s J; descriptive.';
COMMENT ON COLUMN supplementary_metrics.ppv_youden IS 'Share of cases among the predicted positives of the rule p >= t at Youden''s J, at the study''s prevalence; descriptive.';
COMMENT ON COLUMN supplementary_metrics.npv_youden IS 'Share of controls among the predicted negatives of the rule p >= t at Youden''s J, at the study''s prevalence; descriptive.';
COMMENT ON COLUMN supplementary_metrics.f1_youden IS '2 TP / (2 TP + FP + FN) of the rule p >= t at Youden''s J; descriptive.';
COMMENT ON COLUMN supplementary_metrics.balanced_accuracy_youden IS 'Mean of sensitivity and specificity of the rule p >= t at Youden''s J; descriptive.';
COMMENT ON COLUMN supplementary_metrics.accuracy_youden IS 'Share of right predictions of the rule p >= t at Youden''s J; descriptive.';
COMMENT ON COLUMN supplementary_metrics.mcc_youden IS 'Matthews correlation coefficient of outcome and the rule p >= t at Youden''s J; descriptive.';
COMMENT ON COLUMN supplementary_metrics.ppv_adj_youden IS 'PPV of the rule p >= t at Youden''s J by Bayes at prevalence 0.0354; descriptive.';
COMMENT ON COLUMN supplementary_metrics.npv_adj_youden IS 'NPV of the rule p >= t at Youden''s J by Bayes at prevalence 0.0354; descriptive.';
COMMENT ON COLUMN supplementary_metrics.threshold_youden IS 'The predicted value t at which sensitivity + specificity of the rule p >= t is greatest; the highest of several; descriptive.';
COMMENT ON COLUMN supplementary_metrics.tpauc IS 'Area between the ROC curve and sensitivity 0.8 where specificity is at least 0.8; linear interpolation, raw area; descriptive.';
COMMENT ON COLUMN supplementary_metrics.tpauc_norm IS 'Two-way partial AUC at 0.8 and 0.8 divided by its largest value, 0.04; descriptive.';
