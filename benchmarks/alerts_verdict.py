"""How long a verdict on a sub-image takes: of a command that has to start first, and of a service that runs.

    python -m benchmarks.alerts_verdict [--bundle FOLDER] [--n 100] [--threads 2]

The bundle is what ``kedro run --pipeline=grb_alerts`` left in the data folder, unless another is named. The last line
is one JSON object with medians: ``cold_seconds`` of ``python -m cherenkov_pipeline.alerts judge`` on one file (at most
6), ``cold_kedro_seconds`` of ``kedro alerts judge``, ``judge_ms`` of the verdict alone, ``inbox_ms`` of everything that
is done with a file in the inbox, from reading it to its page and its line in the audit log (at most 150), and
``memory_mb``, the peak of this process.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks._report import report
from cherenkov_pipeline.alerts.bundle import Bundle, newest_bundle, read_bundle
from cherenkov_pipeline.alerts.commands import BUNDLE
from cherenkov_pipeline.alerts.images import MISSING, SubImages
from cherenkov_pipeline.alerts.service.inbox import InboxParameters, open_inbox
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.alerts.simulation.sample import simulate_sample
from cherenkov_pipeline.alerts.verdict import judge
from cherenkov_pipeline.errors import UserError

N_STARTS = 5
SEED = 77
"""Of the sub-images: no training has it."""

LIMITS = {"cold_seconds": "at most 6", "inbox_ms": "at most 150"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("CHERENKOV_DATA", "data")) / BUNDLE
    parser.add_argument("--bundle", type=Path, default=default, help="the ensemble that judges")
    parser.add_argument("--n", type=int, default=100, help="sub-images")
    parser.add_argument("--threads", type=int, default=2, help="of one network")
    arguments = parser.parse_args()
    try:
        bundle = read_bundle(newest_bundle(arguments.bundle), arguments.threads)
    except UserError as error:
        sys.exit(f"Error: {error}")
    images = simulate_sample(AlertSimulationParameters(n_images=arguments.n, seed=SEED))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = [single_file(folder / f"{row}.npz", images[row : row + 1]) for row in range(len(images))]
        options = [str(files[0]), f"--bundle={arguments.bundle}", f"--threads={arguments.threads}"]
        figures = {
            "cold_seconds": median(started("cherenkov_pipeline.alerts", "judge", *options) for _ in range(N_STARTS)),
            "cold_kedro_seconds": median(started("kedro", "alerts", "judge", *options) for _ in range(N_STARTS)),
            "inbox_ms": median(dropped(files, folder, bundle)),
            "judge_ms": median(judge(bundle, images[row : row + 1])[0].latency_ms for row in range(len(images))),
        }
    figures["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report(
        [{"figure": name, "value": value, "wanted": LIMITS.get(name, "")} for name, value in figures.items()],
        figures | {"n_images": len(images), "n_members": len(bundle.card.members)},
    )


def single_file(path: Path, image: SubImages) -> Path:
    """Write a sub-image as the inbox takes it."""
    row = image.table[0]
    snr = np.where(image.codes[0] == MISSING, np.nan, image.snr[0])
    np.savez(path, image=snr, snr_max=row["snr_max"], snr_std=row["snr_std"])
    return path


def started(*command: str) -> float:
    """Seconds of a whole process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def dropped(files: list[Path], folder: Path, bundle: Bundle) -> list[float]:
    """Milliseconds for each file that is dropped into an inbox, which is looked into at once."""
    inbox, seconds = folder / "inbox", []
    inbox.mkdir()
    parameters = InboxParameters(settle=0)
    with open_inbox(inbox, folder / "verdicts", bundle, parameters, tell=lambda line: None) as opened:
        for path in files:
            path.rename(inbox / path.name)
            began = time.perf_counter()
            look = opened.look()
            seconds.append(time.perf_counter() - began)
            assert look.n_done == 1
    return [1000 * one for one in seconds]


if __name__ == "__main__":
    main()
