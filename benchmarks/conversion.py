"""Images per second of CPU time that become DL1: from simtel files and from the simulation, beside ctapipe's own tools.

Real simtel files are small, so their events stand in the file many times. ``ctapipe-process`` gets the same
configuration and the same files, in turn with ours, in one process.
"""

import argparse
import gzip
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import tables
import zstandard
from ctapipe.core import run_tool
from ctapipe.fitting import FIT_RNG
from ctapipe.image import ImageProcessor
from ctapipe.io import DataWriter
from ctapipe.io.hdf5dataformat import DL1_TEL_PARAMETERS_GROUP, SIMULATION_PARAMETERS_GROUP
from ctapipe.tools.process import ProcessorTool
from eventio import EventIOFile
from eventio.simtel import ArrayEvent, MCShower
from traitlets.config import Config

from benchmarks._report import report
from benchmarks.simulation import PRODUCTIONS
from cherenkov_pipeline.dl1.bulk import BulkDataWriter
from cherenkov_pipeline.dl1.convert import process_file
from cherenkov_pipeline.dl1.image_processing import ctapipe_config, image_processor
from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.simulated import SimulatedRun, array_event, write_run
from cherenkov_pipeline.dl1.written import start_activity
from cherenkov_pipeline.simulation.array import sst1m_array
from cherenkov_pipeline.simulation.parameters import SimulationParameters
from cherenkov_pipeline.simulation.showers import prepare, simulate
from cherenkov_pipeline.simulation.throwing import throw

PARAMETERS = DL1Parameters()
DATA = Path(os.environ.get("CHERENKOV_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
SIMTEL = {
    "SST-1M": ("sst1m_digicam_gamma_9ev.simtel.gz", 60),
    "LST + NectarCam": ("proton_run000001_za20deg_azm180deg_North_alpha_6.0.2_test.simtel.zst", 30),
}
"""Files, and how many times their events are repeated."""
FILES = ("ours.h5", "peer.h5")
SMALL = 1e-6
"""Parameters below it are as good as zero, in their own units."""


KEYS = {
    "images/s": "images_per_s",
    "peer images/s": "peer_images_per_s",
    "ratio": "ratio",
    "greatest deviation": "deviation",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the default number of images")
    parser.add_argument("--repeat", type=int, default=3, help="measurements, of which the fastest counts")
    arguments = parser.parse_args()
    start_activity()
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, copies) in SIMTEL.items():
            if (DATA / "simtel" / file).exists():
                path = repeated(DATA / "simtel" / file, Path(folder), max(1, round(arguments.scale * copies)))
                rows.append(compare(f"simtel {name}", simtel_writers(path), Path(folder), arguments.repeat))
        n_showers = max(200, round(arguments.scale * 40_000))
        rows.append(compare("simulated images", image_writers(n_showers), Path(folder), arguments.repeat))
        # repeated events compress better than others, so only here
        rows[-1]["size/peer"] = size_ratio(Path(folder))
        n_images, seconds = whole_simulation(Path(folder), 2 * n_showers)
    rows.append({"from": "simulation and DL1", "images": n_images, "images/s": n_images / seconds})
    for row in rows:
        key = row["from"].lower().replace(" + ", "_").replace(" ", "_").replace("-", "")
        figures |= {f"{key}_{figure}": row[name] for name, figure in KEYS.items() if name in row}
    columns = dict.fromkeys(name for row in rows for name in row)
    report([{name: row.get(name, np.nan) for name in columns} for row in rows], figures)


def compare(
    name: str, writers: tuple[Callable[[Path], None], Callable[[Path], None]], folder: Path, repeat: int
) -> dict[str, object]:
    """Time ours and ctapipe's in turn, and compare the image parameters in their files."""
    seconds: tuple[list[float], list[float]] = ([], [])
    paths = tuple(folder / file for file in FILES)
    for _ in range(repeat + 1):
        for write, path, taken in zip(writers, paths, seconds, strict=True):
            path.unlink(missing_ok=True)
            # where a new process starts
            FIT_RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state
            start = time.process_time()
            write(path)
            taken.append(time.process_time() - start)
    ours, peer = (min(taken[1:]) for taken in seconds)  # the first one compiles
    n_images, deviation = compared(*paths)
    return {
        "from": name,
        "images": n_images,
        "images/s": n_images / ours,
        "peer images/s": n_images / peer,
        "ratio": peer / ours,
        "greatest deviation": deviation,
    }


def compared(path: Path, peer: Path) -> tuple[int, float]:
    """Images in both files, and the greatest relative deviation of an image parameter; inf if one is not in both."""
    n_images, deviation = 0, 0.0
    with tables.open_file(path) as ours, tables.open_file(peer) as theirs:
        for group in (DL1_TEL_PARAMETERS_GROUP, SIMULATION_PARAMETERS_GROUP):
            for table in theirs.root[group]:
                expected, found = table[:], ours.root[table._v_pathname][:]
                if expected.dtype != found.dtype or len(expected) != len(found):
                    return n_images, np.inf
                n_images += len(expected) * (group == DL1_TEL_PARAMETERS_GROUP)
                for name in found.dtype.names:
                    # a line through two of three pixels leaves nothing over, whichever they are: rounding decides
                    decided = (
                        expected["morphology_n_pixels"] > 3 if name.startswith("timing_") else np.full(len(found), True)
                    )
                    deviation = max(deviation, relative(found[name][decided], expected[name][decided]))
    return n_images, deviation


def size_ratio(folder: Path) -> float:
    """Size of our file in those of ctapipe's."""
    ours, peer = ((folder / file).stat().st_size for file in FILES)
    return ours / peer


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Greatest relative deviation; inf where only one is finite."""
    if not np.array_equal(np.isfinite(found), np.isfinite(expected)):
        return np.inf
    found, expected = (values[np.isfinite(values)].astype(float) for values in (found, expected))
    return float(np.max(np.abs(found - expected) / np.maximum(np.abs(expected), SMALL), initial=0))


def simtel_writers(path: Path) -> tuple[Callable[[Path], None], Callable[[Path], None]]:
    """Our conversion, and ctapipe-process with the same configuration."""
    config = path.with_suffix(".json")
    config.write_text(
        json.dumps(
            {
                "EventSource": {"focal_length_choice": PARAMETERS.focal_length_choice},
                "DataWriter": {"write_dl1_images": True, "write_dl1_parameters": True},
                **ctapipe_config(PARAMETERS),
            }
        )
    )
    (item,) = find_inputs(path)

    def peer(output: Path) -> None:
        options = ["--config", str(config), "--input", str(path), "--output", str(output), "--log-level", "ERROR"]
        run_tool(ProcessorTool(), options, cwd=path.parent, raises=True)

    return partial(process_file, item=item, parameters=PARAMETERS), peer


def image_writers(n_showers: int) -> tuple[Callable[[Path], None], Callable[[Path], None]]:
    """Clean, parametrise and write simulated images, with our classes and with ctapipe's; simulated before."""
    production = PRODUCTIONS["gamma"].model_copy(update={"n_showers": n_showers})
    setup = prepare(SimulationParameters(training={"gamma": production}, test={}))
    throws = throw(production, setup.pointing, np.random.default_rng(1))
    showers = list(simulate(production, throws, setup, np.random.default_rng(2)))
    altitude, azimuth = setup.pointing
    pointing = (altitude.to("rad"), azimuth.to("rad"))
    run = SimulatedRun(sst1m_array(PARAMETERS.focal_length_choice), 1, production, pointing)

    def write(path: Path, process: Callable, writer: type[DataWriter]) -> None:
        with writer(run, output_path=path, write_dl1_images=True) as write:
            for number, shower in enumerate(showers):
                event = array_event(shower, number, run)
                process(event)
                write(event)

    theirs = ImageProcessor(run.subarray, config=Config(ctapipe_config(PARAMETERS)))
    return (
        lambda path: write(path, image_processor(run.subarray, PARAMETERS), BulkDataWriter),
        lambda path: write(path, theirs, DataWriter),
    )


def whole_simulation(folder: Path, n_showers: int) -> tuple[int, float]:
    """Images and CPU seconds of a simulated run, from the showers to the file."""
    production = PRODUCTIONS["gamma"].model_copy(update={"n_showers": n_showers})
    parameters = SimulationParameters(training={"gamma": production}, test={})
    start = time.process_time()
    record = write_run(folder / "run.dl1.h5", "gamma", 1, np.random.SeedSequence(1), parameters, production, PARAMETERS)
    return record["n_images"], time.process_time() - start


def repeated(path: Path, folder: Path, copies: int) -> Path:
    """Write a simtel file whose events follow each other many times: bytes of a real file, from its own objects."""
    with gzip.open(path) if path.suffix == ".gz" else zstandard.open(path) as stream:
        plain = stream.read()
    source = folder / path.with_suffix("").name
    source.write_bytes(plain)
    with EventIOFile(source) as file:
        objects = [(type(item), item.header) for item in file]
    begin = next(header.content_address - header.header_size for kind, header in objects if kind is MCShower)
    end = max(header.content_address + header.content_size for kind, header in objects if kind is ArrayEvent)
    source.write_bytes(plain[:begin] + copies * plain[begin:end] + plain[end:])
    return source


if __name__ == "__main__":
    main()
