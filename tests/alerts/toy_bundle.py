"""Sub-images that any network learns in seconds, and a bundle of two that have."""

import fcntl
from pathlib import Path

import numpy as np
from astropy.table import Table

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
from cherenkov_pipeline.alerts.images import CENTER, SIZE, SubImages, place
from cherenkov_pipeline.alerts.isolation_forest import (
    IsolationForestParameters,
    grow_isolation_forest,
    write_isolation_forest,
)
from cherenkov_pipeline.alerts.preparation import PreparationParameters, prepare

SOURCE = np.array([1, 0.69, 0.245, 0])
PREPARATIONS = {"plain": PreparationParameters(), "masked": PreparationParameters(mask="codes", size=28)}


def toy_image(rng: np.random.Generator, is_real: bool, snr: float | None = None, shape=(SIZE, SIZE)) -> np.ndarray:
    """A peak with the shape of a source, or one bright row in rows of different levels."""
    image = rng.normal(0, 0.95, size=(SIZE, SIZE))
    snr = rng.uniform(8, 20) if snr is None else snr
    if is_real:
        rows, columns = np.indices(image.shape) - CENTER
        image += snr * np.interp(np.maximum(abs(rows), abs(columns)), range(4), SOURCE)
    else:
        image += rng.normal(0, 2, size=(SIZE, 1))
        image[CENTER, CENTER - 8 : CENTER + 8] += 0.7 * snr
        image[CENTER, CENTER] = image.max() + 1
    return image[: shape[0], : shape[1]].astype(np.float32)


def toy_images(n: int, seed: int = 0, shape=(SIZE, SIZE)) -> SubImages:
    """Real and false ones in turn."""
    rng = np.random.default_rng(seed)
    images = [toy_image(rng, row % 2 == 0, shape=shape) for row in range(n)]
    placed = [place(image, (CENTER, CENTER)) for image in images]
    table = Table(
        {
            "image_id": [f"toy-{seed}-{row}" for row in range(n)],
            "snr_max": [float(image.max()) for image in images],
            "snr_std": [float(image.std()) for image in images],
            "is_real": [row % 2 == 0 for row in range(n)],
            "cause": ["grb" if row % 2 == 0 else "flickering_modules" for row in range(n)],
        }
    )
    return SubImages(np.stack([snr for snr, _ in placed]), np.stack([codes for _, codes in placed]), table)


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
            autoencoder=Autoencoder(file="autoencoder.onnx", preparation=PreparationParameters(), limit=1.0),
            isolation_forest=Forest(file="isolation_forest.npz", limit=0.8),
        ),
        "neighbours": TrainingImages(file="neighbours.npz", member="plain"),
    }
    return BundleCard(**content | changes)


def make_toy_bundle(folder: Path) -> Path:
    """Train, export and write the bundle, unless another process has; return its folder."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ensemble").exists():
            write_bundle(card(), _make_files(folder), folder / "ensemble")
    return folder / "ensemble"


def _make_files(folder: Path) -> dict[str, Path]:
    from cherenkov_pipeline.models.backend import keras

    keras.utils.set_random_seed(0)
    images = toy_images(120, seed=1)
    files, embeddings = {}, None
    for name, preparation in PREPARATIONS.items():
        model, explained = _network(preparation)
        inputs, labels = prepare(images, preparation), np.asarray(images.table["is_real"], dtype=np.float32)
        model.compile(keras.optimizers.Adam(0.01), keras.losses.BinaryCrossentropy(from_logits=True))
        model.fit(inputs, labels, batch_size=20, epochs=12, verbose=0)
        _share_weights(explained)
        files[f"{name}.onnx"] = export(explained, folder / f"{name}.onnx", ("logit", "cam", "embedding"))
        if name == "plain":
            embeddings = explained.predict(inputs, verbose=0)[2]
    files["autoencoder.onnx"] = export(_autoencoder(), folder / "autoencoder.onnx", ("reconstruction",))
    forest = grow_isolation_forest(hand_features(images), IsolationForestParameters(n_trees=20))
    files["isolation_forest.npz"] = folder / "isolation_forest.npz"
    write_isolation_forest(forest, files["isolation_forest.npz"])
    columns = (np.asarray(images.table[name]) for name in ("image_id", "cause", "is_real"))
    files["neighbours.npz"] = folder / "neighbours.npz"
    Neighbours(embeddings, images.snr.astype(np.float16), *columns).write(files["neighbours.npz"])
    return files


def _network(preparation: PreparationParameters):
    """A classifier, and the same with everything that a bundle wants to know."""
    from cherenkov_pipeline.models.backend import keras

    layers = keras.layers
    image = keras.Input(preparation.shapes["image"], name="image")
    scalars = keras.Input(preparation.shapes["scalars"], name="scalars")
    features = layers.Conv2D(8, 5, strides=2, padding="same", activation="relu")(image)
    features = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(features)
    pooled = layers.GlobalAveragePooling2D()(features)
    logit = layers.Dense(1, name="head")(layers.Concatenate()([pooled, scalars]))
    logit = layers.Reshape(())(logit)
    cam = layers.Conv2D(1, 1, use_bias=False, name="cam_head")(features)
    cam = layers.Reshape(features.shape[1:3])(cam)
    inputs = {"image": image, "scalars": scalars}
    return keras.Model(inputs, logit), keras.Model(inputs, [logit, cam, pooled])


def _share_weights(explained) -> None:
    # the gradient of the logit with respect to the pooled features is the head's kernel
    kernel = explained.get_layer("head").get_weights()[0]
    explained.get_layer("cam_head").set_weights([kernel[np.newaxis, np.newaxis, :8]])


def _autoencoder():
    from cherenkov_pipeline.models.backend import keras

    image = keras.Input(PREPARATIONS["plain"].shapes["image"], name="image")
    return keras.Model({"image": image}, keras.layers.AveragePooling2D(3, strides=1, padding="same")(image))


def export(model, path: Path, names: tuple[str, ...]) -> Path:
    """Write a network as ONNX with these names of its outputs."""
    import onnx

    model({tensor.name: np.zeros((1, *tensor.shape[1:]), dtype=np.float32) for tensor in model.inputs})
    model.export(path, format="onnx", verbose=False)
    content = onnx.load(path)
    new = dict(zip((output.name for output in content.graph.output), names, strict=True))
    for node in content.graph.node:
        node.output[:] = [new.get(tensor, tensor) for tensor in node.output]
        node.input[:] = [new.get(tensor, tensor) for tensor in node.input]
    for output in content.graph.output:
        output.name = new[output.name]
    onnx.save(content, path)
    return path
