"""The verdict on a sub-image: true source, false alert, or unsure and why. Numpy and onnxruntime alone.

The members' logits are averaged and divided by the bundle's temperature; the sigmoid of that is the probability of a
real source. The verdict is given where its confidence reaches the threshold of its class and nothing else speaks
against it; otherwise it is "unsure", with every reason.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from astropy.table import Table

from cherenkov_pipeline.alerts.anomaly import reconstruction_error
from cherenkov_pipeline.alerts.bundle import CAM, EMBEDDING, LOGIT, RECONSTRUCTION, Bundle
from cherenkov_pipeline.alerts.features import hand_features
from cherenkov_pipeline.alerts.images import BACKGROUND, SIZE, SubImages
from cherenkov_pipeline.alerts.preparation import PreparationParameters, prepare, resized
from cherenkov_pipeline.errors import UserError

REAL, FALSE, UNSURE = "real", "false", "unsure"

NAMES = {REAL: "true source", FALSE: "false alert", UNSURE: "unsure"}
"""How users read the verdicts."""

N_NEIGHBOURS = 5
CHUNK = 64
"""Images that are judged at once."""

LARGEST_CAM = 1e30
"""Of a pixel of a network's map: far beyond all that is meant, far enough below the end of float32 for sums."""


@dataclass(frozen=True)
class Reason:
    """Why a verdict is "unsure".

    Attributes
    ----------
    code : str
        ``below_threshold``, ``no_valid_threshold``, ``members_disagree``, ``few_valid_pixels``,
        ``inconsistent_numbers``, ``anomalous`` or ``not_computable``.
    sentence : str
        The same for people.
    """

    code: str
    sentence: str


@dataclass(frozen=True)
class Neighbour:
    """A training image that the models see as similar.

    Attributes
    ----------
    image_id, cause : str
    is_real : bool
        Its label.
    distance : float
        Between 0 (the same direction of the embeddings) and 2.
    row : int
        In the bundle's `Neighbours`.
    """

    image_id: str
    cause: str
    is_real: bool
    distance: float
    row: int


@dataclass(frozen=True)
class Verdict:
    """What is said of one sub-image.

    Attributes
    ----------
    image_id : str
    verdict : str
        `REAL`, `FALSE` or `UNSURE`.
    leaning : str
        The class that is more probable, `REAL` or `FALSE`, whatever the verdict.
    p_astro : float or None
        Probability of a real source; None where a network gave no number.
    confidence_pct : float or None
        Probability of the class that is more probable, in percent.
    threshold_pct : float or None
        Smallest confidence with which a verdict of this class is given; None: there is no valid one.
    reasons : tuple of Reason
        Why it is unsure; empty otherwise.
    members : tuple of (str, float)
        Name and probability of a real source of each network.
    anomalies : dict of str to float
        Score of each detector, over its limit: above 1 is an anomaly.
    cam : ndarray
        (`SIZE`, `SIZE`) float32: what spoke for a real source (above 0) and against it (below), Grad-CAM without its
        ReLU; the mean over the pixels is what the image adds to the members' mean logit.
    neighbours : tuple of Neighbour
        The nearest first.
    image_snr, snr_std, valid_fraction : float
    latency_ms : float
        Time that the computation took; of images judged together, their mean.
    """

    image_id: str
    verdict: str
    leaning: str
    p_astro: float | None
    confidence_pct: float | None
    threshold_pct: float | None
    reasons: tuple[Reason, ...]
    members: tuple[tuple[str, float], ...]
    anomalies: dict[str, float]
    cam: np.ndarray
    neighbours: tuple[Neighbour, ...]
    image_snr: float
    snr_std: float
    valid_fraction: float
    latency_ms: float


def judge(bundle: Bundle, images: SubImages) -> list[Verdict]:
    """Judge sub-images, one by one or many together: the verdicts are the same.

    Parameters
    ----------
    bundle : Bundle
    images : SubImages

    Returns
    -------
    list of Verdict
        One an image.

    Raises
    ------
    UserError
        If an image lacks what a network reads, such as a positive ``snr_max``.
    """
    return [
        verdict
        for first in range(0, len(images), CHUNK)
        for verdict in _judge_together(bundle, images[first : first + CHUNK])
    ]


def warm_up(bundle: Bundle) -> None:
    """Judge a blank image: all is read that verdicts need, so that the first alert does not wait for it.

    Raises
    ------
    UserError
        If a network of the bundle cannot be run.
    """
    snr = np.zeros((1, SIZE, SIZE), dtype=np.float32)
    table = Table({"image_id": ["blank"], "snr_max": [10.0], "snr_std": [1.0]})
    try:
        judge(bundle, SubImages(snr, np.full(snr.shape, BACKGROUND, dtype=np.uint8), table))
    except Exception as error:
        raise UserError(f"The bundle {bundle.folder} cannot judge: {type(error).__name__}: {error}") from error


def _judge_together(bundle: Bundle, images: SubImages) -> list[Verdict]:
    begin = time.perf_counter()

    @cache
    def prepared(preparation: PreparationParameters) -> dict[str, np.ndarray]:
        return prepare(images, preparation)

    outputs = {}
    for member in bundle.card.members:
        outputs[member.name] = _run(bundle.members[member.name], prepared(member.preparation))
    logits = np.stack([output[LOGIT].reshape(len(images)) for output in outputs.values()]).astype(float)
    logits /= bundle.card.temperature
    members, pooled = sigmoid(logits), sigmoid(logits.mean(axis=0))
    anomalies = _anomalies(bundle, images, prepared)
    cams = _cams([output[CAM] for output in outputs.values()])
    near = bundle.card.neighbours
    neighbours = _nearest(bundle, outputs[near.member][EMBEDDING]) if near else [()] * len(images)
    quality = images.quality
    verdicts = []
    for row in range(len(images)):
        p_real, scores = float(pooled[row]), {name: float(values[row]) for name, values in anomalies.items()}
        is_number = bool(np.isfinite(logits[:, row]).all())
        leaning = REAL if is_number and p_real >= 0.5 else FALSE
        threshold = bundle.card.thresholds[leaning].value
        reasons = (
            _reasons(
                bundle,
                leaning,
                p_real,
                members[:, row],
                {name: float(values[row]) for name, values in quality.items()},
                scores,
            )
            if is_number
            else [Reason("not_computable", "A model gave no number for this image.")]
        )
        verdicts.append(
            Verdict(
                image_id=str(images.table["image_id"][row]),
                verdict=UNSURE if reasons else leaning,
                leaning=leaning,
                p_astro=p_real if is_number else None,
                confidence_pct=100 * max(p_real, 1 - p_real) if is_number else None,
                threshold_pct=None if threshold is None else 100 * threshold,
                reasons=tuple(reasons),
                members=tuple(zip(outputs, map(float, members[:, row]), strict=True)),
                anomalies=scores,
                cam=cams[row],
                neighbours=neighbours[row],
                image_snr=float(images.table["snr_max"][row]),
                snr_std=float(images.table["snr_std"][row]),
                valid_fraction=float(quality["valid_fraction"][row]),
                latency_ms=0.0,
            )
        )
    latency = 1e3 * (time.perf_counter() - begin) / max(1, len(images))
    return [replace(verdict, latency_ms=latency) for verdict in verdicts]


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """Probability that a logit means."""
    # scipy's expit does the same, but importing it takes 0.4 s, for which the first verdict would wait
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logit, dtype=float)))


def _reasons(
    bundle: Bundle,
    leaning: str,
    p_real: float,
    members: np.ndarray,
    quality: dict[str, float],
    scores: dict[str, float],
) -> list[Reason]:
    """Everything that speaks against a verdict."""
    card, reasons = bundle.card, []
    confidence, threshold = max(p_real, 1 - p_real), card.thresholds[leaning]
    if threshold.value is None:
        reasons.append(
            Reason(
                "no_valid_threshold",
                f'The models may not say "{NAMES[leaning]}" at all: no threshold keeps its errors at'
                f" {100 * threshold.alpha:g} % or less with {100 * (1 - threshold.delta):g} % certainty (too few"
                " calibration images, or too many errors).",
            )
        )
    elif confidence < threshold.value:
        reasons.append(
            Reason(
                "below_threshold",
                f'Confidence {percent(confidence)} in "{NAMES[leaning]}" is below the {percent(threshold.value)} that'
                " this verdict needs.",
            )
        )
    if (spread := float(np.ptp(members))) > card.largest_disagreement:
        reasons.append(
            Reason(
                "members_disagree",
                f"The models disagree: their probabilities of a true source go from {percent(members.min())} to"
                f" {percent(members.max())}, {100 * spread:.0f} points apart (at most"
                f" {100 * card.largest_disagreement:.0f}).",
            )
        )
    if (valid_fraction := quality["valid_fraction"]) < card.smallest_valid_fraction:
        reasons.append(
            Reason(
                "few_valid_pixels",
                f"Only {percent(valid_fraction)} of the pixels can be used (at least"
                f" {percent(card.smallest_valid_fraction)} needed).",
            )
        )
    if not quality["snr_mismatch"] <= card.largest_mismatch:
        reasons.append(
            Reason(
                "inconsistent_numbers",
                f"snr_max and the pixel at the trigger do not belong together: they differ by a factor of"
                f" {quality['snr_mismatch']:.3g} (at most {card.largest_mismatch:g}).",
            )
        )
    reasons += [
        Reason("anomalous", f"The image is unlike the training images ({_DETECTORS[name]}: {score:.2f} x its limit).")
        for name, score in scores.items()
        if not score <= 1
    ]
    return reasons


_DETECTORS = {"autoencoder": "autoencoder", "isolation_forest": "isolation forest"}


def percent(share: float) -> str:
    """Write a share in percent, so that what is not certain does not look so: 99.97 %, not 100 %."""
    value = 100 * float(share)
    for digits in (1, 2, 3):
        text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
        if float(text) not in (0, 100) or value in (0, 100):
            break
    return f"{text} %"


def _anomalies(bundle: Bundle, images: SubImages, prepared: Any) -> dict[str, np.ndarray]:
    """Score of each detector over its limit, (n,)."""
    scores, card = {}, bundle.card.anomaly
    if card.autoencoder is not None:
        inputs = prepared(card.autoencoder.preparation)
        reconstruction = _run(bundle.autoencoder, inputs)[RECONSTRUCTION]
        scores["autoencoder"] = reconstruction_error(images, inputs["image"], reconstruction) / card.autoencoder.limit
    if card.isolation_forest is not None:
        scores["isolation_forest"] = bundle.isolation_forest.score(hand_features(images)) / card.isolation_forest.limit
    return scores


def _run(session: Any, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = [tensor.name for tensor in session.get_outputs()]
    read = {tensor.name: inputs[tensor.name] for tensor in session.get_inputs()}
    return dict(zip(names, session.run(names, read), strict=True))


def _cams(maps: Sequence[np.ndarray]) -> np.ndarray:
    """(n, SIZE, SIZE) float32: mean of the members' maps; the mean of its pixels is what they add to the logit."""
    bounded = [np.clip(_finite(one), -LARGEST_CAM, LARGEST_CAM) for one in maps]
    enlarged = [resized(one[..., np.newaxis], SIZE)[..., 0] * (one.shape[1] * one.shape[2]) for one in bounded]
    return np.mean(enlarged, axis=0, dtype=np.float32)


def _nearest(bundle: Bundle, embedding: np.ndarray) -> list[tuple[Neighbour, ...]]:
    """Find the nearest training images, by the angle between embeddings (1 - cosine)."""
    known = bundle.neighbours
    distances = 1 - _unit(embedding) @ _unit(known.embeddings).T
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :N_NEIGHBOURS]
    return [
        tuple(
            Neighbour(
                str(known.image_id[row]),
                str(known.cause[row]),
                bool(known.is_real[row]),
                float(distance[row]),
                int(row),
            )
            for row in rows
        )
        for distance, rows in zip(distances, nearest, strict=True)
    ]


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = _finite(vectors).reshape(len(vectors), -1)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _finite(values: np.ndarray) -> np.ndarray:
    """0 where a network gave no number: the logit tells of it."""
    return np.where(np.isfinite(values), values, 0).astype(np.float32)
