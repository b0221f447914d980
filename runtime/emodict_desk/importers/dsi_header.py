"""The # lines above the table of a DSI-Streamer CSV, of any version, by their meaning."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from pathlib import Path

from emodict.errors import RecordingError
from emodict_desk.importers.clock import clock_time, parse_time
from emodict_desk.importers.patient import patient_code

_START_DATE = re.compile(r"Startdate (\d{1,2}-[A-Z]{3}-\d{4})\b.*", re.IGNORECASE)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class Header:
    """`# Sample_Frequency_(Hz) =,300` or `#Reference,Pz`, asked by what the lines mean."""

    def __init__(self, comments: Sequence[str]) -> None:
        self._said: dict[str, str] = {}
        for line in comments:
            parts = re.match(r"#+\s*([^:=,(]+?)\s*(?:\([^)]*\))?\s*[:=,]+\s*(.*)", line)
            if parts:
                name = parts.group(1).replace("_", " ").strip().lower()
                self._said.setdefault(name, parts.group(2).strip(" ,\t"))

    def rate_hz(self, path: Path) -> float:
        """The sampling rate.

        Raises:
            RecordingError: none of the lines names it.
        """
        text = self._find(r"(sampl(e|ing)[ -]*(rate|frequency|freq\.?)|frequency)")
        found = re.match(r"\d+(\.\d+)?", text)
        if not found or float(found.group()) <= 0:
            raise RecordingError(
                f"{path}: the header names no sampling rate",
                expected="a line such as '# Sample Rate,300'",
                got=text or f"{len(self._said)} other lines",
                fix="Export it again with its header, or read it with `emodict-session import "
                "csv --rate HZ`",
            )
        return float(found.group())

    @property
    def unit(self) -> str:
        return self._find(r".*\bunits?")

    @property
    def reference(self) -> str:
        return self._find(r"reference( location| channel| electrode)?")

    @property
    def device(self) -> str:
        """The headset, without its serial number."""
        named = self._find(r"(product|headset( type)?|device|hardware)( name)?")
        return re.sub(r"\s+SN:.*", "", named) or "DSI headset"

    @property
    def subject(self) -> str:
        """The code of the person alone, which stands first; "" where there is none."""
        return patient_code(self._find(r"(subject|patient)( id)?( code)?"))

    @property
    def start_time(self) -> str:
        """ISO 8601 without a zone, "" where nothing says; a date is month/day/year."""
        date, time = self._find(r"date"), self._find(r"(start )?time")
        written = parse_time(f"{date} {time}".strip())
        if written is not None:
            return written.isoformat().replace("+00:00", "Z")
        clock, day = clock_time(time), self._start_date() or _month_first(date)
        if clock is None or day is None:
            return ""
        midnight = datetime.datetime.combine(day, datetime.time())
        return (midnight + datetime.timedelta(seconds=clock.second_of_day)).isoformat()

    def _start_date(self) -> datetime.date | None:
        """Of EDF+'s field of the recording, where a month has a name."""
        found = _START_DATE.fullmatch(self._find(r"rec(ord)?(ing)? id"))
        if not found:
            return None
        day, month, year = found.group(1).upper().split("-")
        return _date(int(year), _MONTHS.index(month) + 1 if month in _MONTHS else 0, int(day))

    def _find(self, pattern: str) -> str:
        found = (value for key, value in self._said.items() if re.fullmatch(pattern, key))
        return next(found, "")


def _month_first(text: str) -> datetime.date | None:
    found = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text)
    return _date(int(found[3]), int(found[1]), int(found[2])) if found else None


def _date(year: int, month: int, day: int) -> datetime.date | None:
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None
