"""What a monitoring system wants to know of the server, in the format of Prometheus.

Nothing of patients or users is in it: numbers of jobs, of devices, and of the process.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monai_app.lib.device_queue import DeviceQueue
from xr2mri_core import __version__

Numbers = CounterMetricFamily | GaugeMetricFamily


def metrics_of(queue: DeviceQueue) -> CollectorRegistry:
    """The metrics of one server."""
    registry = CollectorRegistry()
    registry.register(QueueMetrics(queue))
    ProcessCollector(registry=registry)
    return registry


def text_of(registry: CollectorRegistry) -> bytes:
    """The text that `/metrics` answers."""
    return bytes(generate_latest(registry))


class QueueMetrics(Collector):
    """Read from the line itself when they are asked for."""

    def __init__(self, queue: DeviceQueue) -> None:
        self.queue = queue

    def collect(self) -> Iterator[Metric]:
        """Each metric with its help."""
        queue = self.queue
        about = GaugeMetricFamily("xr2mri_info", "the version that serves", labels=["version"])
        about.add_metric([__version__], 1)
        yield about
        yield GaugeMetricFamily("xr2mri_jobs_waiting", "jobs in the line", queue.waiting)
        yield GaugeMetricFamily("xr2mri_jobs_waiting_most", "places in it", queue.max_waiting)
        ended = CounterMetricFamily("xr2mri_jobs_ended", "jobs by their end", labels=["state"])
        for state, count in queue.ended.items():
            ended.add_metric([state], count)
        yield ended
        yield CounterMetricFamily(
            "xr2mri_slices", "units of work (slices of samples) of jobs that were done", queue.units
        )
        yield CounterMetricFamily(
            "xr2mri_device_seconds", "that devices generated, all together", queue.seconds
        )
        labels = ["device", "place"]
        busy = GaugeMetricFamily("xr2mri_device_busy", "whether it generates", labels=labels)
        lost = CounterMetricFamily(
            "xr2mri_device_jobs_lost", "jobs in whose middle its process ended", labels=labels
        )
        for place, name in enumerate(queue.devices):
            busy.add_metric([name, str(place)], queue.running[place] is not None)
            lost.add_metric([name, str(place)], queue.lost[place])
        yield busy
        yield lost
