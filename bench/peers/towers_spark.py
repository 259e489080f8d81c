"""The performance tables as they are usually written: four PySpark jobs, each a script and a JVM of its own.

``python towers_spark.py STEP DATA OUT`` with STEP from 1 to 4. Joins, ROW_NUMBER, and one ``collect()`` of the mean per
indicator; Parquet between the jobs. Local Spark on two cores with Spark's own defaults, which adapt the number of
partitions to the data.
"""

import sys
from functools import reduce
from operator import add

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as fn

CELLS = [
    "PRBUsageUL",
    "PRBUsageDL",
    "meanThr_DL",
    "meanThr_UL",
    "maxThr_DL",
    "maxThr_UL",
    "meanUE_DL",
    "meanUE_UL",
    "maxUE_DL",
    "maxUE_UL",
    "maxUE_UL_DL",
    "Unusual",
]
USAGE = [
    "roam_Mean",
    "change_mou",
    "drop_vce_Mean",
    "blck_vce_Mean",
    "peak_vce_Mean",
    "opk_vce_Mean",
    "drop_blk_Mean",
    "callfwdv_Mean",
    "callwait_Mean",
]
ABOVE = [
    *(name for name in CELLS if name not in ("meanThr_DL", "meanThr_UL", "Unusual")),
    "drop_vce_Mean",
    "blck_vce_Mean",
]
BELOW = [
    "meanThr_DL",
    "meanThr_UL",
    "roam_Mean",
    "change_mou",
    "peak_vce_Mean",
    "opk_vce_Mean",
    "drop_blk_Mean",
    "callfwdv_Mean",
    "service_stability_voice_calls",
]
GRAIN = ["customerID", "CellName", "tenure", "PhoneService", "MultipleLines", "InternetService"]


def column(name: str) -> str:
    """Where an indicator stands."""
    return name if name.startswith("service_") else f"avg_{name}"


def flagged(rows: DataFrame) -> DataFrame:
    """Compare each indicator with its mean, which is collected first, and count the flags."""
    for name in [*ABOVE, *BELOW]:
        mean = rows.agg(fn.avg(column(name))).collect()[0][0]
        wrong = fn.col(column(name)) > mean if name in ABOVE else fn.col(column(name)) < mean
        rows = rows.withColumn(f"{name}_Thrsld", fn.when(wrong, 1).otherwise(0))
    flags = [fn.col(f"{name}_Thrsld") for name in [*ABOVE, *BELOW]]
    return rows.withColumn("defected_count", reduce(add, flags))


def averaged(rows: DataFrame, by: list[str], names: list[str]) -> DataFrame:
    """Average, and add the ratio of calls at peak hours."""
    found = rows.groupBy(*by).agg(fn.count("*").alias("rows"), *(fn.avg(name).alias(name_of(name)) for name in names))
    ratio = fn.col("avg_peak_vce_Mean") / fn.when(fn.col("avg_opk_vce_Mean") != 0, fn.col("avg_opk_vce_Mean"))
    return found.withColumn("service_stability_voice_calls", ratio)


def name_of(name: str) -> str:
    """The averaged column."""
    return name if name.startswith("avg_") else f"avg_{name}"


def customers_thresholds(spark: SparkSession, data: str) -> DataFrame:
    """Customers with a phone, and the one row of their cell."""
    cells = spark.read.csv(f"{data}/service_threshold_data.csv", header=True, inferSchema=True)
    cells = cells.withColumnRenamed("maxUE_UL+DL", "maxUE_UL_DL").withColumn("at", fn.monotonically_increasing_id())
    first = Window.partitionBy("CellName").orderBy("at")
    cells = cells.withColumn("n", fn.row_number().over(first)).filter("n = 1").select("CellName", *CELLS)
    customers = spark.read.parquet(f"{data}/cust_raw_data").drop("customerID")
    customers = customers.filter("PhoneService = 'Yes' and Index > 1000").withColumnRenamed("Index", "customerID")
    customers = customers.withColumnRenamed("CellTower", "CellName").select(*GRAIN)
    return customers.join(cells, "CellName")


def customers_services(spark: SparkSession, data: str, out: str) -> DataFrame:
    """Step 1 with at most six rows of usage each."""
    usage = spark.read.parquet(f"{data}/telecom_surrogate_from_cell2cell.parquet")
    usage = usage.withColumn("customerID", fn.substring(fn.col("Customer_ID").cast("string"), 4, 7).cast("int"))
    usage = usage.filter("customerID > 1000").withColumn("at", fn.monotonically_increasing_id())
    first = Window.partitionBy("customerID").orderBy("at")
    usage = usage.withColumn("n", fn.row_number().over(first)).filter("n <= 6").select("customerID", *USAGE)
    return spark.read.parquet(f"{out}/1").join(usage, "customerID")


def main(step: str, data: str, out: str) -> None:
    """Run one of the four jobs."""
    builder = SparkSession.builder.master("local[2]").appName(f"towers-{step}")
    spark = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.ui.enabled", "false").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    if step == "1":
        rows = customers_thresholds(spark, data)
    elif step == "2":
        rows = customers_services(spark, data, out)
    elif step == "3":
        rows = flagged(averaged(spark.read.parquet(f"{out}/2"), GRAIN, [*CELLS, *USAGE]))
    else:
        metrics = spark.read.parquet(f"{out}/3").drop("rows", "service_stability_voice_calls", "defected_count")
        rows = flagged(averaged(metrics, ["CellName"], [f"avg_{name}" for name in [*CELLS, *USAGE]]))
        rows = rows.withColumn("maintenance_required", fn.col("defected_count") >= 15)
    rows.write.mode("overwrite").parquet(f"{out}/{step}")
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
