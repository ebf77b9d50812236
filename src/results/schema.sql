-- The results database: one cohort, one set of resamples, every combination evaluated on it.
-- The only definition of its tables. Each table's comment gives its grain and, after "Key:", its unique columns;
-- extraction checks both. NULL means undefined or not stored by the program that made the run.
-- A column without a comment means the same as in the first table that has a column of its name.

CREATE TABLE provenance (
    schema_version INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL,
    source VARCHAR NOT NULL,
    unit VARCHAR,
    cohort_hash VARCHAR NOT NULL,
    resample_id VARCHAR NOT NULL,
    n_subjects INTEGER NOT NULL,
    n_recordings INTEGER NOT NULL,
    n_cases INTEGER NOT NULL,
    n_controls INTEGER NOT NULL,
    n_unlabelled INTEGER,
    n_iterations INTEGER NOT NULL,
    seed BIGINT,
    fit_on VARCHAR,
    code_commit VARCHAR,
    evaluation_code VARCHAR,
    package_versions VARCHAR,
    tracking_store VARCHAR NOT NULL,
    sweep_id VARCHAR,
    prevalence_study DOUBLE NOT NULL,
    prevalence_population DOUBLE NOT NULL,
    "foreign" BOOLEAN NOT NULL
);
COMMENT ON TABLE provenance IS 'Where the numbers come from. One row. Key: schema_version.';
COMMENT ON COLUMN provenance.schema_version IS 'Version of this schema.';
COMMENT ON COLUMN provenance.created_at IS 'When the database was built, UTC.';
COMMENT ON COLUMN provenance.source IS 'synthetic, measured or unstated. Whatever is not measured says so on every picture.';
COMMENT ON COLUMN provenance.unit IS 'Unit of the pupil diameter in the cohort: mm, px or %.';
COMMENT ON COLUMN provenance.cohort_hash IS 'Content hash of the cohort; for stores of other programs a hash of the outcomes and their number.';
COMMENT ON COLUMN provenance.resample_id IS 'Hash of the resamples all runs share; for stores of other programs a hash of their test indices.';
COMMENT ON COLUMN provenance.n_subjects IS 'Subjects with a diagnosis. Two eyes or recordings of one subject count once.';
COMMENT ON COLUMN provenance.n_recordings IS 'Recordings of the cohort: n_cases + n_controls + n_unlabelled.';
COMMENT ON COLUMN provenance.n_cases IS 'Recordings of subjects with glaucoma.';
COMMENT ON COLUMN provenance.n_controls IS 'Recordings of subjects without glaucoma.';
COMMENT ON COLUMN provenance.n_unlabelled IS 'Recordings without a diagnosis; NULL where the store does not tell.';
COMMENT ON COLUMN provenance.n_iterations IS 'Bootstrap iterations per run.';
COMMENT ON COLUMN provenance.seed IS 'Seed of the resamples; NULL where unknown.';
COMMENT ON COLUMN provenance.fit_on IS 'Recordings the stages were fitted on: unlabelled or all; NULL where unknown.';
COMMENT ON COLUMN provenance.code_commit IS 'Commits of the code that made the runs, comma separated; NULL where unknown.';
COMMENT ON COLUMN provenance.evaluation_code IS 'Digest of the sources that computed the rows of the runs: the next extraction takes over rows of the same digest.';
COMMENT ON COLUMN provenance.package_versions IS 'JSON text: package name to version of the newest run; NULL where unknown.';
COMMENT ON COLUMN provenance.tracking_store IS 'Kind of store the runs were read from: sqlite, http or mlruns folder. Never a path.';
COMMENT ON COLUMN provenance.sweep_id IS 'The sweep whose plan the coverage table holds; NULL where there was none.';
COMMENT ON COLUMN provenance.prevalence_study IS 'Share of cases among the recordings with a diagnosis, 0 to 1.';
COMMENT ON COLUMN provenance.prevalence_population IS 'Prevalence of glaucoma at 40 to 80 years, 0 to 1 (Tham 2014).';
COMMENT ON COLUMN provenance."foreign" IS 'True where the store was written by another program and lacks this one''s tags.';

CREATE TABLE methods (
    stage VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    display_name VARCHAR NOT NULL,
    category VARCHAR,
    colour VARCHAR,
    in_study BOOLEAN NOT NULL,
    runnable BOOLEAN NOT NULL,
    sort_order INTEGER NOT NULL,
    tuned_of VARCHAR
);
COMMENT ON TABLE methods IS 'Dictionary of methods. One row per stage and method of the registry. Key: stage, name.';
COMMENT ON COLUMN methods.stage IS 'outlier, imputation, features or classifier.';
COMMENT ON COLUMN methods.name IS 'Name of the method, as in every other table.';
COMMENT ON COLUMN methods.display_name IS 'Name to show in figures and reports.';
COMMENT ON COLUMN methods.category IS 'Kind of method, e.g. ground truth, foundation model, deep learning, traditional, ensemble.';
COMMENT ON COLUMN methods.colour IS 'Colour to draw it with, #rrggbb.';
COMMENT ON COLUMN methods.in_study IS 'True for the methods of the published study.';
COMMENT ON COLUMN methods.runnable IS 'True where a config existed when the database was built; for a tuned classifier that of `tuned_of`.';
COMMENT ON COLUMN methods.sort_order IS 'Order in figures and tables, ascending.';
COMMENT ON COLUMN methods.tuned_of IS 'The classifier that this one is when its parameters were searched for; NULL for all others.';

CREATE TABLE metrics (
    name VARCHAR NOT NULL,
    display_name VARCHAR NOT NULL,
    direction VARCHAR NOT NULL,
    target DOUBLE,
    domain_lo DOUBLE,
    domain_hi DOUBLE,
    kind VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    definition VARCHAR
);
COMMENT ON TABLE metrics IS 'Dictionary of metrics. One row per metric of the registry. Key: name.';
COMMENT ON COLUMN metrics.name IS 'Name of the metric, as in every other table.';
COMMENT ON COLUMN metrics.direction IS 'Which way is good: higher, lower or target; none for a number that is neither good nor bad.';
COMMENT ON COLUMN metrics.target IS 'The ideal value where direction is target, otherwise NULL.';
COMMENT ON COLUMN metrics.domain_lo IS 'Smallest possible value; NULL where unbounded.';
COMMENT ON COLUMN metrics.domain_hi IS 'Largest possible value; NULL where unbounded.';
COMMENT ON COLUMN metrics.kind IS 'essential, uncertainty, descriptive, outlier quality or imputation quality. Descriptive ones never rank.';
COMMENT ON COLUMN metrics.stage IS 'What it judges: classification, outlier_detection or imputation.';
COMMENT ON COLUMN metrics.definition IS 'How it is computed, in one line.';

CREATE TABLE runs (
    run_id VARCHAR NOT NULL,
    run_name VARCHAR,
    featurization VARCHAR NOT NULL,
    outlier_method VARCHAR NOT NULL,
    imputation_method VARCHAR NOT NULL,
    classifier VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    n_iterations INTEGER NOT NULL,
    n_subjects INTEGER NOT NULL,
    seed BIGINT,
    fit_on VARCHAR,
    started_at TIMESTAMP,
    duration_s DOUBLE,
    fit_seconds DOUBLE,
    n_unusable INTEGER,
    outlier_run_id VARCHAR,
    imputation_run_id VARCHAR,
    featurization_run_id VARCHAR,
    code_commit VARCHAR,
    tuned VARCHAR,
    caveat VARCHAR,
    unpublished_weights VARCHAR
);
COMMENT ON TABLE runs IS 'Every run whose results are in this database. One row per finished run. Key: run_id.';
COMMENT ON COLUMN runs.run_id IS 'Identifier of the run in the tracking store.';
COMMENT ON COLUMN runs.run_name IS 'Name of the run, for people. Nothing parses it.';
COMMENT ON COLUMN runs.featurization IS 'Feature set (methods.name, stage features).';
COMMENT ON COLUMN runs.outlier_method IS 'Artefact detector (methods.name, stage outlier); none for a baseline.';
COMMENT ON COLUMN runs.imputation_method IS 'Imputer (methods.name, stage imputation); none for a baseline.';
COMMENT ON COLUMN runs.classifier IS 'Classifier (methods.name, stage classifier).';
COMMENT ON COLUMN runs.kind IS 'combination, or baseline for the run on age alone.';
COMMENT ON COLUMN runs.n_iterations IS 'Bootstrap iterations.';
COMMENT ON COLUMN runs.n_subjects IS 'Subjects with a diagnosis, all of them in every run.';
COMMENT ON COLUMN runs.seed IS 'Seed of the run; NULL where unknown.';
COMMENT ON COLUMN runs.fit_on IS 'Recordings the stages before the classifier were fitted on: unlabelled or all.';
COMMENT ON COLUMN runs.started_at IS 'Start of the run, UTC.';
COMMENT ON COLUMN runs.duration_s IS 'Duration of the run in the tracking store, s.';
COMMENT ON COLUMN runs.fit_seconds IS 'Time spent fitting and predicting all iterations, s.';
COMMENT ON COLUMN runs.n_unusable IS 'Recordings without one observed sample, which got the mean curve; NULL where unknown.';
COMMENT ON COLUMN runs.outlier_run_id IS 'Run of the outlier stage it used; NULL where unlinked.';
COMMENT ON COLUMN runs.imputation_run_id IS 'Run of the imputation stage it used; NULL where unlinked.';
COMMENT ON COLUMN runs.featurization_run_id IS 'Run of the feature stage it used; NULL where unlinked.';
COMMENT ON COLUMN runs.code_commit IS 'Commit of the code that made the run; NULL where unknown.';
COMMENT ON COLUMN runs.tuned IS 'What chose the hyper-parameters, once, on all labelled subjects: the numbers of the run are optimistic. NULL where they are those of the config. Such a classifier has a name of its own.';
COMMENT ON COLUMN runs.caveat IS 'What the options of its classifier do to the numbers, in one sentence; NULL where there is nothing to say.';
COMMENT ON COLUMN runs.unpublished_weights IS 'Pretrained weights the run used that are not the published ones, with the first half of their hashes; NULL where all are, or none were used.';

CREATE TABLE excluded_runs (
    run_id VARCHAR NOT NULL,
    run_name VARCHAR,
    kind VARCHAR,
    reason VARCHAR NOT NULL,
    detail VARCHAR
);
COMMENT ON TABLE excluded_runs IS 'Runs of the store that are not in this database. One row per run left out. Key: run_id.';
COMMENT ON COLUMN excluded_runs.run_name IS 'Name of the run, for people.';
COMMENT ON COLUMN excluded_runs.kind IS 'combination, baseline, sweep or stage; NULL where the run does not say.';
COMMENT ON COLUMN excluded_runs.reason IS 'superseded, other cohort, other resamples, rejected, failed or unfinished.';
COMMENT ON COLUMN excluded_runs.detail IS 'What exactly, in one line.';

CREATE TABLE coverage (
    featurization VARCHAR NOT NULL,
    outlier_method VARCHAR NOT NULL,
    imputation_method VARCHAR NOT NULL,
    classifier VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    run_id VARCHAR,
    failed_stage VARCHAR,
    reason VARCHAR,
    inferred BOOLEAN NOT NULL
);
COMMENT ON TABLE coverage IS 'Planned against finished. One row per combination that was planned or run. Key: featurization, outlier_method, imputation_method, classifier.';
COMMENT ON COLUMN coverage.outlier_method IS 'Artefact detector (methods.name, stage outlier).';
COMMENT ON COLUMN coverage.imputation_method IS 'Imputer (methods.name, stage imputation).';
COMMENT ON COLUMN coverage.status IS 'finished, failed or missing.';
COMMENT ON COLUMN coverage.run_id IS 'The finished run (runs.run_id), or the newest failed one (excluded_runs.run_id); NULL where missing.';
COMMENT ON COLUMN coverage.failed_stage IS 'Stage in which it failed, otherwise NULL.';
COMMENT ON COLUMN coverage.reason IS 'Why it is not there, in one line; NULL where finished.';
COMMENT ON COLUMN coverage.inferred IS 'True where no plan was stored and the cell comes from the product of the levels seen.';

CREATE TABLE essential_metrics (
    run_id VARCHAR NOT NULL,
    featurization VARCHAR NOT NULL,
    outlier_method VARCHAR NOT NULL,
    imputation_method VARCHAR NOT NULL,
    classifier VARCHAR NOT NULL,
    auroc DOUBLE,
    auroc_lo DOUBLE,
    auroc_hi DOUBLE,
    auroc_refit_lo DOUBLE,
    auroc_refit_hi DOUBLE,
    brier DOUBLE,
    brier_lo DOUBLE,
    brier_hi DOUBLE,
    brier_refit_lo DOUBLE,
    brier_refit_hi DOUBLE,
    brier_scaled DOUBLE,
    cal_intercept DOUBLE,
    cal_slope DOUBLE,
    cal_slope_median DOUBLE,
    cal_intercept_joint DOUBLE,
    cal_intercept_joint_median DOUBLE,
    oe_ratio DOUBLE,
    oe_ratio_median DOUBLE,
    net_benefit_05 DOUBLE,
    net_benefit_10 DOUBLE,
    net_benefit_15 DOUBLE,
    net_benefit_20 DOUBLE,
    n_iterations INTEGER NOT NULL,
    n_subjects INTEGER NOT NULL,
    n_cases INTEGER NOT NULL
);
COMMENT ON TABLE essential_metrics IS 'The headline numbers: out-of-bag estimates (estimator oob). One row per combination. Key: run_id.';
COMMENT ON COLUMN essential_metrics.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN essential_metrics.outlier_method IS 'Artefact detector (methods.name, stage outlier).';
COMMENT ON COLUMN essential_metrics.imputation_method IS 'Imputer (methods.name, stage imputation).';
COMMENT ON COLUMN essential_metrics.auroc IS 'Area under the ROC curve: mean over iterations on the left-out subjects, 0 to 1.';
COMMENT ON COLUMN essential_metrics.auroc_lo IS 'Lower end of its 95 % sampling interval (another sample of patients).';
COMMENT ON COLUMN essential_metrics.auroc_hi IS 'Upper end of its 95 % sampling interval.';
COMMENT ON COLUMN essential_metrics.auroc_refit_lo IS '2.5 percentile over iterations: model instability, no confidence interval.';
COMMENT ON COLUMN essential_metrics.auroc_refit_hi IS '97.5 percentile over iterations: model instability, no confidence interval.';
COMMENT ON COLUMN essential_metrics.brier IS 'Brier score: mean over iterations of mean((p - y)^2) on the left-out subjects, 0 to 1, lower is better.';
COMMENT ON COLUMN essential_metrics.brier_lo IS 'Lower end of its 95 % sampling interval.';
COMMENT ON COLUMN essential_metrics.brier_hi IS 'Upper end of its 95 % sampling interval.';
COMMENT ON COLUMN essential_metrics.brier_refit_lo IS '2.5 percentile over iterations: model instability, no confidence interval.';
COMMENT ON COLUMN essential_metrics.brier_refit_hi IS '97.5 percentile over iterations: model instability, no confidence interval.';
COMMENT ON COLUMN essential_metrics.brier_scaled IS 'Scaled Brier score (IPA), 1 is perfect, 0 is the prevalence for everybody.';
COMMENT ON COLUMN essential_metrics.cal_intercept IS 'Calibration in the large, ideal 0.';
COMMENT ON COLUMN essential_metrics.cal_slope IS 'Calibration slope, ideal 1; mean over iterations.';
COMMENT ON COLUMN essential_metrics.cal_slope_median IS 'Calibration slope, median over iterations.';
COMMENT ON COLUMN essential_metrics.cal_intercept_joint IS 'Intercept fitted together with the slope, ideal 0; mean over iterations.';
COMMENT ON COLUMN essential_metrics.cal_intercept_joint_median IS 'Intercept fitted together with the slope, median over iterations.';
COMMENT ON COLUMN essential_metrics.oe_ratio IS 'Observed over expected number of cases, ideal 1; mean over iterations.';
COMMENT ON COLUMN essential_metrics.oe_ratio_median IS 'Observed over expected number of cases, median over iterations.';
COMMENT ON COLUMN essential_metrics.net_benefit_05 IS 'Net benefit of the rule p >= 0.05, per patient.';
COMMENT ON COLUMN essential_metrics.net_benefit_10 IS 'Net benefit of the rule p >= 0.10, per patient.';
COMMENT ON COLUMN essential_metrics.net_benefit_15 IS 'Net benefit of the rule p >= 0.15, per patient.';
COMMENT ON COLUMN essential_metrics.net_benefit_20 IS 'Net benefit of the rule p >= 0.20, per patient.';
COMMENT ON COLUMN essential_metrics.n_iterations IS 'Bootstrap iterations.';
COMMENT ON COLUMN essential_metrics.n_subjects IS 'Subjects with a diagnosis.';

CREATE TABLE baseline_metrics AS FROM essential_metrics LIMIT 0;
ALTER TABLE baseline_metrics ADD COLUMN reason VARCHAR;
COMMENT ON TABLE baseline_metrics IS 'What age achieves on the same resamples, alone and with the features; columns as in essential_metrics. One row per baseline run. Key: run_id.';
COMMENT ON COLUMN baseline_metrics.run_id IS 'The run (runs.run_id); a baseline without ages is in this table only.';
COMMENT ON COLUMN baseline_metrics.featurization IS 'Feature set of the baseline (methods.name, stage features), e.g. age.';
COMMENT ON COLUMN baseline_metrics.outlier_method IS 'Artefact detector (methods.name, stage outlier); none where the signal is not used.';
COMMENT ON COLUMN baseline_metrics.imputation_method IS 'Imputer (methods.name, stage imputation); none where the signal is not used.';
COMMENT ON COLUMN baseline_metrics.reason IS 'Why the row is empty, e.g. no ages; otherwise NULL.';

CREATE TABLE metric_estimates (
    run_id VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    estimator VARCHAR NOT NULL,
    estimate DOUBLE,
    estimate_median DOUBLE,
    n_defined INTEGER,
    sampling_lo DOUBLE,
    sampling_hi DOUBLE,
    sampling_method VARCHAR,
    refit_lo DOUBLE,
    refit_hi DOUBLE,
    flag VARCHAR,
    coverage_checked BOOLEAN,
    reason VARCHAR
);
COMMENT ON TABLE metric_estimates IS 'Every estimate with its own intervals. One row per run, metric and estimator. Key: run_id, metric, estimator.';
COMMENT ON COLUMN metric_estimates.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN metric_estimates.metric IS 'The metric (metrics.name).';
COMMENT ON COLUMN metric_estimates.estimator IS 'oob: mean over iterations on the left-out subjects (the headline). oob_pooled: metric of each subject''s mean left-out prediction, a bagged model. apparent: model trained and scored on everybody. optimism_corrected: apparent minus the mean optimism of the iterations (Harrell). b632, b632plus: weighted means of apparent and oob (Efron & Tibshirani).';
COMMENT ON COLUMN metric_estimates.estimate IS 'The estimate, in the unit of the metric.';
COMMENT ON COLUMN metric_estimates.estimate_median IS 'Median over iterations, where the mean is not robust.';
COMMENT ON COLUMN metric_estimates.n_defined IS 'How many values the estimate rests on: for oob iterations in which the metric is defined, for oob_pooled and apparent recordings with a prediction.';
COMMENT ON COLUMN metric_estimates.sampling_lo IS 'Lower end of the 95 % interval for another sample of patients.';
COMMENT ON COLUMN metric_estimates.sampling_hi IS 'Upper end of the 95 % interval for another sample of patients.';
COMMENT ON COLUMN metric_estimates.sampling_method IS 'How the sampling interval was computed: influence and model scatter has the variance of subject_influence plus that of the sample''s own models.';
COMMENT ON COLUMN metric_estimates.refit_lo IS '2.5 percentile over iterations: model instability, no confidence interval.';
COMMENT ON COLUMN metric_estimates.refit_hi IS '97.5 percentile over iterations: model instability, no confidence interval.';
COMMENT ON COLUMN metric_estimates.flag IS 'apparent_saturated where the apparent AUROC is 0.99 or more, so that the optimism is not to be trusted; otherwise NULL.';
COMMENT ON COLUMN metric_estimates.coverage_checked IS 'True where simulation covers this kind of sampling interval: it holds the truth in 92 to 98 % of samples.';
COMMENT ON COLUMN metric_estimates.reason IS 'Why a value of this row is NULL, or what its values leave out, e.g. recordings that no iteration left out; otherwise NULL.';

CREATE TABLE iteration_metrics (
    run_id VARCHAR NOT NULL,
    iteration INTEGER NOT NULL,
    auroc DOUBLE,
    auprc DOUBLE,
    brier DOUBLE,
    brier_scaled DOUBLE,
    cal_intercept DOUBLE,
    cal_slope DOUBLE,
    cal_intercept_joint DOUBLE,
    oe_ratio DOUBLE,
    net_benefit_05 DOUBLE,
    net_benefit_10 DOUBLE,
    net_benefit_15 DOUBLE,
    net_benefit_20 DOUBLE,
    n_clipped INTEGER NOT NULL,
    n_left_out INTEGER NOT NULL
);
COMMENT ON TABLE iteration_metrics IS 'Metrics on the recordings each iteration left out. Iterations are not observations: no test may divide by their number. One row per run and iteration. Key: run_id, iteration.';
COMMENT ON COLUMN iteration_metrics.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN iteration_metrics.iteration IS 'Bootstrap iteration, from 0; the same number is the same resample in every run.';
COMMENT ON COLUMN iteration_metrics.auroc IS 'Area under the ROC curve, 0 to 1.';
COMMENT ON COLUMN iteration_metrics.auprc IS 'Area under the precision-recall curve as average precision, 0 to 1; descriptive.';
COMMENT ON COLUMN iteration_metrics.brier IS 'Brier score, 0 to 1.';
COMMENT ON COLUMN iteration_metrics.brier_scaled IS 'Scaled Brier score (IPA), at most 1.';
COMMENT ON COLUMN iteration_metrics.cal_slope IS 'Calibration slope, ideal 1; NULL under constant p or perfect separation.';
COMMENT ON COLUMN iteration_metrics.cal_intercept_joint IS 'Intercept fitted together with the slope, ideal 0.';
COMMENT ON COLUMN iteration_metrics.oe_ratio IS 'Observed over expected number of cases, ideal 1.';
COMMENT ON COLUMN iteration_metrics.n_clipped IS 'Left-out probabilities of exactly 0 or 1, clipped before the logit.';
COMMENT ON COLUMN iteration_metrics.n_left_out IS 'Recordings left out of the iteration.';

CREATE TABLE predictions (
    run_id VARCHAR NOT NULL,
    recording_code VARCHAR NOT NULL,
    subject_code VARCHAR NOT NULL,
    y TINYINT NOT NULL,
    p_apparent DOUBLE,
    p_oob DOUBLE,
    p_oob_sd DOUBLE,
    n_oob INTEGER NOT NULL,
    predictive_entropy DOUBLE,
    expected_entropy DOUBLE,
    mutual_information DOUBLE
);
COMMENT ON TABLE predictions IS 'Predicted probability of glaucoma. One row per run and labelled recording. Key: run_id, recording_code.';
COMMENT ON COLUMN predictions.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN predictions.recording_code IS 'Anonymous code of the recording.';
COMMENT ON COLUMN predictions.subject_code IS 'Anonymous code of the subject, who may have several recordings.';
COMMENT ON COLUMN predictions.y IS 'Outcome: 1 glaucoma, 0 control.';
COMMENT ON COLUMN predictions.p_apparent IS 'Probability from the model trained on everybody; NULL where not stored.';
COMMENT ON COLUMN predictions.p_oob IS 'Mean probability over the iterations that left the recording out; NULL if none did.';
COMMENT ON COLUMN predictions.p_oob_sd IS 'Standard deviation of that probability over those iterations (n - 1); NULL below two.';
COMMENT ON COLUMN predictions.n_oob IS 'Iterations that left the recording out.';
COMMENT ON COLUMN predictions.predictive_entropy IS 'Entropy of p_oob in nats, 0 to ln 2: how undecided the models are together.';
COMMENT ON COLUMN predictions.expected_entropy IS 'Mean entropy of the single models'' probabilities in nats: how undecided each is.';
COMMENT ON COLUMN predictions.mutual_information IS 'predictive_entropy - expected_entropy: how much the models disagree.';

CREATE TABLE roc_curves (
    run_id VARCHAR NOT NULL,
    estimator VARCHAR NOT NULL,
    point INTEGER NOT NULL,
    fpr DOUBLE NOT NULL,
    tpr DOUBLE,
    tpr_lo DOUBLE,
    tpr_hi DOUBLE,
    threshold DOUBLE
);
COMMENT ON TABLE roc_curves IS 'ROC curves. One row per run, estimator and point along the curve. Key: run_id, estimator, point.';
COMMENT ON COLUMN roc_curves.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN roc_curves.estimator IS 'oob: mean over iterations on 101 fixed false positive rates; oob_pooled and apparent: empirical.';
COMMENT ON COLUMN roc_curves.point IS 'Number of the point, from 0 at the lower left.';
COMMENT ON COLUMN roc_curves.fpr IS 'False positive rate, 0 to 1.';
COMMENT ON COLUMN roc_curves.tpr IS 'True positive rate, 0 to 1.';
COMMENT ON COLUMN roc_curves.tpr_lo IS '2.5 percentile of the true positive rate over iterations (refit band, oob only).';
COMMENT ON COLUMN roc_curves.tpr_hi IS '97.5 percentile of the true positive rate over iterations (refit band, oob only).';
COMMENT ON COLUMN roc_curves.threshold IS 'Smallest probability called positive; NULL for oob and for the point where nobody is.';

CREATE TABLE calibration_curves (
    run_id VARCHAR NOT NULL,
    estimator VARCHAR NOT NULL,
    point INTEGER NOT NULL,
    p DOUBLE NOT NULL,
    observed DOUBLE,
    observed_lo DOUBLE,
    observed_hi DOUBLE
);
COMMENT ON TABLE calibration_curves IS 'Smooth calibration curves (loess, span 0.75, degree 2, one pass). One row per run, estimator and point. Key: run_id, estimator, point.';
COMMENT ON COLUMN calibration_curves.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN calibration_curves.estimator IS 'oob_pooled or apparent.';
COMMENT ON COLUMN calibration_curves.point IS 'Number of the point, from 0 at the smallest p.';
COMMENT ON COLUMN calibration_curves.p IS 'Predicted probability, 0 to 1.';
COMMENT ON COLUMN calibration_curves.observed IS 'Smoothed share of cases at p; not clipped, so it can leave 0 to 1.';
COMMENT ON COLUMN calibration_curves.observed_lo IS 'Lower end of its pointwise 95 % sampling band, 0 to 1: what other outcomes would give at these probabilities. That other patients also give another model is not in it.';
COMMENT ON COLUMN calibration_curves.observed_hi IS 'Upper end of that band, 0 to 1. No simultaneous band: of 100 points some lie outside by chance.';

CREATE TABLE calibration_bins (
    run_id VARCHAR NOT NULL,
    estimator VARCHAR NOT NULL,
    bin INTEGER NOT NULL,
    p_lo DOUBLE NOT NULL,
    p_hi DOUBLE NOT NULL,
    p_mean DOUBLE NOT NULL,
    observed DOUBLE NOT NULL,
    n INTEGER NOT NULL
);
COMMENT ON TABLE calibration_bins IS 'Calibration in groups of equal size by predicted probability. One row per run, estimator and group. Key: run_id, estimator, bin.';
COMMENT ON COLUMN calibration_bins.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN calibration_bins.estimator IS 'oob_pooled or apparent.';
COMMENT ON COLUMN calibration_bins.bin IS 'Number of the group, from 0 at the smallest p.';
COMMENT ON COLUMN calibration_bins.p_lo IS 'Smallest probability in the group.';
COMMENT ON COLUMN calibration_bins.p_hi IS 'Largest probability in the group.';
COMMENT ON COLUMN calibration_bins.p_mean IS 'Mean probability in the group.';
COMMENT ON COLUMN calibration_bins.observed IS 'Share of cases in the group, 0 to 1.';
COMMENT ON COLUMN calibration_bins.n IS 'Recordings in the group.';

CREATE TABLE decision_curves (
    run_id VARCHAR NOT NULL,
    estimator VARCHAR NOT NULL,
    population VARCHAR NOT NULL,
    threshold DOUBLE NOT NULL,
    net_benefit DOUBLE,
    treat_all DOUBLE,
    net_benefit_pop_unshifted DOUBLE
);
COMMENT ON TABLE decision_curves IS 'Decision curves; treating nobody has net benefit 0. One row per run, estimator, population and threshold. Key: run_id, estimator, population, threshold.';
COMMENT ON COLUMN decision_curves.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN decision_curves.estimator IS 'oob, oob_pooled or apparent.';
COMMENT ON COLUMN decision_curves.population IS 'study: prevalence of the study; population: probabilities moved to, and rates weighted by, the population''s prevalence.';
COMMENT ON COLUMN decision_curves.threshold IS 'Threshold probability t of the rule p >= t, 0.01 to 0.99.';
COMMENT ON COLUMN decision_curves.net_benefit IS 'Net benefit per patient.';
COMMENT ON COLUMN decision_curves.treat_all IS 'Net benefit per patient of treating everybody.';
COMMENT ON COLUMN decision_curves.net_benefit_pop_unshifted IS 'Net benefit at the population''s prevalence of the study''s probabilities unchanged; NULL for study.';

CREATE TABLE probability_distributions (
    run_id VARCHAR NOT NULL,
    y TINYINT NOT NULL,
    bin INTEGER NOT NULL,
    p_lo DOUBLE NOT NULL,
    p_hi DOUBLE NOT NULL,
    n INTEGER NOT NULL,
    share DOUBLE
);
COMMENT ON TABLE probability_distributions IS 'Histogram of predictions.p_oob per outcome class, twenty equal bins. One row per run, class and bin. Key: run_id, y, bin.';
COMMENT ON COLUMN probability_distributions.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN probability_distributions.bin IS 'Number of the bin, 0 to 19.';
COMMENT ON COLUMN probability_distributions.p_lo IS 'Lower edge of the bin, included.';
COMMENT ON COLUMN probability_distributions.p_hi IS 'Upper edge of the bin, excluded except in the last.';
COMMENT ON COLUMN probability_distributions.n IS 'Recordings of the class in the bin.';
COMMENT ON COLUMN probability_distributions.share IS 'Share of the class in the bin; sums to 1 over the bins. NULL where nobody of the class was ever left out.';

CREATE TABLE subject_influence (
    run_id VARCHAR NOT NULL,
    subject_code VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    influence DOUBLE
);
COMMENT ON TABLE subject_influence IS 'How much each subject pulls on the out-of-bag estimate: makes every pair of runs, and every mean over runs, comparable by subject. One row per run, subject and metric. Key: run_id, subject_code, metric.';
COMMENT ON COLUMN subject_influence.influence IS 'Influence of the subject on the oob estimate, in the unit of the metric; about 0 on average in each class. Its standard error: sqrt(sum over classes of n_class var_class) / n. NULL where undefined.';

CREATE TABLE retention_curves (
    run_id VARCHAR NOT NULL,
    point INTEGER NOT NULL,
    retained DOUBLE NOT NULL,
    auroc DOUBLE,
    brier DOUBLE,
    brier_lo DOUBLE,
    brier_hi DOUBLE,
    error DOUBLE,
    error_lo DOUBLE,
    error_hi DOUBLE
);
COMMENT ON TABLE retention_curves IS 'How good the predictions are when only the most confident are kept (predictions.p_oob, most confident first). One row per run and point. Key: run_id, point.';
COMMENT ON COLUMN retention_curves.point IS 'Number of the point, from 0 at the fewest kept.';
COMMENT ON COLUMN retention_curves.retained IS 'Share of the recordings kept, above 0 to 1; at 1 the values are the oob_pooled estimates.';
COMMENT ON COLUMN retention_curves.auroc IS 'Area under the ROC curve of those kept; NULL where a class is absent.';
COMMENT ON COLUMN retention_curves.brier IS 'Brier score of those kept.';
COMMENT ON COLUMN retention_curves.brier_lo IS 'Lower end of its pointwise 95 % sampling band (Wilson for the weighted share of errors, the recordings of a subject counted as one), given which predictions are kept.';
COMMENT ON COLUMN retention_curves.brier_hi IS 'Upper end of that band.';
COMMENT ON COLUMN retention_curves.error IS 'Share of those kept on whose class the rule p >= 0.5 is wrong: the risk of the risk-coverage curve.';
COMMENT ON COLUMN retention_curves.error_lo IS 'Lower end of its pointwise 95 % sampling band (Wilson, the recordings of a subject counted as one), given which predictions are kept.';
COMMENT ON COLUMN retention_curves.error_hi IS 'Upper end of that band.';

CREATE TABLE instability_subjects (
    run_id VARCHAR NOT NULL,
    recording_code VARCHAR NOT NULL,
    mape DOUBLE,
    p_lo DOUBLE,
    p_hi DOUBLE,
    flip_rate_05 DOUBLE,
    flip_rate_10 DOUBLE,
    flip_rate_15 DOUBLE,
    flip_rate_20 DOUBLE,
    flip_rate_50 DOUBLE
);
COMMENT ON TABLE instability_subjects IS 'How far the bootstrap models scatter about the model trained on everybody, all of them predicting every recording (Riley & Collins 2023). No rows for runs that store left-out predictions only. One row per run and recording. Key: run_id, recording_code.';
COMMENT ON COLUMN instability_subjects.mape IS 'Mean absolute difference of the bootstrap models'' probabilities from p_apparent.';
COMMENT ON COLUMN instability_subjects.p_lo IS '2.5 percentile of the bootstrap models'' probabilities: model instability, no confidence interval.';
COMMENT ON COLUMN instability_subjects.p_hi IS '97.5 percentile of the bootstrap models'' probabilities.';
COMMENT ON COLUMN instability_subjects.flip_rate_05 IS 'Share of the bootstrap models whose class at p >= 0.05 is not that of the original model.';
COMMENT ON COLUMN instability_subjects.flip_rate_10 IS 'The same at p >= 0.10.';
COMMENT ON COLUMN instability_subjects.flip_rate_15 IS 'The same at p >= 0.15.';
COMMENT ON COLUMN instability_subjects.flip_rate_20 IS 'The same at p >= 0.20.';
COMMENT ON COLUMN instability_subjects.flip_rate_50 IS 'The same at p >= 0.50.';

CREATE TABLE instability_curves (
    run_id VARCHAR NOT NULL,
    curve VARCHAR NOT NULL,
    point INTEGER NOT NULL,
    x DOUBLE NOT NULL,
    lo DOUBLE,
    median DOUBLE,
    hi DOUBLE,
    original DOUBLE
);
COMMENT ON TABLE instability_curves IS 'Scatter of the bootstrap models'' curves, each model scored on everybody. One row per run, curve and point. Key: run_id, curve, point.';
COMMENT ON COLUMN instability_curves.curve IS 'calibration: logistic recalibration curve expit(a + b logit p); decision: net benefit.';
COMMENT ON COLUMN instability_curves.point IS 'Number of the point, from 0 at the smallest x.';
COMMENT ON COLUMN instability_curves.x IS 'Predicted probability (calibration) or threshold (decision).';
COMMENT ON COLUMN instability_curves.lo IS '2.5 percentile over the bootstrap models.';
COMMENT ON COLUMN instability_curves.median IS 'Median over the bootstrap models.';
COMMENT ON COLUMN instability_curves.hi IS '97.5 percentile over the bootstrap models.';
COMMENT ON COLUMN instability_curves.original IS 'The model trained on everybody.';

CREATE TABLE instability_summary (
    run_id VARCHAR NOT NULL,
    mape_mean DOUBLE,
    mape_max DOUBLE,
    flip_rate_05_mean DOUBLE,
    flip_rate_10_mean DOUBLE,
    flip_rate_15_mean DOUBLE,
    flip_rate_20_mean DOUBLE,
    flip_rate_50_mean DOUBLE,
    auroc_lo DOUBLE,
    auroc_hi DOUBLE,
    brier_lo DOUBLE,
    brier_hi DOUBLE,
    cal_intercept_lo DOUBLE,
    cal_intercept_hi DOUBLE,
    cal_slope_lo DOUBLE,
    cal_slope_hi DOUBLE,
    oe_ratio_lo DOUBLE,
    oe_ratio_hi DOUBLE
);
COMMENT ON TABLE instability_summary IS 'Instability of a run in a few numbers: means over instability_subjects, and what the bootstrap models achieve on everybody. One row per run. Key: run_id.';
COMMENT ON COLUMN instability_summary.mape_mean IS 'Mean over the recordings of their mean absolute difference from the original model.';
COMMENT ON COLUMN instability_summary.mape_max IS 'The largest of those differences.';
COMMENT ON COLUMN instability_summary.flip_rate_05_mean IS 'Mean over the recordings of flip_rate_05.';
COMMENT ON COLUMN instability_summary.flip_rate_10_mean IS 'Mean over the recordings of flip_rate_10.';
COMMENT ON COLUMN instability_summary.flip_rate_15_mean IS 'Mean over the recordings of flip_rate_15.';
COMMENT ON COLUMN instability_summary.flip_rate_20_mean IS 'Mean over the recordings of flip_rate_20.';
COMMENT ON COLUMN instability_summary.flip_rate_50_mean IS 'Mean over the recordings of flip_rate_50.';
COMMENT ON COLUMN instability_summary.auroc_lo IS '2.5 percentile over the bootstrap models of the AUROC on everybody: model instability, no confidence interval.';
COMMENT ON COLUMN instability_summary.auroc_hi IS '97.5 percentile over the bootstrap models of the AUROC on everybody: model instability, no confidence interval.';
COMMENT ON COLUMN instability_summary.brier_lo IS '2.5 percentile over the bootstrap models of the Brier score on everybody: model instability, no confidence interval.';
COMMENT ON COLUMN instability_summary.brier_hi IS '97.5 percentile over the bootstrap models of the Brier score on everybody: model instability, no confidence interval.';
COMMENT ON COLUMN instability_summary.cal_intercept_lo IS '2.5 percentile over the bootstrap models of the calibration in the large on everybody: model instability, no confidence interval.';
COMMENT ON COLUMN instability_summary.cal_intercept_hi IS '97.5 percentile over the bootstrap models of the calibration in the large on everybody: model instability, no confidence interval.';
COMMENT ON COLUMN instability_summary.cal_slope_lo IS '2.5 percentile over the bootstrap models of the calibration slope on everybody: model instability, no confidence interval.';
COMMENT ON COLUMN instability_summary.cal_slope_hi IS '97.5 percentile over the bootstrap models of the calibration slope on everybody: model instability, no confidence interval.';
COMMENT ON COLUMN instability_summary.oe_ratio_lo IS '2.5 percentile over the bootstrap models of the observed over expected on everybody: model instability, no confidence interval.';
COMMENT ON COLUMN instability_summary.oe_ratio_hi IS '97.5 percentile over the bootstrap models of the observed over expected on everybody: model instability, no confidence interval.';

CREATE TABLE feature_importances (
    run_id VARCHAR NOT NULL,
    feature VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    mean DOUBLE,
    sd DOUBLE,
    lo DOUBLE,
    hi DOUBLE,
    n INTEGER NOT NULL
);
COMMENT ON TABLE feature_importances IS 'What the models rest on, with its scatter over the iterations. One row per run, feature and kind. Key: run_id, feature, kind.';
COMMENT ON COLUMN feature_importances.feature IS 'Name of the feature, with its unit.';
COMMENT ON COLUMN feature_importances.kind IS 'model: the classifier''s own, normalised to sum 1. permutation: drop of the left-out AUROC when the feature is permuted among the left-out recordings.';
COMMENT ON COLUMN feature_importances.mean IS 'Mean over the iterations in which it is defined.';
COMMENT ON COLUMN feature_importances.sd IS 'Standard deviation over those iterations (n - 1); NULL below two.';
COMMENT ON COLUMN feature_importances.lo IS '2.5 percentile over those iterations: model instability, no confidence interval.';
COMMENT ON COLUMN feature_importances.hi IS '97.5 percentile over those iterations.';
COMMENT ON COLUMN feature_importances.n IS 'Iterations in which it is defined.';

CREATE TABLE unavailable (
    run_id VARCHAR NOT NULL,
    quantity VARCHAR NOT NULL,
    n_missing INTEGER NOT NULL,
    reason VARCHAR NOT NULL
);
COMMENT ON TABLE unavailable IS 'What the rows of a run lack, beside its estimates (metric_estimates.reason). One row per run and quantity. Key: run_id, quantity.';
COMMENT ON COLUMN unavailable.quantity IS 'A table, or table.column.';
COMMENT ON COLUMN unavailable.n_missing IS 'Rows of the run in which it is NULL; 0 where the run has no rows for it at all.';
COMMENT ON COLUMN unavailable.reason IS 'Why.';

CREATE TABLE outlier_quality (
    outlier_method VARCHAR NOT NULL,
    artefact_type VARCHAR NOT NULL,
    n_samples BIGINT NOT NULL,
    n_artefact BIGINT NOT NULL,
    tp BIGINT NOT NULL,
    fp BIGINT,
    fn BIGINT NOT NULL,
    tn BIGINT,
    "precision" DOUBLE,
    recall DOUBLE,
    f1 DOUBLE,
    fpr DOUBLE,
    f1_random DOUBLE,
    fit_on VARCHAR,
    evaluated_on VARCHAR,
    run_id VARCHAR NOT NULL,
    duration_s DOUBLE
);
COMMENT ON TABLE outlier_quality IS 'How well detectors find artefacts, in samples, against the truth mask. One row per detector and artefact type. Key: outlier_method, artefact_type.';
COMMENT ON COLUMN outlier_quality.outlier_method IS 'Artefact detector (methods.name, stage outlier).';
COMMENT ON COLUMN outlier_quality.artefact_type IS 'all, or one type of artefact.';
COMMENT ON COLUMN outlier_quality.n_samples IS 'Samples judged.';
COMMENT ON COLUMN outlier_quality.n_artefact IS 'Artefact samples (of that type): tp + fn.';
COMMENT ON COLUMN outlier_quality.tp IS 'Artefact samples flagged.';
COMMENT ON COLUMN outlier_quality.fp IS 'Clean samples flagged; a false alarm has no type, so NULL in the rows of a type.';
COMMENT ON COLUMN outlier_quality.fn IS 'Artefact samples not flagged.';
COMMENT ON COLUMN outlier_quality.tn IS 'Clean samples not flagged.';
COMMENT ON COLUMN outlier_quality."precision" IS 'tp / (tp + fp), 0 to 1; NULL where nothing was flagged.';
COMMENT ON COLUMN outlier_quality.recall IS 'tp / (tp + fn), 0 to 1; NULL where there is no artefact.';
COMMENT ON COLUMN outlier_quality.f1 IS 'Harmonic mean of precision and recall, 0 to 1.';
COMMENT ON COLUMN outlier_quality.fpr IS 'fp / (fp + tn), 0 to 1.';
COMMENT ON COLUMN outlier_quality.f1_random IS 'Expected F1 of a random mask that flags as many samples of every recording; NULL in the rows of a type.';
COMMENT ON COLUMN outlier_quality.fit_on IS 'Recordings the detector was fitted on: unlabelled or all.';
COMMENT ON COLUMN outlier_quality.evaluated_on IS 'held-out where judged on recordings it was not fitted on, otherwise fitted.';
COMMENT ON COLUMN outlier_quality.run_id IS 'Run of the outlier stage in the tracking store.';
COMMENT ON COLUMN outlier_quality.duration_s IS 'Time to fit and detect on the whole cohort, s.';

CREATE TABLE hippus_probe (
    outlier_method VARCHAR NOT NULL,
    n_recordings INTEGER NOT NULL,
    n_samples BIGINT NOT NULL,
    n_flagged BIGINT NOT NULL,
    share_flagged DOUBLE,
    fit_on VARCHAR,
    run_id VARCHAR NOT NULL
);
COMMENT ON TABLE hippus_probe IS 'What detectors, fitted on the cohort, flag in synthetic recordings of hippus and noise alone, without light or artefacts: false alarms, all of it. Synthetic whatever the cohort is. One row per detector. Key: outlier_method.';
COMMENT ON COLUMN hippus_probe.outlier_method IS 'Artefact detector (methods.name, stage outlier).';
COMMENT ON COLUMN hippus_probe.n_recordings IS 'Synthetic recordings, as long as those of the cohort.';
COMMENT ON COLUMN hippus_probe.n_samples IS 'Their samples.';
COMMENT ON COLUMN hippus_probe.n_flagged IS 'Samples flagged.';
COMMENT ON COLUMN hippus_probe.share_flagged IS 'n_flagged / n_samples, 0 to 1.';
COMMENT ON COLUMN hippus_probe.fit_on IS 'Recordings of the cohort the detector was fitted on: unlabelled or all.';
COMMENT ON COLUMN hippus_probe.run_id IS 'Run of the outlier stage in the tracking store.';

CREATE TABLE imputation_quality (
    outlier_method VARCHAR NOT NULL,
    imputation_method VARCHAR NOT NULL,
    gap VARCHAR NOT NULL,
    n_samples BIGINT NOT NULL,
    mae DOUBLE,
    mre DOUBLE,
    mse DOUBLE,
    mae_linear DOUBLE,
    mre_linear DOUBLE,
    mse_linear DOUBLE,
    fit_on VARCHAR,
    evaluated_on VARCHAR,
    unit VARCHAR,
    run_id VARCHAR NOT NULL,
    duration_s DOUBLE
);
COMMENT ON TABLE imputation_quality IS 'How close imputed samples come to the clean signal. One row per detector, imputer and kind of gap. Key: outlier_method, imputation_method, gap.';
COMMENT ON COLUMN imputation_quality.outlier_method IS 'Artefact detector whose mask was imputed (methods.name, stage outlier).';
COMMENT ON COLUMN imputation_quality.imputation_method IS 'Imputer (methods.name, stage imputation).';
COMMENT ON COLUMN imputation_quality.gap IS 'all, up to 0.3 s, 0.3 to 1 s, or longer than 1 s.';
COMMENT ON COLUMN imputation_quality.n_samples IS 'Imputed samples judged.';
COMMENT ON COLUMN imputation_quality.mae IS 'Mean absolute error, in the unit column''s unit.';
COMMENT ON COLUMN imputation_quality.mre IS 'Mean relative error: sum of absolute errors over sum of absolute true values.';
COMMENT ON COLUMN imputation_quality.mse IS 'Mean squared error, in that unit squared.';
COMMENT ON COLUMN imputation_quality.mae_linear IS 'What linear interpolation achieves in the same gaps: its mean absolute error.';
COMMENT ON COLUMN imputation_quality.mre_linear IS 'Mean relative error of linear interpolation in the same gaps.';
COMMENT ON COLUMN imputation_quality.mse_linear IS 'Mean squared error of linear interpolation in the same gaps.';
COMMENT ON COLUMN imputation_quality.fit_on IS 'Recordings the imputer was fitted on: unlabelled or all.';
COMMENT ON COLUMN imputation_quality.unit IS 'Unit of the pupil diameter: mm, px or %.';
COMMENT ON COLUMN imputation_quality.run_id IS 'Run of the imputation stage in the tracking store.';
COMMENT ON COLUMN imputation_quality.duration_s IS 'Time to fit and impute the whole cohort, s.';

CREATE TABLE ensemble_members (
    stage VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    outlier_method VARCHAR NOT NULL,
    member VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    reason VARCHAR,
    quality DOUBLE,
    run_id VARCHAR NOT NULL
);
COMMENT ON TABLE ensemble_members IS 'What the ensembles are made of: the name of an ensemble says who could be in it, these rows who is. One row per ensemble, detector before it and member. Key: stage, method, outlier_method, member.';
COMMENT ON COLUMN ensemble_members.stage IS 'outlier or imputation.';
COMMENT ON COLUMN ensemble_members.method IS 'The ensemble (methods.name).';
COMMENT ON COLUMN ensemble_members.outlier_method IS 'For an ensemble of imputers the detector before it (methods.name, stage outlier); none for an ensemble of detectors.';
COMMENT ON COLUMN ensemble_members.member IS 'The member (methods.name, the same stage).';
COMMENT ON COLUMN ensemble_members.status IS 'used; not kept, where it was measured and not good enough; left out, where it cannot run on the machine that made the run.';
COMMENT ON COLUMN ensemble_members.reason IS 'Why it is not used; NULL where it is.';
COMMENT ON COLUMN ensemble_members.quality IS 'F1 by which it was kept or not: of a copy fitted on a part of the recordings to fit on, measured on the rest of them. NULL where members are not measured.';
COMMENT ON COLUMN ensemble_members.run_id IS 'Run of the ensemble''s stage in the tracking store.';

CREATE TABLE example_recordings (
    recording_code VARCHAR NOT NULL,
    sample INTEGER NOT NULL,
    time_s DOUBLE NOT NULL,
    raw DOUBLE,
    truth DOUBLE,
    truth_mask BOOLEAN
);
COMMENT ON TABLE example_recordings IS 'A few recordings to look at. One row per recording and sample. Key: recording_code, sample.';
COMMENT ON COLUMN example_recordings.sample IS 'Number of the sample, from 0.';
COMMENT ON COLUMN example_recordings.time_s IS 'Time since the start of the recording, s.';
COMMENT ON COLUMN example_recordings.raw IS 'Pupil diameter as recorded, in provenance.unit; NULL where lost.';
COMMENT ON COLUMN example_recordings.truth IS 'Clean pupil diameter, in provenance.unit; NULL where the cohort has no truth.';
COMMENT ON COLUMN example_recordings.truth_mask IS 'True where the sample is an artefact; NULL where the cohort has no truth.';

CREATE TABLE example_light (
    recording_code VARCHAR NOT NULL,
    colour VARCHAR NOT NULL,
    onset_s DOUBLE,
    offset_s DOUBLE
);
COMMENT ON TABLE example_light IS 'Light pulses of the example recordings. One row per recording and colour. Key: recording_code, colour.';
COMMENT ON COLUMN example_light.colour IS 'Colour of the light, e.g. blue or red.';
COMMENT ON COLUMN example_light.onset_s IS 'Light on, s since the start of the recording.';
COMMENT ON COLUMN example_light.offset_s IS 'Light off, s since the start of the recording.';

CREATE TABLE example_imputations (
    outlier_method VARCHAR NOT NULL,
    imputation_method VARCHAR NOT NULL,
    recording_code VARCHAR NOT NULL,
    sample INTEGER NOT NULL,
    missing BOOLEAN NOT NULL,
    imputed DOUBLE NOT NULL,
    sd DOUBLE
);
COMMENT ON TABLE example_imputations IS 'What each pair of detector and imputer makes of the example recordings. One row per pair, recording and sample. Key: outlier_method, imputation_method, recording_code, sample.';
COMMENT ON COLUMN example_imputations.outlier_method IS 'Artefact detector (methods.name, stage outlier).';
COMMENT ON COLUMN example_imputations.imputation_method IS 'Imputer (methods.name, stage imputation).';
COMMENT ON COLUMN example_imputations.sample IS 'Number of the sample, from 0 (example_recordings.sample).';
COMMENT ON COLUMN example_imputations.missing IS 'True where the sample was flagged or lost, and so imputed.';
COMMENT ON COLUMN example_imputations.imputed IS 'Pupil diameter after imputation, in provenance.unit.';
COMMENT ON COLUMN example_imputations.sd IS 'The imputer''s own standard deviation, same unit; NULL where it gives none.';

CREATE TABLE feature_values (
    featurization VARCHAR NOT NULL,
    outlier_method VARCHAR NOT NULL,
    imputation_method VARCHAR NOT NULL,
    recording_code VARCHAR NOT NULL,
    feature VARCHAR NOT NULL,
    value DOUBLE
);
COMMENT ON TABLE feature_values IS 'The features the classifiers saw. One row per feature set, detector, imputer, recording and feature. Key: featurization, outlier_method, imputation_method, recording_code, feature.';
COMMENT ON COLUMN feature_values.value IS 'Value in the unit of the name; NULL where undefined.';

CREATE TABLE identical_predictions (
    run_id_a VARCHAR NOT NULL,
    run_id_b VARCHAR NOT NULL
);
COMMENT ON TABLE identical_predictions IS 'Different combinations with the same predictions to the last bit, which is suspicious. One row per pair. Key: run_id_a, run_id_b.';
COMMENT ON COLUMN identical_predictions.run_id_a IS 'One run (runs.run_id), the smaller identifier.';
COMMENT ON COLUMN identical_predictions.run_id_b IS 'The other run (runs.run_id).';

CREATE TABLE feature_correlations (
    featurization VARCHAR NOT NULL,
    outlier_method VARCHAR NOT NULL,
    imputation_method VARCHAR NOT NULL,
    feature_a VARCHAR NOT NULL,
    feature_b VARCHAR NOT NULL,
    pearson DOUBLE,
    spearman DOUBLE
);
COMMENT ON TABLE feature_correlations IS 'How much the features say the same, over the classified recordings. One row per feature set, detector, imputer and pair of features. Key: featurization, outlier_method, imputation_method, feature_a, feature_b.';
COMMENT ON COLUMN feature_correlations.feature_a IS 'One feature, with its unit.';
COMMENT ON COLUMN feature_correlations.feature_b IS 'The other feature.';
COMMENT ON COLUMN feature_correlations.pearson IS 'Correlation of the values, -1 to 1; NULL where one is constant.';
COMMENT ON COLUMN feature_correlations.spearman IS 'Correlation of the ranks, -1 to 1; NULL where one is constant.';

CREATE TABLE feature_vif (
    featurization VARCHAR NOT NULL,
    outlier_method VARCHAR NOT NULL,
    imputation_method VARCHAR NOT NULL,
    feature VARCHAR NOT NULL,
    vif DOUBLE,
    reason VARCHAR
);
COMMENT ON TABLE feature_vif IS 'Variance inflation factors: how well each feature follows from the others. One row per feature set, detector, imputer and feature. Key: featurization, outlier_method, imputation_method, feature.';
COMMENT ON COLUMN feature_vif.vif IS '1 / (1 - R squared) of the feature on all others, 1 or more; NULL where undefined or infinite.';
COMMENT ON COLUMN feature_vif.reason IS 'Why vif is NULL; otherwise NULL.';

CREATE TABLE pairwise_comparisons (
    metric VARCHAR NOT NULL,
    run_id_a VARCHAR NOT NULL,
    run_id_b VARCHAR NOT NULL,
    against VARCHAR NOT NULL,
    difference DOUBLE,
    se DOUBLE,
    lo DOUBLE,
    hi DOUBLE,
    p DOUBLE,
    p_holm DOUBLE,
    p_bh DOUBLE,
    test VARCHAR,
    refit_lo DOUBLE,
    refit_hi DOUBLE,
    reason VARCHAR
);
COMMENT ON TABLE pairwise_comparisons IS 'Each combination against the champion, and against the same classifier after ground-truth cleaning, paired by subject. One row per metric, pair and what it is compared against. Key: metric, run_id_a, run_id_b, against.';
COMMENT ON COLUMN pairwise_comparisons.run_id_a IS 'The combination (runs.run_id).';
COMMENT ON COLUMN pairwise_comparisons.run_id_b IS 'The combination it is compared against (runs.run_id).';
COMMENT ON COLUMN pairwise_comparisons.against IS 'champion: the lowest oob Brier score, ties by AUROC; ground truth: same feature set and classifier, artefacts and gaps as a person marked and filled them.';
COMMENT ON COLUMN pairwise_comparisons.difference IS 'Out-of-bag estimate of a minus that of b.';
COMMENT ON COLUMN pairwise_comparisons.se IS 'Standard error of the difference over samples of subjects.';
COMMENT ON COLUMN pairwise_comparisons.lo IS 'Lower end of its 95 % sampling interval.';
COMMENT ON COLUMN pairwise_comparisons.hi IS 'Upper end of its 95 % sampling interval.';
COMMENT ON COLUMN pairwise_comparisons.p IS 'Two-sided p value from subjects, for this pair alone.';
COMMENT ON COLUMN pairwise_comparisons.p_holm IS 'p value after Holm, over the combinations compared by this metric against the same.';
COMMENT ON COLUMN pairwise_comparisons.p_bh IS 'p value after Benjamini and Hochberg, over the same combinations.';
COMMENT ON COLUMN pairwise_comparisons.test IS 'paired DeLong or influence.';
COMMENT ON COLUMN pairwise_comparisons.refit_lo IS '2.5 percentile of the difference over iterations: model instability, no confidence interval.';
COMMENT ON COLUMN pairwise_comparisons.refit_hi IS '97.5 percentile of the difference over iterations.';
COMMENT ON COLUMN pairwise_comparisons.reason IS 'Why a value of this row is NULL; otherwise NULL.';

CREATE TABLE method_effects (
    metric VARCHAR NOT NULL,
    featurization VARCHAR NOT NULL,
    factor VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    effect DOUBLE,
    se DOUBLE,
    lo DOUBLE,
    hi DOUBLE,
    p DOUBLE,
    p_holm DOUBLE,
    p_bh DOUBLE,
    n_cells INTEGER,
    reason VARCHAR
);
COMMENT ON TABLE method_effects IS 'What a cleaning method costs against ground truth: mean over the other factors of the difference, by subject. One row per metric, feature set, factor and method. Key: metric, featurization, factor, method.';
COMMENT ON COLUMN method_effects.factor IS 'outlier_method or imputation_method.';
COMMENT ON COLUMN method_effects.method IS 'The method (methods.name).';
COMMENT ON COLUMN method_effects.effect IS 'Mean over the other factors of the out-of-bag estimate with this method minus that with ground truth.';
COMMENT ON COLUMN method_effects.se IS 'Standard error of the effect over samples of subjects.';
COMMENT ON COLUMN method_effects.lo IS 'Lower end of its 95 % sampling interval.';
COMMENT ON COLUMN method_effects.hi IS 'Upper end of its 95 % sampling interval.';
COMMENT ON COLUMN method_effects.p IS 'Two-sided p value from subjects, for this method alone.';
COMMENT ON COLUMN method_effects.p_holm IS 'p value after Holm, over the methods of the factor.';
COMMENT ON COLUMN method_effects.p_bh IS 'p value after Benjamini and Hochberg, over the methods of the factor.';
COMMENT ON COLUMN method_effects.n_cells IS 'Cells of the other factors averaged over.';
COMMENT ON COLUMN method_effects.reason IS 'Why the effect is NULL; otherwise NULL.';

CREATE TABLE confidence_set (
    metric VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    p_value DOUBLE,
    included BOOLEAN
);
COMMENT ON TABLE confidence_set IS 'Model confidence set (Hansen, Lunde & Nason 2011), losses resampled by subject; combinations with identical losses count as one. One row per metric and combination. Key: metric, run_id.';
COMMENT ON COLUMN confidence_set.p_value IS 'p value with which the combination leaves the set.';
COMMENT ON COLUMN confidence_set.included IS 'True where the combination is in the 95 % set: not shown to be worse than the best.';

CREATE TABLE critical_differences (
    metric VARCHAR NOT NULL,
    featurization VARCHAR NOT NULL,
    factor VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    mean_rank DOUBLE,
    n_blocks INTEGER,
    n_methods INTEGER,
    friedman_chi2 DOUBLE,
    friedman_p DOUBLE,
    critical_difference DOUBLE,
    title VARCHAR
);
COMMENT ON TABLE critical_differences IS 'Friedman ranks of the methods, for critical-difference diagrams; blocks are the cells of the other factors. One row per metric, feature set, factor and method. Key: metric, featurization, factor, method.';
COMMENT ON COLUMN critical_differences.factor IS 'featurization, outlier_method, imputation_method or classifier.';
COMMENT ON COLUMN critical_differences.mean_rank IS 'Mean rank of the method over the blocks, 1 is best.';
COMMENT ON COLUMN critical_differences.n_blocks IS 'Cells of the other factors.';
COMMENT ON COLUMN critical_differences.n_methods IS 'Methods ranked in each block.';
COMMENT ON COLUMN critical_differences.friedman_chi2 IS 'Friedman''s statistic, corrected for ties.';
COMMENT ON COLUMN critical_differences.friedman_p IS 'Its p value; the blocks share subjects, so it describes and proves nothing.';
COMMENT ON COLUMN critical_differences.critical_difference IS 'Nemenyi''s critical difference of mean ranks at 0.05.';
COMMENT ON COLUMN critical_differences.title IS 'What a picture of it has to say.';

CREATE TABLE nemenyi_pairs (
    metric VARCHAR NOT NULL,
    featurization VARCHAR NOT NULL,
    factor VARCHAR NOT NULL,
    method_a VARCHAR NOT NULL,
    method_b VARCHAR NOT NULL,
    p DOUBLE
);
COMMENT ON TABLE nemenyi_pairs IS 'Nemenyi''s test after Friedman''s; descriptive, as the blocks share subjects. One row per metric, feature set, factor and pair of methods. Key: metric, featurization, factor, method_a, method_b.';
COMMENT ON COLUMN nemenyi_pairs.factor IS 'featurization, outlier_method, imputation_method or classifier.';
COMMENT ON COLUMN nemenyi_pairs.method_a IS 'One method (methods.name).';
COMMENT ON COLUMN nemenyi_pairs.method_b IS 'The other method (methods.name).';
COMMENT ON COLUMN nemenyi_pairs.p IS 'p value of the difference of their mean ranks.';

CREATE TABLE variance_decomposition (
    metric VARCHAR NOT NULL,
    featurization VARCHAR NOT NULL,
    factor VARCHAR NOT NULL,
    sum_of_squares DOUBLE,
    df INTEGER,
    eta_squared DOUBLE,
    partial_eta_squared DOUBLE
);
COMMENT ON TABLE variance_decomposition IS 'How much of the scatter of the cells each factor explains (analysis of variance of the oob values, interactions in the residual). One row per metric, feature set and factor. Key: metric, featurization, factor.';
COMMENT ON COLUMN variance_decomposition.factor IS 'A factor, or residual, or total.';
COMMENT ON COLUMN variance_decomposition.sum_of_squares IS 'Sum of squares of the factor.';
COMMENT ON COLUMN variance_decomposition.df IS 'Degrees of freedom.';
COMMENT ON COLUMN variance_decomposition.eta_squared IS 'sum_of_squares over that of total, 0 to 1.';
COMMENT ON COLUMN variance_decomposition.partial_eta_squared IS 'sum_of_squares over that of factor and residual together, 0 to 1; NULL for residual and total.';

CREATE TABLE winners_curse (
    metric VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    oob DOUBLE,
    run_id_pooled VARCHAR NOT NULL,
    value DOUBLE,
    corrected DOUBLE,
    optimism DOUBLE,
    lo DOUBLE,
    hi DOUBLE,
    n_draws INTEGER
);
COMMENT ON TABLE winners_curse IS 'What choosing the best of many adds to its number: bootstrap over subjects, the best on the drawn scored on the undrawn (Tsamardinos 2018). One row per metric. Key: metric.';
COMMENT ON COLUMN winners_curse.run_id IS 'The champion: lowest oob Brier score, ties by AUROC (runs.run_id).';
COMMENT ON COLUMN winners_curse.oob IS 'Its oob estimate.';
COMMENT ON COLUMN winners_curse.run_id_pooled IS 'The best by the same rule applied to the mean left-out predictions: the choice that is judged (runs.run_id).';
COMMENT ON COLUMN winners_curse.value IS 'The value of run_id_pooled on everybody: what the chosen one seems to achieve.';
COMMENT ON COLUMN winners_curse.corrected IS 'Mean over the draws of the value, on the undrawn subjects, of what was best on the drawn.';
COMMENT ON COLUMN winners_curse.optimism IS 'How much better value is than corrected; positive in either direction of the metric.';
COMMENT ON COLUMN winners_curse.lo IS '2.5 percentile of the draws'' values on the undrawn.';
COMMENT ON COLUMN winners_curse.hi IS '97.5 percentile of the draws'' values on the undrawn.';
COMMENT ON COLUMN winners_curse.n_draws IS 'Draws of subjects.';

CREATE TABLE detectable_difference (
    metric VARCHAR NOT NULL,
    se_difference DOUBLE,
    power DOUBLE,
    alpha DOUBLE,
    detectable DOUBLE,
    n_cases INTEGER,
    n_controls INTEGER
);
COMMENT ON TABLE detectable_difference IS 'The smallest true difference between two combinations that this many subjects can show. One row per metric. Key: metric.';
COMMENT ON COLUMN detectable_difference.se_difference IS 'Typical standard error of a difference: median over the combinations against the champion.';
COMMENT ON COLUMN detectable_difference.power IS 'Probability to find it, 0 to 1.';
COMMENT ON COLUMN detectable_difference.alpha IS 'Level of the two-sided test.';
COMMENT ON COLUMN detectable_difference.detectable IS 'The difference, in the unit of the metric.';
COMMENT ON COLUMN detectable_difference.n_cases IS 'Subjects with glaucoma.';
COMMENT ON COLUMN detectable_difference.n_controls IS 'Subjects without glaucoma.';

CREATE TABLE refusals (
    comparison VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    featurization VARCHAR,
    factor VARCHAR,
    reason VARCHAR NOT NULL
);
COMMENT ON TABLE refusals IS 'Comparisons that were not made, and tables for which the store has nothing (metric: all). One row per comparison, metric, feature set and factor. Key: comparison, metric, featurization, factor.';
COMMENT ON COLUMN refusals.comparison IS 'What was not computed.';
COMMENT ON COLUMN refusals.featurization IS 'The feature set; NULL where the comparison is of all.';
COMMENT ON COLUMN refusals.factor IS 'The factor that was to be compared; NULL where the comparison has none.';
COMMENT ON COLUMN refusals.reason IS 'Why, with the missing cells by name.';

CREATE TABLE run_files (
    run_id VARCHAR NOT NULL,
    file_bytes BIGINT NOT NULL,
    modified_ns BIGINT NOT NULL,
    digest VARCHAR NOT NULL,
    cohort_hash VARCHAR NOT NULL,
    resample_id VARCHAR NOT NULL,
    subjects_digest VARCHAR NOT NULL,
    predictions_digest VARCHAR NOT NULL,
    n_iterations INTEGER NOT NULL,
    n_subjects INTEGER NOT NULL,
    n_cases INTEGER NOT NULL,
    n_controls INTEGER NOT NULL,
    is_foreign BOOLEAN NOT NULL,
    source VARCHAR,
    unit VARCHAR,
    seed BIGINT,
    fit_on VARCHAR,
    code_commit VARCHAR,
    fit_seconds DOUBLE,
    package_versions VARCHAR
);
COMMENT ON TABLE run_files IS 'The results file of every run, as it was read: where it is unchanged, the next extraction takes the run''s rows over. One row per run. Key: run_id.';
COMMENT ON COLUMN run_files.run_id IS 'The run (runs.run_id).';
COMMENT ON COLUMN run_files.file_bytes IS 'Size of the file.';
COMMENT ON COLUMN run_files.modified_ns IS 'When the file was last changed, nanoseconds since 1970.';
COMMENT ON COLUMN run_files.digest IS 'Digest of its content (SHA-256).';
COMMENT ON COLUMN run_files.subjects_digest IS 'Digest of recordings, subjects, outcomes and left-out sets: the same in all runs of a database.';
COMMENT ON COLUMN run_files.predictions_digest IS 'Digest of the left-out probabilities.';
COMMENT ON COLUMN run_files.is_foreign IS 'True where another program wrote the file, without cohort hash and resample id.';
COMMENT ON COLUMN run_files.source IS 'Where its recordings come from, as the file says; NULL where it does not.';
COMMENT ON COLUMN run_files.package_versions IS 'JSON text: package name to version; NULL where unknown.';

CREATE TABLE stage_runs (
    run_id VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    files VARCHAR NOT NULL,
    n_unusable INTEGER,
    n_recordings INTEGER
);
COMMENT ON TABLE stage_runs IS 'Runs of the stages before the classifier whose results are in this database. One row per run. Key: run_id.';
COMMENT ON COLUMN stage_runs.stage IS 'outlier, imputation or features.';
COMMENT ON COLUMN stage_runs.files IS 'Digest of names, sizes and times of its files: where unchanged, the next extraction takes its rows over.';
COMMENT ON COLUMN stage_runs.n_unusable IS 'Recordings without one observed sample (stage imputation); NULL elsewhere.';
COMMENT ON COLUMN stage_runs.n_recordings IS 'Recordings in its table (stage features); NULL elsewhere.';
