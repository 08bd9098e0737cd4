"""Generate a cohort on the GPUs of a Slurm cluster: one worker for each job and GPU.

    .venv/bin/python docs/slurm_cluster.py data/datalist.json volumes

Partition, account and times are examples; the folder that both ends mount is where this starts.
"""

import os
import sys

from dask_jobqueue import SLURMCluster

from xr2mri_core.cli import main

JOBS = 20


def slurm() -> SLURMCluster:
    """What each job asks Slurm for. Jobs wait in the queue; work starts with the first of them."""
    return SLURMCluster(
        queue="gpu",
        walltime="04:00:00",
        cores=1,  # one thread: one knee at a time, with one generator
        processes=1,
        memory="16GB",
        job_cpu=4,
        job_extra_directives=["--gres=gpu:1"],
        python=sys.executable,
        worker_extra_args=["--lifetime", "230m", "--lifetime-stagger", "5m"],  # ends by itself
        log_directory="slurm_logs",
        scheduler_options={"dashboard": False},
    )


if __name__ == "__main__":
    datalist, out = sys.argv[1:3]
    with slurm() as cluster:
        cluster.scale(jobs=JOBS)
        words = ["generate", "--datalist", datalist, "--out", out, "--device", "cuda"]
        status = main([*words, "--scheduler", cluster.scheduler_address])
    os._exit(status)  # Dask's threads have nothing more to say
