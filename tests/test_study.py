"""The study's figures as published, and beside ours."""

from __future__ import annotations

from engage_cli.evaluation.published import STUDY_MODELS, set_beside
from tests.scored import class_score, evaluation_of, value_score


def test_the_study_beside_ours() -> None:
    published = {model.name: [(one.metric, one.value) for one in model.figures] for model in STUDY_MODELS}
    assert published == {
        "regressor": [("r2", 0.2033), ("r2", 0.1284)],
        "CatBoost": [
            ("accuracy", 0.4528),
            ("accuracy", 0.4318),
            ("macro_f1", 0.2471),
            ("weighted_f1", 0.3855),
            ("accuracy", 0.4382),
            ("macro_f1", 0.2530),
        ],
        "BERT + ViT classifier": [("accuracy", 0.3594), ("macro_f1", 0.11), ("weighted_f1", 0.19)],
    }
    assert [model.is_leaky for model in STUDY_MODELS] == [False, True, False]
    value, classes = value_score(), class_score(leaky=True)
    rows = set_beside(evaluation_of(value, classes))
    assert [row.run for row in rows] == [value.name] * 2 + [classes.name] * 9
    first, last = rows[0], rows[-1]
    assert (first.model, first.metric, first.published) == ("regressor, SigLIP", "R²", "0.2033")
    assert first.published_on == "best validation epoch, PixelRec; popularity as value"
    assert (first.ours, first.ours_on) == (value.metrics["r2"]["value"], "test split, 600 posts; views as value")
    assert last.ours_on == "test split, 600 posts; engagement as classes; LEAKY"
    assert {"0.4382 ± 0.0029", "0.11", "0.2530 ± 0.0022"} <= {row.published for row in rows}
