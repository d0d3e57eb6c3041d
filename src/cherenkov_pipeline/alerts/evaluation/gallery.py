"""The images that an ensemble has wrong: which they are, and what they look like.

Some of them look like the other class, and some are the other class, under a wrong label: nothing can be learnt from
either but by looking at them.
"""

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.plots import LABELS, judged_sheet


def wrong_images(table: Table, probability: np.ndarray) -> Table:
    """List images whose label is not what an ensemble says, the most certain errors first.

    Parameters
    ----------
    table : Table
        Of labelled `~cherenkov_pipeline.alerts.images.SubImages`.
    probability : ndarray
        (n,), of a real source.

    Returns
    -------
    Table
        ``row`` (of the images), ``image_id``, ``label``, ``said``, ``confidence`` (of what it said), ``snr_max``; where
        the images have them also ``cause``, ``label_source``, and ``is_label_right`` of simulated ones.
    """
    is_real, says_real = np.asarray(table["is_real"], dtype=bool), np.asarray(probability) >= 0.5
    confidence = np.maximum(probability, 1 - np.asarray(probability))
    wrong = np.flatnonzero(is_real != says_real)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]
    found = Table(
        {
            "row": wrong,
            "image_id": np.asarray(table["image_id"])[wrong].astype(str),
            "label": [LABELS[bool(one)] for one in is_real[wrong]],
            "said": [LABELS[bool(one)] for one in says_real[wrong]],
            "confidence": confidence[wrong],
            "snr_max": np.asarray(table["snr_max"], dtype=float)[wrong],
        }
    )
    for name in ("cause", "label_source"):
        if name in table.colnames:
            found[name] = np.asarray(table[name])[wrong].astype(str)
    if "true_is_real" in table.colnames:
        found["is_label_right"] = np.asarray(table["true_is_real"], dtype=bool)[wrong] == is_real[wrong]
    return found


def gallery(images: SubImages, wrong: Table, n_largest: int = 18) -> Figure:
    """Draw the first images of `wrong_images`: cause or label, what was said and how certain.

    Parameters
    ----------
    images : SubImages
        That the rows are of.
    wrong : Table
    n_largest : int
        Images that are drawn at most.
    """
    shown = wrong[:n_largest]
    captions = []
    for row in shown:
        what = row["cause"].replace("_", " ") if "cause" in wrong.colnames and row["cause"] else row["label"]
        doubt = "" if "is_label_right" not in wrong.colnames or row["is_label_right"] else " (label wrong)"
        captions.append(f"{what}{doubt}\nsaid {row['said']}, {100 * row['confidence']:.0f} %")
    return judged_sheet(images[np.asarray(shown["row"], dtype=int)], captions)
