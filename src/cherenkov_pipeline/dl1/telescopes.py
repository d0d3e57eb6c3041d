"""Which telescopes a file holds, and which of them are wanted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cherenkov_pipeline.errors import UserError

if TYPE_CHECKING:
    from ctapipe.instrument import SubarrayDescription


def telescopes_by_type(subarray: "SubarrayDescription") -> dict[str, list[int]]:
    """Telescope ids of each telescope type of a subarray, sorted by type."""
    types: dict[str, list[int]] = {}
    for tel_id, telescope in subarray.tel.items():
        types.setdefault(str(telescope), []).append(int(tel_id))
    return dict(sorted(types.items()))


def wanted_telescopes(
    subarray: "SubarrayDescription",
    telescope_types: Sequence[str] | None,
    telescope_ids: Sequence[int] | None,
    where: str,
) -> list[int]:
    """Choose telescopes of a subarray.

    Parameters
    ----------
    subarray : ctapipe.instrument.SubarrayDescription
    telescope_types : sequence of str, optional
        Telescope types (``SST_1M_DigiCam``) or camera names (``DigiCam``); None takes all.
    telescope_ids : sequence of int, optional
        None takes all.
    where : str
        File that the subarray comes from, for the message.

    Returns
    -------
    list of int
        Sorted telescope ids.

    Raises
    ------
    UserError
        If none is left.
    """
    chosen = [
        int(tel_id)
        for tel_id, telescope in subarray.tel.items()
        if (telescope_types is None or {str(telescope), telescope.camera.name} & set(telescope_types))
        and (telescope_ids is None or tel_id in telescope_ids)
    ]
    if not chosen:
        present = ", ".join(f"{name} ({_ids(ids)})" for name, ids in telescopes_by_type(subarray).items())
        wanted = [f"type {' or '.join(telescope_types)}"] if telescope_types else []
        wanted += [f"id {' or '.join(map(str, telescope_ids))}"] if telescope_ids else []
        raise UserError(f"{where} has no telescope of {' and '.join(wanted)}. It has: {present}.")
    return sorted(chosen)


def _ids(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids)) if len(ids) <= 6 else f"{len(ids)} telescopes"
