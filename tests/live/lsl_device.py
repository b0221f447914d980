"""A sensor on the network, as a process of its own:
every sample's value is the true time at which it was taken.

python lsl_device.py '{"name": ..., "kind": ..., "rate_hz": ..., "labels": [...],
"unit": ..., "origin_s": ...}'

Value of channel c: seconds since origin_s on the reader's clock, plus 1000 c; of one called
ADC_Sequence, a counter of 8 bits. With "burst": n, samples are sent n at a time, all stamped with
the time of the last. Where SKEW_OFFSET_S and SKEW_DRIFT are set, this process lives on a clock of
its own (skewed_clock.c), on which its time stamps are.
"""

import json
import os
import select
import sys

import numpy as np

from emodict.live.liblsl import Outlet, local_clock_s


def main() -> None:
    settings = json.loads(sys.argv[1])
    origin_s, rate_hz, labels = settings["origin_s"], settings["rate_hz"], settings["labels"]
    offset_s, drift = (
        float(os.environ.get("SKEW_OFFSET_S", 0)),
        float(os.environ.get("SKEW_DRIFT", 0)),
    )
    lanes = 1000.0 * np.arange(len(labels))
    counters = np.array([label == "ADC_Sequence" for label in labels])
    burst = settings.get("burst", 1)

    def true_s() -> float:
        return (local_clock_s() - offset_s + drift * origin_s) / (1 + drift)

    outlet = Outlet(
        name=settings["name"],
        kind=settings["kind"],
        source_id=settings["source_id"],
        labels=labels,
        rate_hz=rate_hz,
        unit=settings["unit"],
    )
    with outlet:
        print(local_clock_s() - true_s(), flush=True)
        count = int((true_s() - origin_s) * rate_hz) + 1
        while os.getppid() == settings["parent"]:
            while (last_s := (count + burst - 1) / rate_hz) <= true_s() - origin_s:
                for number in range(count, count + burst):
                    values = np.where(counters, number % 256, number / rate_hz + lanes)
                    outlet.push(values, origin_s + last_s * (1 + drift) + offset_s)
                count += burst
            # Not time.sleep: it waits for a moment of the clock, and the kernel's is not skewed.
            select.select([], [], [], 0.01)


main()
