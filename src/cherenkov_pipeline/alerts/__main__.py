"""``python -m cherenkov_pipeline.alerts``: the commands of ``kedro alerts``, without Kedro."""

from cherenkov_pipeline.alerts.commands import alerts

if __name__ == "__main__":
    alerts(prog_name="python -m cherenkov_pipeline.alerts")
