"""Predictions close the account that raw files open."""

from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.reconstruction.provenance import reconstruction_provenance


def test_counts_and_reasons_of_predictions():
    dl1 = {
        "path": "run.dl1.h5",
        "fingerprint": "d1",
        "n_events": 5,
        "n_images": 7,
        "n_thrown": None,
        "particles": {"gamma": 5},
        "telescope_types": {},
        "inputs": [{"path": "run.simtel", "fingerprint": "r1", "n_events": 5, "n_images": 7, "problem": None}],
    }
    counts = {
        "n_images": 7,
        "n_valid": 4,
        "n_invalid": 3,
        "reasons": {"not selected": 2, "prediction is not finite": 1},
        "n_outside_validity": 6,
    }
    dl2 = {"path": "run.dl2.h5", "fingerprint": "d2", "models": {"energy": "single_tel"}, "tasks": {"energy": counts}}
    raw = {"path": "run.simtel", "kind": "simtel", "size": 1000, "fingerprint": "r1"}

    table = reconstruction_provenance([raw], FileSet("f", [dl1]), FileSet("g", [dl2]))

    last = table.iloc[-1]
    assert (last["step"], last["item"], last["n_in"], last["n_out"]) == ("prediction", "run.dl2.h5", 7, 4)
    assert last["detail"] == (
        "energy by single_tel; 2 not selected; 1 prediction is not finite; "
        "6 at zenith angles that the model was not trained for"
    )
    assert (table["n_out"].iloc[:-1] == 7).all()
