"""How tables are written, as the user states it where the tables themselves do not show it."""

from __future__ import annotations

from dataclasses import dataclass

from engage_cli.errors import WrongCallError

DATE_ORDERS = ("DMY", "MDY", "YMD", "YDM")
DUPLICATES = ("last", "first", "max", "error")


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How tables are read. An empty string is: as the table itself shows it."""

    encoding: str = ""  # of the file, as Python calls it
    decimal: str = ""  # the sign before decimals: "." or ","
    fetch_images: bool = False  # covers that the table names by their addresses
    date_order: str = ""  # DMY, MDY, YMD or YDM, of dates that are numbers alone

    def __post_init__(self) -> None:
        if self.decimal not in ("", ".", ","):
            raise WrongCallError(f"--decimal {self.decimal} is unknown; give . or ,")
        if self.date_order not in ("", *DATE_ORDERS):
            raise WrongCallError(f"--date-order {self.date_order} is unknown; give {', '.join(DATE_ORDERS)}")
        if self.encoding:
            try:
                "".encode(self.encoding)
            except LookupError:
                raise WrongCallError(
                    f"--encoding {self.encoding}: no such encoding; give one like cp1252, cp932, gb18030, big5, cp949, ..."
                ) from None


AS_IT_SHOWS = ReadOptions()
