"""How close the simulated showers come to the official Monte Carlo of SST-1M, figure by figure.

Simulates what is needed with the package's own pipeline, measures every figure that the collaboration has published,
and prints one table: official, ours, error, ratio, whether it is within its limit. At full size it takes two cores a
quarter of an hour; ``--scale 0.2`` is enough to see where one stands.
"""

import argparse
import operator
import tempfile
from itertools import pairwise
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, vstack
from matplotlib.figure import Figure
from pyirf.cuts import calculate_percentile_cut, evaluate_binned_cut
from pyirf.spectral import CRAB_HEGRA, DAMPE_P_He_SPECTRUM

from benchmarks import _agreement_plots as agreement_plots
from benchmarks import _shower_plots as shower_plots
from benchmarks._agreement import (
    Judged,
    auc_per_intensity,
    comparison_rows,
    direction_per_bin,
    effective_area,
    membership,
    summed_rate,
)
from benchmarks._forest import fit
from benchmarks._report import Clock, report
from benchmarks._shower_samples import (
    AREA_ENERGIES,
    N_TELESCOPES,
    REAL_EVENTS,
    Sample,
    light_pool,
    muon_image,
    populations,
    real_events,
    simulate_samples,
    test_data,
)
from cherenkov_pipeline.directions import along_axis, true_direction
from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.dl1.selection import select
from cherenkov_pipeline.models.options import ForestParameters
from cherenkov_pipeline.performance import statistics
from cherenkov_pipeline.performance.binning import energy_edges
from cherenkov_pipeline.performance.bootstrap import shower_labels
from cherenkov_pipeline.performance.energy import energy_per_bin
from cherenkov_pipeline.performance.metrics import Estimate, Metric, estimate
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.published import random_forest_direction, random_forest_energy
from cherenkov_pipeline.performance.weighting import flux_weights
from cherenkov_pipeline.simulation.array import digicam_geometry

#: official figures: SST-1M's Monte Carlo at 510 m and 20 degrees of zenith (areas in m2, rate in Hz, angles in deg)
AREA_TRIGGER = {1: 8.3e4, 10: 4.7e5, 100: 1.07e6}
AREA_CLEANED = {1: 4.5e4, 10: 3.7e5}
SHAPE = {1: {"width": 0.10, "length": 0.20}, 10: {"width": 0.11, "length": 0.43}}
PROTON_RATE, PROTON_WIDTH = 71.8, 0.128
POOL = {10: 119, 50: 114, 100: 133, 125: 146, 150: 120, 200: 48, 300: 19}
AUC_EDGES, AUC_VALUES = (1.6, 2.2, 2.8, np.inf), (0.80, 0.90, 0.955)
FOREST_ENERGIES = 1.58, 25.2  # TeV
#: sst1mpipe's cut before resolutions: share of the gammas kept at each reconstructed energy, least and greatest cut
GAMMA_EFFICIENCY, GAMMANESS_RANGE = 0.6, (0.1, 0.95)
HOUSE_LIMIT, FOREST_LIMIT, AUC_LIMIT, SHAPE_LIMIT = 0.25, 0.30, 0.05, 0.15

INTENSITY = "hillas_intensity"
QUANTITIES = {
    INTENSITY: "Intensity [p.e.]",
    "hillas_width": "Width [deg]",
    "hillas_length": "Length [deg]",
    "time_gradient": "Time gradient [ns/deg]",
}

#: one standard error from the bootstrap
STATISTICS = EvaluationParameters(confidence=0.6827, resamples=300)

Measured = tuple[list[Judged], dict[str, Figure]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the full number of showers")
    parser.add_argument("--workers", type=int, default=2, help="files simulated side by side")
    parser.add_argument("--folder", type=Path, help="keep the simulated files here, and use those that are there")
    parser.add_argument("--figures", type=Path, help="draw the figures into this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        comparisons, figures = measure(
            arguments.folder or Path(temporary), Path(temporary), arguments.scale, arguments.workers
        )
    if arguments.figures:
        arguments.figures.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(arguments.figures / f"{name}.png", dpi=100)
    judged = [comparison.within for comparison in comparisons if comparison.within is not None]
    report(
        comparison_rows(comparisons),
        {c.key: c.value for c in comparisons} | {"n_within": sum(judged), "n_judged": len(judged)},
    )


def measure(folder: Path, temporary: Path, scale: float, n_workers: int) -> Measured:
    """Simulate and measure everything."""
    clock = Clock()
    rng = np.random.default_rng(20240611)
    samples = simulate_samples(folder, scale, n_workers)
    clock.say(", ".join(f"{name}: {len(sample.table)} images" for name, sample in samples.items()))
    comparisons, figures = [], {}

    def add(what: str, measured: Measured) -> None:
        comparisons.extend(measured[0])
        figures.update(measured[1])
        clock.say(what)

    add("areas", areas(samples))
    add("shapes", shapes(samples, rng))
    add("rates", rates(samples))
    add("light pool", pool(max(30, round(scale * 400)), rng))
    add("random forest", forest(samples, rng))
    add("separation", separation(samples, rng))
    if (path := test_data() / REAL_EVENTS).exists():
        add("real events", real(path, temporary, max(100, round(scale * 500)), rng))
    else:
        print(f"no real events: {path} does not exist (set CHERENKOV_TEST_DATA)", flush=True)
    figures["images"] = gallery(samples, rng)
    return comparisons, figures


def areas(samples: dict[str, Sample]) -> Measured:
    """Effective areas of one telescope, after the trigger and after cleaning."""
    stages = {
        "after trigger": ("trigger", lambda table: np.ones(len(table), dtype=bool), AREA_TRIGGER, HOUSE_LIMIT),
        "after cleaning": ("cleaned", is_cleaned, AREA_CLEANED, HOUSE_LIMIT),
        "cleaned, above 50 p.e.": ("50pe", is_bright, AREA_CLEANED, np.nan),
    }
    tables, comparisons = {}, []
    for stage, (key, chosen, official, limit) in stages.items():
        rows = []
        for energy in AREA_ENERGIES:
            sample = samples[f"gamma_{energy}tev"]
            showers = np.asarray(sample.table["shower"])[chosen(sample.table)]
            thrown_area = np.pi * sample.production.core_radius**2
            area, error = effective_area(showers, sample.n_showers, sample.n_trials, thrown_area)
            expected = official.get(energy, np.nan)
            rows.append((energy * u.TeV, area, error, expected * u.m**2))
            if energy in official:
                label = f"gamma area {stage}, {energy} TeV [m2]"
                comparisons.append(Judged(f"area_{key}_{energy}tev", label, expected, area.value, error.value, limit))
        tables[stage] = QTable(rows=rows, names=("energy", "area", "error", "official"))
    del tables["cleaned, above 50 p.e."]
    return comparisons, {"areas": shower_plots.effective_areas(tables, HOUSE_LIMIT)}


def shapes(samples: dict[str, Sample], rng: np.random.Generator) -> Measured:
    """Widths and lengths after cleaning, above 50 p.e."""
    comparisons = []
    for energy, official in SHAPE.items():
        table = samples[f"gamma_{energy}tev"].table
        table = table[is_bright(table)]
        for what, value in official.items():
            found = median(table, f"hillas_{what}", rng)
            label = f"gamma {what}, median, {energy} TeV [deg]"
            comparisons.append(compare(f"{what}_{energy}tev", label, value, found, SHAPE_LIMIT))
    protons = passing(samples["proton_diffuse"].table)
    found = median(protons, "hillas_width", rng)
    comparisons.append(compare("width_proton", "proton width, median [deg]", PROTON_WIDTH, found, SHAPE_LIMIT))
    return comparisons, {}


def rates(samples: dict[str, Sample]) -> Measured:
    """Rate of protons (with helium) in one telescope, and the size spectra of protons and of the Crab."""
    edges = np.linspace(1.6, 5, 18)
    comparisons, spectra = [], {}
    for name, spectrum, label in (
        ("proton_diffuse", DAMPE_P_He_SPECTRUM, "protons and helium (DAMPE)"),
        ("gamma_point", CRAB_HEGRA, "gammas (Crab)"),
    ):
        sample = samples[name]
        table = sample.table[is_cleaned(sample.table)]
        weights = flux_weights(u.Quantity(table["true_energy"]), sample.thrown, spectrum)
        showers, log_intensity = np.asarray(table["shower"]), np.log10(np.asarray(table[INTENSITY], dtype=float))
        bins = [(log_intensity >= low) & (log_intensity < high) for low, high in pairwise(edges)]
        per_bin = u.Quantity([summed_rate(weights[rows], showers[rows], N_TELESCOPES) for rows in bins])
        spectra[label] = QTable(
            {
                "log_intensity_low": edges[:-1],
                "log_intensity_high": edges[1:],
                "rate": per_bin[:, 0],
                "error": per_bin[:, 1],
            }
        )
        if name == "proton_diffuse":
            for key, what, rows in (
                ("proton_rate", "cleaned", slice(None)),
                ("proton_rate_50pe", "cleaned, above 50 p.e.", is_bright(table)),
            ):
                rate, error = summed_rate(weights[rows], showers[rows], N_TELESCOPES).to_value(u.Hz)
                limit = HOUSE_LIMIT if key == "proton_rate" else np.nan
                comparisons.append(Judged(key, f"proton+He rate, {what} [Hz]", PROTON_RATE, rate, error, limit))
    return comparisons, {"size-spectrum": shower_plots.size_spectrum(spectra)}


def pool(n_showers: int, rng: np.random.Generator) -> Measured:
    """Light of a vertical gamma of 1 TeV on the ground."""
    found = light_pool(list(POOL), n_showers, rng)
    comparisons = [
        Judged(f"light_{distance}m", f"light of 1 TeV at {distance} m [1/m2]", official, *row, HOUSE_LIMIT)
        for (distance, official), row in zip(POOL.items(), found, strict=True)
    ]
    table = QTable(
        {
            "distance": list(POOL) * u.m,
            "photons": found[:, 0] / u.m**2,
            "error": found[:, 1] / u.m**2,
            "official": list(POOL.values()) / u.m**2,
        }
    )
    return comparisons, {"light-pool": shower_plots.light_pool(table)}


def forest(samples: dict[str, Sample], rng: np.random.Generator) -> Measured:
    """Random forest of the collaboration: trained on diffuse showers, tested on a point source 0.5 deg off axis.

    The published curves are those of the most gamma-like images; the same of all images is given without a limit.
    """
    names = ("gamma_diffuse", "gamma_flat", "proton_diffuse", "proton_flat")
    training = [passing(samples[name].table) for name in names]
    forests = fit(vstack(training, metadata_conflicts="silent"), ForestParameters(), seed=1)
    predictions = forests.predict(passing(samples["gamma_point"].table))
    comparisons, figures = [], {}
    for chosen, suffix, limit in ((gamma_like(predictions), "", FOREST_LIMIT), (predictions, ", no cut", np.nan)):
        measured = {
            "direction": (
                direction_per_bin(chosen[chosen["right_sign"]], STATISTICS, rng),
                random_forest_direction("mono_tel1"),
                "angular_resolution",
                "angular resolution, right side [deg]",
            ),
            "energy": (
                energy_per_bin(chosen, STATISTICS, rng),
                random_forest_energy("mono_tel1"),
                "quantile_68",
                "energy resolution, 68 % quantile",
            ),
        }
        for what, (ours, published, column, label) in measured.items():
            for row, official in zip(ours, published, strict=True):
                low, high = (row[f"true_energy_{side}"].to_value("TeV") for side in ("low", "high"))
                if FOREST_ENERGIES[0] < low and high < FOREST_ENERGIES[1]:
                    value, below, above = (u.Quantity(row[column + end]).value for end in ("", "_low", "_high"))
                    found = Estimate(value, below, above, row["n"])
                    text = f"forest {label}, {low:.1f}-{high:.1f} TeV{suffix}"
                    key = f"forest_{what}_{low:.1f}tev{suffix.replace(', ', '_').replace(' ', '_')}"
                    comparisons.append(compare(key, text, u.Quantity(official[column]).value, found, limit))
            if not suffix:
                figures[f"forest-{what}"] = agreement_plots.forest_resolution(
                    ours, published, column, label.capitalize(), FOREST_ENERGIES, FOREST_LIMIT
                )
    return comparisons, figures


def gamma_like(predictions: QTable) -> QTable:
    """Choose the most gamma-like gammas of each bin of reconstructed energy, as sst1mpipe does."""
    gammaness, energy = np.asarray(predictions["gammaness"]), predictions["reco_energy"]
    cuts = calculate_percentile_cut(
        gammaness,
        energy,
        energy_edges(STATISTICS),
        fill_value=gammaness.max(),
        percentile=100 * (1 - GAMMA_EFFICIENCY),
        min_value=GAMMANESS_RANGE[0],
        max_value=GAMMANESS_RANGE[1],
    )
    return predictions[evaluate_binned_cut(gammaness, energy, cuts, operator.ge)]


def separation(samples: dict[str, Sample], rng: np.random.Generator) -> Measured:
    """Gammas from protons, both diffuse: each half of the showers is judged by a forest grown on the other half.

    Bright images are few where energies are thrown E^-2: those of the flat samples are added to the training.
    """

    def mixed(kind: str, least: float) -> Table:
        """As many gammas as protons, as the collaboration trains."""
        images = [passing(samples[f"{particle}_{kind}"].table) for particle in ("gamma", "proton")]
        images = [table[np.asarray(table[INTENSITY]) > least] for table in images]
        images[1] = images[1][u.Quantity(images[1]["true_energy"]) > 0.4 * u.TeV]
        n = min(len(table) for table in images)
        return vstack([table[rng.permutation(len(table))[:n]] for table in images], metadata_conflicts="silent")

    both, bright = mixed("diffuse", 0), mixed("flat", 10 ** AUC_EDGES[-2])
    half = shower_labels(both) % 2 == 0
    parameters = ForestParameters(timing=False)
    predictions = vstack(
        [
            fit(vstack([both[rows], bright], metadata_conflicts="silent"), parameters, seed=1).predict(both[~rows])
            for rows in (half, ~half)
        ]
    )
    table = auc_per_intensity(predictions, AUC_EDGES, STATISTICS, rng)
    comparisons = []
    for row, official in zip(table, AUC_VALUES, strict=True):
        found = Estimate(row["auc"], row["auc_low"], row["auc_high"], row["n"])
        label = f"AUC, log10(intensity) {row['log_intensity_low']:g}-{row['log_intensity_high']:g}"
        key = f"auc_{row['log_intensity_low']:g}"
        comparisons.append(compare(key, label, official, found, AUC_LIMIT, relative=False))
    return comparisons, {"auc": agreement_plots.auc_by_intensity(table, AUC_VALUES, AUC_LIMIT)}


def real(path: Path, temporary: Path, n_showers: int, rng: np.random.Generator) -> Measured:
    """Real sim_telarray events of SST-1M within simulated gammas of their energy, distance and conditions."""
    events = real_events(path, temporary)
    simulated = populations(events, n_showers, rng)
    for table in (events, *simulated):
        towards = np.sign(along_axis(table, true_direction(table)))
        table["time_gradient"] = np.asarray(table["timing_slope"]) * towards
    members = membership(events, simulated, list(QUANTITIES))
    for name in ("value", "low", "median", "high", "rank"):
        members[name].info.format = ".3g"
    members.pprint(max_lines=-1, max_width=-1)
    n, expected = len(members), 0.95 * len(members)
    error = np.sqrt(0.05 * expected)  # binomial
    label = f"real events: values in the central 95 %, of {n}"
    count = Judged("real_within", label, expected, float(members["within"].sum()), error, 2 * error, relative=False)
    figure = agreement_plots.events_in_population(np.asarray(events["true_energy"]), members, QUANTITIES)
    return [count], {"real-events": figure}


def gallery(samples: dict[str, Sample], rng: np.random.Generator) -> Figure:
    """Camera images of gammas, protons and muons."""
    rows = {}
    for kind, name in (("gammas", "gamma_point"), ("protons", "proton_diffuse")):
        chunk = samples[name].chunk()
        bright = np.flatnonzero(np.asarray(chunk.table[INTENSITY]) > 200)
        bright = bright[np.asarray(chunk.table["leakage_intensity_width_2"])[bright] < 0.2]
        chosen = bright[np.argsort(chunk.table["true_energy"][bright])]
        chosen = chosen[np.linspace(0, len(chosen) - 1, min(4, len(chosen))).astype(int)]
        energies = chunk.table["true_energy"]
        rows[kind] = [(f"{float(f'{energies[row]:.2g}'):g} TeV", chunk.image[row]) for row in chosen]
    rows["single muons"] = [
        (f"{energy} GeV, {distance:g} m off", muon_image(energy, distance, rng))
        for energy, distance in ((20, 0.0), (20, 1.0), (30, 2.0), (40, 5.0))
    ]
    return shower_plots.camera_gallery(digicam_geometry(), rows)


def is_cleaned(table: Table) -> np.ndarray:
    """Images of which the cleaning leaves something."""
    return np.isfinite(np.asarray(table[INTENSITY], dtype=float))


def is_bright(table: Table) -> np.ndarray:
    """Images above 50 p.e."""
    return np.asarray(table[INTENSITY], dtype=float) > 50


def passing(table: Table) -> Table:
    """Images that pass the cuts of the collaboration."""
    return table[select(table, SelectionParameters())[0]]


def median(table: Table, column: str, rng: np.random.Generator) -> Estimate:
    """Median of a column, with its interval."""
    metric = Metric("median", column, (column,), statistics.median)
    columns = {column: np.asarray(table[column], dtype=float)}
    return estimate(columns, (metric,), shower_labels(table), STATISTICS, rng)["median"]


def compare(key: str, label: str, official: float, found: Estimate, limit: float, relative: bool = True) -> Judged:
    """Set an estimate beside the official figure."""
    return Judged(key, label, official, found.value, (found.high - found.low) / 2, limit, relative)


if __name__ == "__main__":
    main()
