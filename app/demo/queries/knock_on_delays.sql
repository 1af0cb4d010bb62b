-- Does a late aircraft stay late? Each flight is set beside the one that the same aircraft flew before, on the same day.
CREATE OR REPLACE TABLE knock_on_delays USING parquet AS
WITH rotations AS (
  SELECT
    carrier,
    dep_delay,
    lag(arr_delay) OVER (PARTITION BY tailnum, flight_day ORDER BY sched_dep_time) AS inbound_delay
  FROM departures
  WHERE tailnum IS NOT NULL AND cancelled = 0
),
averages AS (
  SELECT
    carrier,
    count(*) AS flights,
    round(avg(CASE WHEN inbound_delay > 15 THEN dep_delay END), 1) AS delay_after_late_inbound,
    round(avg(CASE WHEN inbound_delay <= 15 THEN dep_delay END), 1) AS delay_after_punctual_inbound
  FROM rotations
  WHERE inbound_delay IS NOT NULL
  GROUP BY carrier
)
SELECT *, rank() OVER (ORDER BY delay_after_late_inbound DESC) AS worst
FROM averages
WHERE flights >= 50;

SELECT * FROM knock_on_delays ORDER BY worst, carrier;
