"""Parameters of the methods that judge sub-images, and the named ones; light to import."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from cherenkov_pipeline.alerts.augmentation import AugmentationParameters
from cherenkov_pipeline.alerts.features import FEATURES
from cherenkov_pipeline.alerts.isolation_forest import IsolationForestParameters
from cherenkov_pipeline.alerts.networks.registry import AutoencoderOptions, NetworkParameters
from cherenkov_pipeline.alerts.preparation import TYPICAL_SNR, PreparationParameters
from cherenkov_pipeline.config import Parameters, merge
from cherenkov_pipeline.models.options import ForestParameters
from cherenkov_pipeline.training.parameters import (
    CosineSchedule,
    OptimizerParameters,
    PlateauSchedule,
    Schedule,
    TrainingParameters,
)

NETWORK_METHODS = ("cnn_scratch", "cnn_scratch_mask", "cnn_transfer", "resnet18_transfer")

LAST_FROZEN = {"head": "layer4", "layer4": "layer3", "all": None}
"""What is trained -> the last stage that is not."""


class LearningParameters(Parameters):
    """How a network is trained."""

    epochs: int = Field(40, ge=1, description="At most.")
    batch_size: int = Field(16, ge=1, le=4096, description="Images in a batch.")
    loss: Literal["crossentropy", "mse"] = Field(
        "crossentropy", description="mse: squared difference of probability and label."
    )
    optimizer: OptimizerParameters = Field(
        OptimizerParameters(name="adam", learning_rate=1e-4), description="Its learning rate is that of the head."
    )
    backbone_learning_rate: float | None = Field(
        None, gt=0, le=10, description="Of all that is trained below the head; null: the same."
    )
    schedule: Schedule = Field(PlateauSchedule(patience=5), description="How the learning rates change.")
    early_stopping_patience: int | None = Field(
        None, ge=1, description="Stop after so many epochs without a lower validation loss; null: never."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Of weights, order and orientations.")
    deterministic: bool = Field(False, description="The same numbers in every run, but slower.")
    resume: bool = Field(True, description="Go on with an interrupted training of the same; false: start anew.")

    def for_trainer(self) -> TrainingParameters:
        """As `~cherenkov_pipeline.training.trainer.train` takes them; the ensemble is calibrated, not its members."""
        shared = self.model_dump(exclude={"loss", "backbone_learning_rate"})
        return TrainingParameters.model_validate({**shared, "calibrate": False})

    @property
    def factor(self) -> float:
        """Learning rate below the head over that of the head."""
        head = self.optimizer.learning_rate
        return 1.0 if self.backbone_learning_rate is None else self.backbone_learning_rate / head


class FrameParameters(Parameters):
    """Simulated frames of other masks, to learn from beside the images."""

    n_images: int = Field(1024, ge=40, le=1_000_000, description="Simulated sub-images.")
    mask_patterns: tuple[PositiveInt, ...] = Field(
        (1001, 1002, 1003, 1004), min_length=1, description="Mask patterns, none of which other data have."
    )
    seed: int = Field(1, ge=0, lt=2**32, description="Of the simulation.")


class PretrainingParameters(FrameParameters):
    """How the weights ``simulated`` are learnt; one frame in five is not for training."""

    largest_size: int = Field(
        112, ge=8, le=512, description="Pixels along each side, where the method reads more than that."
    )
    training: LearningParameters = LearningParameters(
        epochs=4,
        batch_size=32,
        optimizer=OptimizerParameters(name="adamw", learning_rate=1e-3),
        schedule=CosineSchedule(warmup_epochs=0.5),
    )


class NetworkMethod(Parameters):
    """A network that judges sub-images."""

    method: Literal[NETWORK_METHODS] = Field(description="What it counts as in the table of experiments.")
    network: NetworkParameters
    preparation: PreparationParameters = PreparationParameters()
    augmentation: AugmentationParameters = AugmentationParameters()
    weights: str | None = Field(
        None,
        description="What the network begins with: simulated, keras_hub:resnet_18_imagenet, a file; null: random. See "
        "docs/alert_models.md.",
    )
    pretraining: PretrainingParameters = PretrainingParameters()
    fine_tuning: Literal["head", "layer4", "all"] = Field(
        "all", description="What is trained of a ResNet18: the head alone, also layer4, or all."
    )
    training: LearningParameters = LearningParameters()

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.fine_tuning != "all" and self.network.name != "resnet18":
            raise ValueError(f"fine_tuning {self.fine_tuning} is for resnet18: set it to all for {self.network.name}")
        if self.fine_tuning != "all" and self.weights is None:
            raise ValueError(f"fine_tuning {self.fine_tuning} would freeze random weights: name some, or train all")
        if self.fine_tuning == "all" and self.weights is None and self.training.backbone_learning_rate is not None:
            raise ValueError("backbone_learning_rate is for weights that were learnt elsewhere: leave it out")
        return self

    @property
    def frames(self) -> PretrainingParameters | None:
        """Simulated frames that the weights are learnt from; None: it begins with others."""
        return self.pretraining if self.weights == "simulated" else None


class AnomalyMethod(Parameters):
    """What the two methods share that learn what is usual; how unusual an image is becomes a probability."""

    learn_from: Literal["real", "all"] = Field(
        "real", description="Training images that count as usual: true sources, or all."
    )


class AutoencoderMethod(AnomalyMethod):
    """An autoencoder: false alerts are drawn badly."""

    method: Literal["autoencoder"]
    network: AutoencoderOptions = AutoencoderOptions()
    preparation: PreparationParameters = PreparationParameters()
    augmentation: AugmentationParameters = AugmentationParameters()
    training: LearningParameters = LearningParameters()


class IsolationForestMethod(AnomalyMethod):
    """An isolation forest on features by hand."""

    method: Literal["isolation_forest"]
    forest: IsolationForestParameters = IsolationForestParameters()


class ForestMethod(Parameters):
    """A random forest on features by hand: the baseline."""

    method: Literal["random_forest"]
    features: tuple[Literal[FEATURES], ...] = Field(FEATURES, min_length=1, description="Features that it sees.")
    forest: ForestParameters = ForestParameters(n_trees_classification=300)
    frames: FrameParameters | None = Field(
        None, description="Simulated frames of other masks that it learns from beside the training images."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Of the trees.")


def _talk(epochs: int, head: float, layer4: float) -> dict[str, Any]:
    """One of the talk's final models: only epochs and learning rates differ."""
    optimizer = {"name": "adam", "learning_rate": head}
    return {
        "method": "resnet18_transfer",
        "network": {"name": "resnet18"},
        "preparation": {"size": 224, "normalization": "local", "snr_max": True, "snr_std": True},
        "augmentation": {"mirror": True, "rotation": True, "when": "ahead"},
        "weights": "simulated",
        "fine_tuning": "layer4",
        "training": {"epochs": epochs, "optimizer": optimizer, "backbone_learning_rate": layer4},
    }


_FRAMES = {"n_images": 8192}

_SMALL_TRANSFER = {
    "method": "cnn_transfer",
    "weights": "simulated",
    # what a small network averages over the whole image does not tell what the trigger itself looks like
    "preparation": {"features": True},
    # small networks are quick: they can see as many frames as they can learn from
    "pretraining": {
        **_FRAMES,
        "training": {
            "epochs": 15,
            "batch_size": 16,
            "optimizer": {"name": "adam", "learning_rate": 1e-4},
            "schedule": {"name": "plateau", "patience": 5},
        },
    },
    "training": {
        "epochs": 30,
        "optimizer": {"name": "adam", "learning_rate": 1e-3},
        "backbone_learning_rate": 1e-4,
        "early_stopping_patience": 10,
    },
}

PRESETS: dict[str, dict[str, Any]] = {
    "cnn_scratch": {
        "method": "cnn_scratch",
        "network": {"name": "cnn_scratch"},
        "training": {
            "epochs": 80,
            "optimizer": {"name": "adam", "learning_rate": 1e-3},
            "early_stopping_patience": 20,
        },
    },
    "cnn_scratch_mask": {
        "method": "cnn_scratch_mask",
        "network": {"name": "cnn_scratch_mask"},
        "preparation": {"mask": "codes"},
        "training": {
            "epochs": 80,
            "optimizer": {"name": "adam", "learning_rate": 1e-3},
            "early_stopping_patience": 20,
        },
    },
    "cnn_transfer": {**_SMALL_TRANSFER, "network": {"name": "cnn_scratch"}},
    "cnn_transfer_mask": {
        **_SMALL_TRANSFER,
        "network": {"name": "cnn_scratch_mask"},
        "preparation": {**_SMALL_TRANSFER["preparation"], "mask": "codes"},
    },
    "resnet18_transfer": {
        "method": "resnet18_transfer",
        "network": {"name": "resnet18"},
        "preparation": {"size": 112},
        "weights": "simulated",
        "fine_tuning": "layer4",
        "training": {
            "epochs": 30,
            "optimizer": {"name": "adam", "learning_rate": 1e-3},
            "backbone_learning_rate": 1e-4,
            "early_stopping_patience": 10,
        },
    },
    "autoencoder": {
        "method": "autoencoder",
        # in one unit for all: what is left of a usual image is noise, however bright its source
        "preparation": {"normalization": "global", "global_scale": TYPICAL_SNR, "snr_max": False, "snr_std": False},
        "training": {
            "epochs": 60,
            "optimizer": {"name": "adam", "learning_rate": 1e-3},
            "early_stopping_patience": 10,
        },
    },
    "isolation_forest": {"method": "isolation_forest"},
    "random_forest": {"method": "random_forest"},
    "random_forest_frames": {"method": "random_forest", "frames": _FRAMES},
    "random_forest_snr": {"method": "random_forest", "features": ["log_snr_max", "log_snr_std"]},
    "talk_1": _talk(30, 1e-4, 1e-5),
    "talk_2": _talk(200, 1e-6, 1e-6),
    "talk_3": _talk(200, 1e-4, 1e-4),
}
"""Configurations by name: of each method, the baseline with all frames that small networks see before and that on two
numbers alone, and the talk's three final models."""


def _kind(value: Any) -> str:
    method = value.get("method", "") if isinstance(value, Mapping) else value.method
    return "network" if method in NETWORK_METHODS else method


Method = Annotated[
    Annotated[NetworkMethod, Tag("network")]
    | Annotated[AutoencoderMethod, Tag("autoencoder")]
    | Annotated[IsolationForestMethod, Tag("isolation_forest")]
    | Annotated[ForestMethod, Tag("random_forest")],
    Discriminator(
        _kind,
        custom_error_type="method",
        custom_error_message=f"choose one of the presets {', '.join(PRESETS)}",
    ),
]


class MethodParameters(Parameters):
    """A method by the name of a preset, and what is to be changed of it."""

    method: Method

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or isinstance(values.get("method"), Parameters | Mapping):
            return values
        changes = dict(values)
        name = changes.pop("preset", None)
        if name not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}. Received: {name!r}")
        return {"method": merge(PRESETS[name], changes)}


def preset(name: str, **changes: Any) -> Method:
    """Make the parameters of a named method.

    Parameters
    ----------
    name : str
        In `PRESETS`.
    **changes
        Blocks as they are written in a parameter file; what they leave out stays.

    Raises
    ------
    pydantic.ValidationError
        If there is no such preset, or the parameters do not go together.
    """
    return MethodParameters.model_validate({"preset": name, **changes}).method
