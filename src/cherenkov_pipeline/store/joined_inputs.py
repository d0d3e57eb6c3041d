"""From images of several cameras to what one network reads."""

from dataclasses import dataclass

import numpy as np

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.inputs import InputMaker, input_maker
from cherenkov_pipeline.store.joined import JoinedRecords, JoinedStores
from cherenkov_pipeline.store.parameters import InputParameters


@dataclass(frozen=True)
class JoinedMaker:
    """Makes the inputs of images of several cameras, as `~cherenkov_pipeline.store.inputs.InputMaker` those of one.

    Attributes
    ----------
    makers : tuple of InputMaker
        One a camera.
    """

    makers: tuple[InputMaker, ...]

    mapping = None
    """Nothing is mapped: images of different cameras have no common grid."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one image of each input."""
        return self.makers[0].shapes

    def from_records(self, records: JoinedRecords, rows: np.ndarray) -> dict[str, np.ndarray]:
        """See `InputMaker.from_records`."""
        shapes = {name: shape for name, shape in self.shapes.items() if name != "parameters"}
        inputs = {name: np.zeros((len(rows), *shape), dtype=np.float32) for name, shape in shapes.items()}
        camera = np.where(rows < 0, -1, records.camera[rows])
        for number, (maker, part) in enumerate(zip(self.makers, records.parts, strict=True)):
            own = np.flatnonzero(camera == number)
            if len(own):
                for name, values in maker.from_records(part, records.place[rows[own]]).items():
                    inputs[name][own] = values
        return inputs


def joined_maker(store: JoinedStores, parameters: InputParameters) -> JoinedMaker:
    """Prepare the inputs of all cameras of a store.

    Raises
    ------
    UserError
        If they have images among them, whose pixels differ from camera to camera.
    """
    if parameters.channels:
        raise UserError(
            f"The event stores hold {store.telescope_type}, and a network that reads all pixels is for one of them:"
            " choose it with dl1.telescope_types and process the data again, or take the model stereo_set_network."
        )
    return JoinedMaker(tuple(input_maker(one.camera, parameters) for one in store.stores))
