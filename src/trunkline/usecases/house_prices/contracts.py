"""What a sales table holds. Copy this file and describe your own table: one field per column."""

from typing import ClassVar

from trunkline.contracts import Contract, Day, Flag, Integer, Number, Rule, Table, Text, col, field


class Sale(Contract):
    """One row per sale of a house. A field says what a value means, its unit, and the range it must lie in."""

    # the same house may be sold twice: house and day together identify a sale
    table: ClassVar[Table] = Table(
        key=("house_id", "sold_on"),
        # a rule speaks about several fields of one row; null passes
        rules=(
            Rule("above_within_living", col("area_above_sqft") <= col("area_sqft"), "a floor is part of the house"),
        ),
    )

    # aliases are the names under which sources bring the column; matched ignoring case
    house_id: Text = field("Identifier of the house", aliases=("id",), max_length=32)
    sold_on: Day = field("Day of the sale", aliases=("date",))
    # `| None` allows null: the label is unknown for houses that are to be priced
    price_usd: Number | None = field("Price paid", unit="USD", minimum=1, aliases=("price",))
    bedrooms: Integer = field(minimum=0, maximum=50)
    bathrooms: Number = field("A quarter is a toilet alone", minimum=0, maximum=20)
    area_sqft: Number = field("Living area", unit="sqft", minimum=1, aliases=("sqft_living",))
    lot_sqft: Number = field("Area of the lot", unit="sqft", minimum=1, aliases=("sqft_lot",))
    floors: Number = field(minimum=1, maximum=10)
    waterfront: Flag = field("Looks on the water")
    view: Integer = field("How good the view is", minimum=0, maximum=4)
    condition: Integer = field("State of repair", minimum=1, maximum=5)
    grade: Integer = field("Quality of construction by the county's scale", minimum=1, maximum=13)
    area_above_sqft: Number = field("Above ground", unit="sqft", minimum=0, aliases=("sqft_above",))
    area_basement_sqft: Number = field("Basement", unit="sqft", minimum=0, aliases=("sqft_basement",))
    built_year: Integer = field("Year of construction", minimum=1700, maximum=2100, aliases=("yr_built",))
    renovated_year: Integer = field(
        "Year of renovation; 0 for none", minimum=0, maximum=2100, aliases=("yr_renovated",)
    )
    # digits that are a name, not a quantity: text keeps leading zeros
    zip_code: Text = field(max_length=10, aliases=("zipcode",))
    latitude: Number = field(unit="deg", minimum=-90, maximum=90, aliases=("lat",))
    longitude: Number = field(unit="deg", minimum=-180, maximum=180, aliases=("long",))
    neighbours_area_sqft: Number = field(
        "Mean living area of the 15 nearest houses", unit="sqft", minimum=0, aliases=("sqft_living15",)
    )
    neighbours_lot_sqft: Number = field(
        "Mean lot of the 15 nearest houses", unit="sqft", minimum=0, aliases=("sqft_lot15",)
    )
