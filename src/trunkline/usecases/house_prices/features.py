"""Row features: arithmetic on one row, stored with the model, so that training and serving cannot differ."""

from trunkline.contracts import Expr, col, larger

ROW_FEATURES: dict[str, Expr] = {
    # null where an operand is null; division by zero gives null
    "area_per_bedroom": col("area_sqft") / larger(col("bedrooms"), 1),
    "area_against_neighbours": col("area_sqft") / col("neighbours_area_sqft"),
    "newest_year": larger(col("built_year"), col("renovated_year")),
}
