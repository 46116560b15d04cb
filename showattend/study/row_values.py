"""What a complete run's row must hold: checked where rows are read, because a study's folder may come from elsewhere."""

from typing import Annotated

import msgspec

from showattend.data.json_files import check_schema
from showattend.errors import InputError
from showattend.study.memory_probe import Outcome
from showattend.study.trials import COMPLETE, Row

Number = Annotated[float, msgspec.Meta(ge=-1e100, le=1e100)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
SETTINGS = ("learning_rate", "dropout", "clip", "hidden_size")  # the hyperparameters of a run of a captioning study


class CaptionValues(msgspec.Struct):
    """Of a run of a captioning study; on test of final runs alone, pointing where the scenes are known."""

    val_nll: Number
    hidden_size: Count
    cell_parameters: Count
    parameters: Count
    seconds_a_step: Number
    val_bleu4: Number | msgspec.UnsetType = msgspec.UNSET
    val_cider_d: Number | msgspec.UnsetType = msgspec.UNSET
    val_pointing: Number | msgspec.UnsetType = msgspec.UNSET
    test_nll: Number | msgspec.UnsetType = msgspec.UNSET
    test_bleu4: Number | msgspec.UnsetType = msgspec.UNSET
    test_cider_d: Number | msgspec.UnsetType = msgspec.UNSET
    test_pointing: Number | msgspec.UnsetType = msgspec.UNSET
    encoder: str = ""
    data: str = ""


class TaskValues(msgspec.Struct):
    """Of a run of the memory probe."""

    longest_delay: Count
    outcomes: list[Outcome]


class GradientValues(msgspec.Struct):
    """Of the gradient norms of a cell."""

    untrained: list[Number]
    trained: list[Number]
    solved: bool

    def __post_init__(self) -> None:
        if len(self.trained) != len(self.untrained):
            raise ValueError(f"norms over {len(self.trained)} steps after training, and over {len(self.untrained)} before it")


def check_row(row: Row, settings: tuple[str, ...], schema: type[msgspec.Struct]) -> None:
    """Refuse a row without the values that a report is made of.

    Args:
        settings: the hyperparameters that it must have

    Raises:
        InputError: it has others, or a value is missing, of another type, or out of all range.
    """
    where = f"the run {row.job.id} is none of this study, or its row is damaged: take the table as `showattend study` wrote it"
    if row.job.params.keys() != set(settings):
        raise InputError(f"{where}: it has the settings {', '.join(row.job.params) or 'none'}")
    check_schema(row.job.params, dict[str, Number], where)
    check_schema(row.seconds, Number, where)
    if row.status == COMPLETE:
        check_schema(row.values, schema, where)
