# The twenty busiest routes with the destination's name and how reliable they are.
# `spark` is ready; the DataFrame that is called `result` becomes the task's output.
from pyspark.sql import functions as F

departures = spark.table("departures")
airports = spark.table("airports")

routes = (
    departures.groupBy("origin", "dest")
    .agg(
        F.count(F.lit(1)).alias("flights"),
        F.sum("cancelled").alias("cancelled"),
        F.round(F.avg("arr_delay"), 1).alias("average_arrival_delay"),
        F.max("distance").alias("miles"),
    )
    .orderBy(F.col("flights").desc(), "origin", "dest")
    .limit(20)
)

result = (
    routes.join(airports, routes["dest"] == airports["faa"], "left")
    .select(
        "origin",
        "dest",
        F.coalesce(airports["name"], F.lit("unknown")).alias("destination"),
        "miles",
        "flights",
        "cancelled",
        "average_arrival_delay",
    )
    .orderBy(F.col("flights").desc(), "origin", "dest")
)
