"""Whose recording it is: a code, and never what a header tells of the person beside it."""

from __future__ import annotations

import re

# EDF+ has a code, the sex, the birth date and the name in one field ("P11 F 01-JAN-1990 Name"), X
# for what is not known; some writers leave the code out.
_NO_CODE = re.compile(r"[XMF]|(fe)?male|\d{1,2}[-./]\w{2,3}[-./]\d{2,4}", re.IGNORECASE)


def patient_code(field: str) -> str:
    """The code that stands first in EDF+'s field of the patient; "" where there is none."""
    code = field.strip().partition(" ")[0]
    return "" if _NO_CODE.fullmatch(code) else code
