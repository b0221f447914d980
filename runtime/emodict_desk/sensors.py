"""Sensors: what a device has, where it is less than the features could use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from emodict.errors import InputError
from emodict.features.spec import FeatureSpec
from emodict.recording.electrodes import electrode_names
from emodict.recording.modalities import EEG, modality_name

if TYPE_CHECKING:
    from emodict_desk.tables.table import FeatureTable

Whole = TypeVar("Whole", FeatureSpec, "FeatureTable")


@dataclass(frozen=True)
class Sensors:
    """The sensors of a device.

    Attributes:
        modalities: only these; () for all of the feature spec.
        channels: only these of the EEG, in this order; () for those of the feature spec.
    """

    modalities: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.channels:
            return
        if self.modalities and EEG not in self.modalities:
            raise InputError(
                "EEG channels are chosen for a model without EEG",
                expected=f"{EEG} among the modalities",
                got=",".join(self.modalities),
                fix=f"Leave --channels out, or use --modalities {EEG},{','.join(self.modalities)}",
            )
        object.__setattr__(self, "channels", electrode_names(self.channels))

    def of(self, whole: Whole) -> Whole:
        """A feature spec, or a table of ready-made features, with these sensors alone.

        Raises:
            SpecError: it has no such modality or channel.
        """
        chosen = whole.with_modalities(self.modalities) if self.modalities else whole
        return chosen.with_channels(self.channels) if self.channels else chosen


ALL_SENSORS = Sensors()


def sensors_from_options(modalities: str | None, channels: str | None) -> Sensors:
    """From the words after --modalities and --channels; None where the option was not given.

    Raises:
        InputError: an option names nothing, an electrode is unknown or there twice,
            or channels without EEG.
    """
    wanted = tuple(map(modality_name, names_given(modalities, "--modalities")))
    return Sensors(wanted, names_given(channels, "--channels"))


def names_given(text: str | None, option: str) -> tuple[str, ...]:
    """`ppg,gsr` -> ("ppg", "gsr"); () without the option.

    Raises:
        InputError: the option is there and no name.
    """
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    if text is not None and not names:
        raise InputError(
            f"{option} names nothing",
            expected="names with commas between",
            fix="Leave it out for all",
        )
    return names
