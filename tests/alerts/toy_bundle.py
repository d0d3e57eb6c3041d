"""A bundle of two small networks that have learnt to tell toy sub-images apart."""

import fcntl
import io
from pathlib import Path

import numpy as np
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.bundle import (
    Anomaly,
    Autoencoder,
    BundleCard,
    Forest,
    Member,
    Neighbours,
    TrainingImages,
    write_bundle,
)
from cherenkov_pipeline.alerts.features import hand_features
from cherenkov_pipeline.alerts.guarantee import Threshold
from cherenkov_pipeline.alerts.images import CENTER, SubImages
from cherenkov_pipeline.alerts.isolation_forest import (
    IsolationForestParameters,
    grow_isolation_forest,
    write_isolation_forest,
)
from cherenkov_pipeline.alerts.preparation import PreparationParameters, prepare

PREPARATIONS = {"plain": PreparationParameters(size=28), "masked": PreparationParameters(mask="codes", size=28)}


def card(**changes) -> BundleCard:
    """The card of the toy bundle; ``changes`` replace what it says."""
    threshold = {"alpha": 0.05, "delta": 0.1, "n_calibration": 200, "n_accepted": 180, "n_errors": 2}
    content = {
        "created": "2026-01-01T00:00:00+00:00",
        "versions": {"cherenkov_pipeline": "0.1.0"},
        "simulated": True,
        "mask_patterns": (1,),
        "data_fingerprint": "0123456789abcdef",
        "label_map": {"grb": True, "known_source": True, "flickering_modules": False},
        "members": [
            Member(name=name, file=f"{name}.onnx", preparation=preparation, n_training=120)
            for name, preparation in PREPARATIONS.items()
        ],
        "temperature": 1.5,
        "thresholds": {
            "real": Threshold(0.8, upper_bound=0.03, **threshold),
            "false": Threshold(0.85, upper_bound=0.03, **threshold),
        },
        "largest_disagreement": 0.5,
        "smallest_valid_fraction": 0.3,
        "anomaly": Anomaly(
            autoencoder=Autoencoder(file="autoencoder.onnx", preparation=PREPARATIONS["plain"], limit=1.0),
            isolation_forest=Forest(file="isolation_forest.npz", limit=0.8),
        ),
        "neighbours": TrainingImages(file="neighbours.npz", member="plain"),
    }
    return BundleCard(**content | changes)


def single_file(images: SubImages, row: int = 0, **known) -> bytes:
    """One sub-image as the ``.npz`` file of an alert."""
    known = {name: float(images.table[name][row]) for name in ("snr_max", "snr_std")} | known
    stream = io.BytesIO()
    np.savez(stream, image=images.snr[row], trigger=[CENTER, CENTER], **known)
    return stream.getvalue()


def make_toy_bundle(folder: Path) -> Path:
    """Train, export and write the bundle, unless another process has; return its folder."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ensemble").exists():
            write_bundle(card(), _make_files(folder), folder / "ensemble")
    return folder / "ensemble"


def _make_files(folder: Path) -> dict[str, Path]:
    from cherenkov_pipeline.alerts.networks.autoencoder import build_autoencoder, export_autoencoder
    from cherenkov_pipeline.alerts.networks.build import build_network
    from cherenkov_pipeline.alerts.networks.explained import explained, export_explained
    from cherenkov_pipeline.alerts.networks.registry import AutoencoderOptions, NetworkParameters
    from cherenkov_pipeline.models.backend import keras
    from cherenkov_pipeline.models.likelihoods.bernoulli import BernoulliLikelihood

    keras.utils.set_random_seed(0)
    images = toy_images(120, seed=1)
    labels = np.asarray(images.table["is_real"], dtype=np.float32)[:, np.newaxis]
    files, embeddings = {}, {}
    for name, preparation in PREPARATIONS.items():
        options = {"filters": (8, 8), "batch_normalization": False}
        network = build_network(NetworkParameters(name="cnn_scratch", options=options), preparation.shapes)
        network.compile(keras.optimizers.Adam(0.01), BernoulliLikelihood())
        inputs = prepare(images, preparation)
        network.fit(inputs, labels, batch_size=20, epochs=12, verbose=0)
        files[f"{name}.onnx"] = export_explained(network, folder / f"{name}.onnx")
        embeddings[name] = explained(network).predict(inputs, verbose=0)["embedding"]
    autoencoder = build_autoencoder(PREPARATIONS["plain"].shapes["image"], AutoencoderOptions(filters=(4,), latent=4))
    files["autoencoder.onnx"] = export_autoencoder(autoencoder, folder / "autoencoder.onnx")
    forest = grow_isolation_forest(hand_features(images), IsolationForestParameters(n_trees=20))
    files["isolation_forest.npz"] = folder / "isolation_forest.npz"
    write_isolation_forest(forest, files["isolation_forest.npz"])
    columns = (np.asarray(images.table[name]) for name in ("image_id", "cause", "is_real"))
    files["neighbours.npz"] = folder / "neighbours.npz"
    Neighbours(embeddings["plain"], images.snr.astype(np.float16), *columns).write(files["neighbours.npz"])
    return files
