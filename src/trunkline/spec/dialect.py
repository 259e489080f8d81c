"""What is said of the dialect of CSV files: of all of them in the settings, and of those of one source."""

import codecs

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

__all__ = ["CsvDialect"]


class CsvDialect(BaseModel, frozen=True, extra="forbid"):
    """The dialect of CSV files; what is not said is told from each file."""

    encoding: str | None = Field(
        None,
        description="Encoding of the text, by a name that Python knows: cp1251, iso8859-2, shift_jis, ... None takes "
        "UTF-16 and UTF-32 by their mark, UTF-8 where the whole file is that, and else Windows-1252, which any bytes "
        "seem to be.",
    )
    delimiter: str | None = Field(
        None,
        description="Character between two fields. None takes comma, semicolon, tab or bar, or what `sep=` in "
        "the first line names.",
    )
    quote: str | None = Field(
        None,
        description="Character around fields; empty where nothing quotes. None takes double quotes, or single ones "
        "where they alone make sense of the file.",
    )
    escape: str | None = Field(
        None,
        description="Character before a quotation mark that ends no field. None takes the doubled mark, and a "
        "backslash where the file has it.",
    )
    comment: str | None = Field(
        None,
        description="Lines that begin with this character are passed over, wherever they stand. None passes over lines "
        "with `#` before the header alone.",
    )
    skip_lines: int | None = Field(
        None,
        ge=0,
        description="Lines before the header. None passes over titles of one field, where an empty line or names over "
        "numbers follow (lines).",
    )

    @field_validator("encoding")
    @classmethod
    def _is_of_text(cls, encoding: str | None) -> str | None:
        if encoding is None:
            return None
        try:
            "".encode(encoding)  # what is no encoding of text is refused, too
        except LookupError:
            raise ValueError("no encoding of text has this name") from None
        return codecs.lookup(encoding).name

    @field_validator("delimiter", "quote", "escape", "comment")
    @classmethod
    def _is_a_character(cls, said: str | None, info: ValidationInfo) -> str | None:
        if said is None or (len(said) == 1 and "\x01" <= said <= "\x7f"):
            return said
        if info.field_name != "quote":
            raise ValueError("it must be one ASCII character")
        if said:
            raise ValueError("it must be one ASCII character, or empty")
        return said

    @model_validator(mode="after")
    def _each_its_own(self) -> "CsvDialect":
        said = {
            "delimiter": self.delimiter,
            "quote": '"' if self.quote is None else self.quote,
            "escape": self.escape,
            "comment": self.comment,
        }
        names: dict[str, str] = {}
        for name, character in said.items():
            if not character:
                continue
            if character in "\r\n":
                raise ValueError(f"`{name}` is the end of a line")
            if character in names:
                raise ValueError(f"`{names[character]}` and `{name}` are the same character, {character!r}")
            names[character] = name
        return self

    @property
    def said(self) -> dict[str, str | int]:
        """What is said, by name; empty where the file tells all of it.

        >>> CsvDialect(delimiter=";", quote=None).said
        {'delimiter': ';'}
        """
        return self.model_dump(exclude_none=True)

    def over(self, general: "CsvDialect") -> "CsvDialect":
        """Put what is said here over what is said in general.

        Raises:
            ValueError: Two of the characters are the same then.
        """
        return CsvDialect.model_validate(
            {**general.model_dump(exclude_unset=True), **self.model_dump(exclude_unset=True)}
        )
