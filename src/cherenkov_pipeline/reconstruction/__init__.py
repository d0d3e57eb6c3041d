"""Predictions of trained models: of the events of a store, and of DL1 files as DL2 in ctapipe's layout.

- `reconstruction.predict.predict_store`: predictions table of one side of a store's split; `predict_stereo_store` in
  `reconstruction.stereo` for models of several telescopes.
- `reconstruction.predict.predict_dl1`: predictions tables of a DL1 file; `reconstruction.stereo.predict_stereo_dl1`.
- `reconstruction.combine`: one prediction an event from those of its telescopes.
- `reconstruction.dl2.plan_dl2`: DL2 files.
- `reconstruction.read.read_predictions`: predictions table of DL2 files.
- `reconstruction.others.read_method`: the same of DL2 files that others made, `reconstruction.sst1mpipe` of its layout.
- `reconstruction.paths`: where the files of any maker lie; `reconstruction.discover`: whose predictions they hold.

Only the parameters and paths are light; the other modules import ctapipe, and those that predict Keras.
"""

from cherenkov_pipeline.reconstruction.parameters import ReconstructionParameters

__all__ = ["ReconstructionParameters"]
