"""Simulated alerts and frames of ECLAIRs per second of CPU time on one core, and the memory that they take."""

import argparse
import resource
import time

from benchmarks._report import report
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.alerts.simulation.sample import simulate_noise, simulate_sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of 540 alerts and 5000 frames")
    scale = parser.parse_args().scale
    simulate_sample(AlertSimulationParameters(n_images=1))  # masks and decoders are made once
    rows, figures = [], {}

    parameters = AlertSimulationParameters(n_images=max(1, round(540 * scale)))
    start = time.process_time()
    simulate_sample(parameters)
    add(rows, figures, "alerts", parameters.n_images, time.process_time() - start)

    n_frames = max(1, round(5000 * scale))
    start = time.process_time()
    for _ in simulate_noise(parameters, n_frames):
        pass
    add(rows, figures, "frames", n_frames, time.process_time() - start)
    report(rows, figures)


def add(rows: list[dict[str, object]], figures: dict[str, float], name: str, n: int, seconds: float) -> None:
    """Add a line: the peak of the memory is that of the process until now."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows.append({"what": name, "n": n, "per s": n / seconds, "peak MB": memory})
    figures[f"{name}_per_s"] = n / seconds
    figures[f"{name}_peak_mb"] = memory


if __name__ == "__main__":
    main()
