"""Examples of a replay as a data frame."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    import pandas

#: Columns that are added to those of the examples.
OWN_COLUMNS = ("_time", "_known", "_window_end", "_label", "_score", "_version")


def load_examples(path: Union[str, "os.PathLike[str]"], labelled_only: bool = False) -> "pandas.DataFrame":
    """Reads `examples/MODEL.parquet` of a replay, in the total order.

    `_time`, `_known` and `_window_end` are timestamps in UTC, `_score` the prediction of the version that was champion.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError("load_examples needs pandas and pyarrow: pip install 'tidemill[pandas]'") from error
    frame = pandas.read_parquet(path)
    missing = [column for column in ("_time", "_label") if column not in frame.columns]
    if missing:
        raise ValueError(f"{os.fspath(path)} has no column {missing[0]}; expected the examples of a replay")
    for column in ("_time", "_known", "_window_end"):
        if column in frame.columns:
            frame[column] = pandas.to_datetime(frame[column], utc=True)
    return frame[frame["_label"].notna()].reset_index(drop=True) if labelled_only else frame
