"""Simulation: showers to learn from, and a point source to test with."""

from kedro.pipeline import Pipeline, node

from cherenkov_pipeline.pipelines.simulation.nodes import plan_test_showers, plan_training_showers


def create_pipeline() -> Pipeline:
    """Build the pipeline."""
    return Pipeline(
        [
            node(
                plan_training_showers,
                ["params:simulation", "params:dl1"],
                "simulated_showers",
                name="simulate_showers",
                tags="cpu",
            ),
            node(
                plan_test_showers,
                ["params:simulation", "params:dl1"],
                "simulated_point_source",
                name="simulate_point_source",
                tags="cpu",
            ),
        ],
        tags="simulation",
    )
