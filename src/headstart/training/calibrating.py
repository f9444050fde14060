"""Temperature scaling: the saved model is made to say how sure it can be."""

from dataclasses import replace

import numpy as np

from headstart.evaluation.calibration import at_temperature, calibration_error, fit_temperature
from headstart.models.heads import CLASSIFIER
from headstart.training.session import Session, Stage, judge

_FOLDS = 5


def calibrate(session: Session, stage: Stage) -> Stage:
    """Divide the logits of a model by the temperature that suits the validation pictures best.

    A temperature is a factor of the classifier's kernel and bias, so the model stays the plain one it was, and says the
    same of every picture, only more or less surely. `details` has the temperature, and the calibration error on the
    validation pictures without it and, each fold of them at the temperature of the others, with it.

    Args:
        session: the training.
        stage: the one that is kept.
    """
    labels, before = session.side("val").labels, stage.probabilities["val"]
    temperature = fit_temperature(before, labels)
    places = (stage.model.get_layer(CLASSIFIER), stage.cut.parts.trainable.get_layer(CLASSIFIER))
    for classifier in {id(layer): layer for layer in places}.values():  # one and the same, but for a solved head
        classifier.set_weights([weight / temperature for weight in classifier.get_weights()])
    details = {
        "temperature": temperature,
        "calibration_error_without": calibration_error(before, labels),
        "calibration_error_held_out": calibration_error(_each_by_the_others(before, labels), labels),
    }
    return replace(
        stage,
        weights=stage.model.get_weights(),
        probabilities=judge(session, stage.cut),
        details=stage.details | details,
    )


def _each_by_the_others(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probabilities of each fold at the temperature that suits the other folds."""
    found = probabilities.copy()
    folds = np.arange(len(labels)) % _FOLDS
    for fold in range(min(_FOLDS, len(labels))):
        held = folds == fold
        if not held.all():
            found[held] = at_temperature(probabilities[held], fit_temperature(probabilities[~held], labels[~held]))
    return found
