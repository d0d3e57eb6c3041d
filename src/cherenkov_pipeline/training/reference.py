"""What the training images of a model look like, for its card."""

import numpy as np

from cherenkov_pipeline.dl1.contents import PRIMARY, particle_name
from cherenkov_pipeline.models.card import Reference
from cherenkov_pipeline.models.reference import make_reference
from cherenkov_pipeline.store import EventStore, JoinedStores
from cherenkov_pipeline.store.quantities import GRADIENT, INTENSITY, OF_SHAPE, given_quantities, image_quantities

MOST_IMAGES = 20_000
"""Of a telescope type and particle that are looked at."""

CHUNK = 2048


def measure_references(store: EventStore | JoinedStores) -> tuple[Reference, ...]:
    """Measure how quantities of the training images are distributed.

    All particles of the store count, also those that the model does not learn from: data of the sky are mostly hadrons.

    Parameters
    ----------
    store : EventStore or JoinedStores

    Returns
    -------
    tuple of Reference
        One a telescope type and particle with enough training images; none where the store has no intensities.
    """
    found = [
        _measure(one, primary)
        for one in store.stores
        if {INTENSITY, PRIMARY} <= set(one.colnames)
        for primary in np.unique(one.columns([PRIMARY])[PRIMARY])
    ]
    return tuple(reference for reference in found if reference)


def _measure(store: EventStore, primary: int) -> Reference | None:
    rows = store.indices("train", [int(primary)])
    if len(rows) > MOST_IMAGES:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_IMAGES).astype(int)]
    columns = [name for name in OF_SHAPE if name in store.colnames]
    parts = [image_quantities(store.read(rows[start : start + CHUNK], columns)) for start in range(0, len(rows), CHUNK)]
    if not parts:
        return None
    quantities = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    given = given_quantities(store.columns([name for name in (INTENSITY, GRADIENT) if name in store.colnames])[rows])
    return make_reference(store.telescope_type, particle_name(int(primary)), given, quantities)
