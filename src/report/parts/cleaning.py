"""Quality of the cleaning: detectors against chance and hippus, imputers beside linear interpolation."""

from __future__ import annotations

from src.figures.style import records
from src.report.document import Part, Table, count, number, percent, verdict, words
from src.report.ensembles import about_ensembles
from src.report.parts.quality import SAMPLES
from src.report.reading import Reading

TITLE = "How good is the cleaning?"
_DETECTORS = """
SELECT c.*, q."precision", q.recall, q.fpr, q.evaluated_on, q.fit_on
FROM v_detector_checks c
LEFT JOIN outlier_quality q ON q.outlier_method = c.outlier_method AND q.artefact_type = 'all'
"""
_BY_TYPE = """
SELECT q.outlier_method, q.artefact_type, q.recall, q.n_artefact FROM outlier_quality q
LEFT JOIN methods m ON m.stage = 'outlier' AND m.name = q.outlier_method
WHERE q.artefact_type <> 'all' ORDER BY m.sort_order, q.outlier_method, q.artefact_type
"""
_IMPUTERS = """
SELECT c.*, q.mae - q.mae_linear AS difference, q.evaluated_on
FROM v_imputer_checks c JOIN imputation_quality q USING (outlier_method, imputation_method, gap)
"""
_JUDGED = """
SELECT DISTINCT 'Detectors' AS what, evaluated_on, fit_on FROM outlier_quality
UNION SELECT DISTINCT 'Imputers', evaluated_on, fit_on FROM imputation_quality ORDER BY ALL
"""
_FIGURES = ("detection_quality", "imputation_quality", "quality_and_accuracy")
_ABOUT_CHANCE = (
    "Chance: the expected F1 of a random mask that flags as many samples of every recording. Hippus: "
    "synthetic recordings without light or artefacts, whatever the cohort is; all that is flagged there "
    "is a false alarm."
)
_ABOUT_GAPS = "Error by length of the gap, beside that of linear interpolation in the same gaps."


def answer(reading: Reading) -> Part:
    """Hold the methods of the stages before the classifier to what they are for."""
    stage = reading.question.stage
    made = [*_detectors(reading)] if stage != "imputation" else []
    made += [_imputers(reading)] if stage != "outlier_detection" else []
    lines = [_ABOUT_CHANCE] * (stage != "imputation") + [_ABOUT_GAPS] * (stage != "outlier_detection")
    lines += [
        f"{row['what']} were fitted on recordings: {row['fit_on']}; judged on: {row['evaluated_on']}."
        for row in records(reading.query(_JUDGED))
    ]
    lines += [
        f"{table.title}: nothing to show, the database has no row of it."
        for table in made
        if table.rows.empty
    ]
    if stage == "classification":
        lines += about_ensembles(reading)
    pictures, undrawn = reading.pictures(*(_FIGURES if stage == "classification" else ()))
    tables = [table for table in made if len(table.rows)]
    return Part("cleaning", TITLE, [*lines, *undrawn], tables, pictures)


def _detectors(reading: Reading) -> list[Table]:
    columns = [
        reading.method("outlier_method"),
        number("f1", "F1"),
        number("f1_random", "F1 of chance"),
        verdict("better_than_random", "Better than chance", "pass", "fail"),
        percent("hippus_flagged", "Flagged of hippus", 2),
        verdict("leaves_hippus", "Below 2 %", "pass", "fail"),
        number("precision", "Precision"),
        number("recall", "Recall"),
        number("fpr", "False positive rate", 4),
        words("evaluated_on", "Judged on"),
    ]
    by_type = [
        reading.method("outlier_method"),
        words("artefact_type", "Artefact"),
        number("recall", "Recall"),
        count("n_artefact", "Samples"),
    ]
    return [
        Table("detectors", "Detectors", SAMPLES, columns, reading.query(_DETECTORS), whole=True),
        Table(
            "artefacts",
            "What each detector finds, by type of artefact",
            SAMPLES,
            by_type,
            reading.query(_BY_TYPE),
        ),
    ]


def _imputers(reading: Reading) -> Table:
    columns = [
        reading.method("outlier_method"),
        reading.method("imputation_method"),
        words("gap", "Gaps"),
        count("n_samples", "Samples"),
        number("mae", "MAE"),
        number("mae_linear", "MAE of linear"),
        number("difference", "Less linear's", 3, "+"),
        verdict("better_than_linear", "Better than linear"),
        words("unit", "Unit"),
    ]
    return Table("imputers", "Imputers by length of the gap", SAMPLES, columns, reading.query(_IMPUTERS))
